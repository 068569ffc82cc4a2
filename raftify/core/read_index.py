"""Linearizable reads without a log entry (thesis 6.4): at the leader, and on the way there."""

from __future__ import annotations

from dataclasses import replace

from raftify.core.config import ReadOnlyOption
from raftify.core.heartbeat import bcast_heartbeat
from raftify.core.raft_core import RaftCore
from raftify.core.read_only import ReadState
from raftify.core.types import INVALID_ID, Message, MessageType


def handle_read_index_as_leader(core: RaftCore, message: Message) -> None:
    """Answer a read, now or when a quorum confirmed that this node still leads.

    Before it committed an entry of its term a leader does not know what is committed. raft-rs drops
    such reads; here they wait, as many as are allowed.
    """
    if core.commit_to_current_term():
        _answer_or_ask(core, [message])
    elif len(core.read_only.waiting) < core.max_waiting_reads:
        core.read_only.waiting.append(message)
    else:
        core.drop_read(message)


def release_waiting(core: RaftCore) -> None:
    """Go on with the reads that waited for the first commit of the term, if that has come."""
    if core.read_only.waiting and core.commit_to_current_term():
        waiting = list(core.read_only.waiting)
        core.read_only.waiting.clear()
        _answer_or_ask(core, waiting)


def _answer_or_ask(core: RaftCore, messages: list[Message]) -> None:
    read_only = core.read_only
    index = core.raft_log.committed
    if core.tracker.decides_alone(core.id) or read_only.option is ReadOnlyOption.LEASE_BASED:
        for message in messages:
            _answer(core, message, index)
        return
    token = b""
    for message in messages:
        token = read_only.add_request(index, message, core.id, core.term)
    bcast_heartbeat(core, token)


def _answer(core: RaftCore, request: Message, index: int) -> None:
    if request.from_ in (INVALID_ID, core.id):
        core.read_states.append(ReadState(index, request.entries[0].data))
        return
    core.send(
        Message(MessageType.READ_INDEX_RESP, to=request.from_, index=index, entries=request.entries)
    )


def confirm_round(core: RaftCore, node_id: int, token: bytes) -> None:
    """Count `node_id`'s acknowledgement of the round `token`, and answer what it confirms."""
    acks = core.read_only.recv_ack(node_id, token)
    if acks is not None and core.tracker.has_quorum(acks):
        for status in core.read_only.advance(token):
            _answer(core, status.req, status.index)


def confirm_by_smaller_quorum(core: RaftCore) -> None:
    """Answer the reads that the acknowledgements so far confirm in a changed configuration."""
    token = core.read_only.last_pending_request_ctx()
    if token is not None:
        confirm_round(core, core.id, token)


def handle_read_index_as_follower(core: RaftCore, message: Message) -> None:
    """Pass a read on to the leader; without one it is dropped, and whoever asked here is told."""
    if core.leader_id == INVALID_ID:
        core.drop_read(message)
    else:
        core.send(replace(message, to=core.leader_id))


def handle_read_index_as_candidate(core: RaftCore, message: Message) -> None:
    """Drop a read: there is no leader."""
    core.drop_read(message)


def handle_read_index_response(core: RaftCore, message: Message) -> None:
    """Take the leader's answer to a read that was passed on.

    The leader answers only after it committed an entry of its term, so the entry at the index is of
    that term; a log that has it matches the leader's up to there, and any other must not commit.
    """
    core.read_states.append(ReadState(message.index, message.entries[0].data))
    core.raft_log.maybe_commit(message.index, message.term)
