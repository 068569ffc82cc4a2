"""What is answered: JSON throughout, and a status that says what to make of it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from raftify import Metrics, Peer, Raft

#: Tells whoever asks where to ask next time.
LEADER_HEADER: Final = "Kvstore-Leader"
RETRY_SECONDS: Final = 1

#: What the state machine may refuse.
REFUSALS: Final = {
    "BadCommand": HTTPStatus.BAD_REQUEST,
    "ValueTooLarge": HTTPStatus.BAD_REQUEST,
    "SessionExpired": HTTPStatus.CONFLICT,
    "StaleWrite": HTTPStatus.CONFLICT,
}


def error_answer(kind: str, message: str, status: int) -> Response:
    """Return a refusal; who gets 503 is told when to try again."""
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return JSONResponse({"error": kind, "message": message}, status_code=status, headers=headers)


def answer_of_store(data: bytes) -> Response:
    """Pass on what the state machine said."""
    answer = json.loads(data)
    status = REFUSALS[answer["error"]] if "error" in answer else HTTPStatus.OK
    return JSONResponse(answer, status_code=status)


def http_addr_of(peer: Peer | None) -> str:
    return peer.metadata.decode(errors="replace") if peer is not None else ""


def leader_addr(raft: Raft) -> str:
    """Return where the leader answers HTTP; empty if there is none, or nobody said where."""
    return http_addr_of(raft.get_peers().get(raft.get_leader_id()))


def nodes_answer(raft: Raft) -> dict[str, Any]:
    membership = raft.metrics().membership
    voters = {*membership.conf_state.voters, *membership.conf_state.voters_outgoing}
    return {
        str(node_id): {
            "raft_addr": peer.address,
            "http_addr": http_addr_of(peer),
            "role": "voter" if node_id in voters else "learner",
        }
        for node_id, peer in membership.peers.items()
    }


def metrics_answer(metrics: Metrics) -> dict[str, Any]:
    conf = metrics.membership.conf_state
    return {
        "id": metrics.node_id,
        "running_state": metrics.running_state,
        "state": metrics.role.name.lower(),
        "current_term": metrics.term,
        "vote": metrics.vote,
        "current_leader": metrics.leader_id,
        "last_log_index": metrics.last_index,
        "committed": metrics.committed,
        "last_applied": metrics.applied,
        "snapshot": metrics.snapshot,
        "purged": metrics.purged,
        "membership": {
            "voters": list(conf.voters),
            "outgoing": list(conf.voters_outgoing),
            "learners": sorted({*conf.learners, *conf.learners_next}),
        },
        "replication": {str(i): peer.matched for i, peer in metrics.peers.items()},
    }
