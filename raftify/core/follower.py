"""What a follower does with what its leader sends, and with proposals."""

from __future__ import annotations

from dataclasses import replace

from raftify.core.raft_core import RaftCore
from raftify.core.snapshot_handling import (
    handle_snapshot,
    send_request_snapshot,
    wants_snapshot_now,
)
from raftify.core.types import INVALID_ID, Message, MessageType
from raftify.errors import InvariantViolation, NoLeader, ProposalDropped


def handle_propose(core: RaftCore, message: Message) -> None:
    """Pass a proposal on to the leader.

    Raises:
        ProposalDropped: no leader is known, or proposals are not to be passed on.
    """
    if core.leader_id == INVALID_ID:
        raise NoLeader(f"no leader is known in term {core.term}")
    if core.disable_proposal_forwarding:
        raise ProposalDropped(
            f"node {core.leader_id} leads, and proposals are not passed on; send it there"
        )
    core.send(replace(message, to=core.leader_id))


def _hear_leader(core: RaftCore, leader_id: int) -> None:
    core.election_elapsed = 0
    core.leader_id = leader_id


def follower_append(core: RaftCore, message: Message) -> None:
    """Take a leader's entries in."""
    _hear_leader(core, message.from_)
    handle_append_entries(core, message)


def follower_heartbeat(core: RaftCore, message: Message) -> None:
    """Take a leader's heartbeat in."""
    _hear_leader(core, message.from_)
    handle_heartbeat(core, message)


def follower_snapshot(core: RaftCore, message: Message) -> None:
    """Take a leader's snapshot in."""
    _hear_leader(core, message.from_)
    handle_snapshot(core, message)


def handle_append_entries(core: RaftCore, message: Message) -> None:
    """Append, if the logs match up to where the entries begin, and say how far they do now.

    If they do not match, the answer holds the last place where they still may (paper §5.3).
    That they follow on each other has been checked (`well_formed`).
    """
    if wants_snapshot_now(core):
        send_request_snapshot(core)
        return
    log = core.raft_log
    response = Message(MessageType.APPEND_RESPONSE, to=message.from_)
    if message.index < log.committed:
        # Late or repeated: what is committed matches for sure.
        response.index = response.commit = log.committed
        core.send(response)
        return
    appended = log.maybe_append(message.index, message.log_term, message.commit, message.entries)
    if appended is not None:
        response.index = appended[1]
    else:
        hint, hint_term = log.find_conflict_by_term(
            min(message.index, log.last_index()), message.log_term
        )
        if hint_term is None:
            raise InvariantViolation(f"storage has no term for entry {hint} of its log")
        response.index = message.index
        response.reject = True
        response.reject_hint = hint
        response.log_term = hint_term
    response.commit = log.committed
    core.send(response)


def handle_heartbeat(core: RaftCore, message: Message) -> None:
    """Learn what is committed, and acknowledge."""
    core.raft_log.commit_to(message.commit)
    if wants_snapshot_now(core):
        send_request_snapshot(core)
        return
    core.send(
        Message(
            MessageType.HEARTBEAT_RESPONSE,
            to=message.from_,
            commit=core.raft_log.committed,
            context=message.context,
        )
    )
