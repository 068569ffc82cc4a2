"""Snapshots: asking for one, taking one in, and what the leader learns of one on its way."""

from __future__ import annotations

from typing import cast

from raftify.core.membership import post_conf_change
from raftify.core.progress import ProgressState
from raftify.core.raft_core import RaftCore
from raftify.core.types import (
    INVALID_ID,
    INVALID_INDEX,
    Message,
    MessageType,
    Role,
    Snapshot,
)
from raftify.errors import ConfChangeRejected, Rejected


def request_snapshot(core: RaftCore) -> None:
    """Ask the leader for a snapshot that covers this node's whole log.

    Raises:
        Rejected: this node leads, knows no leader or has no entry of its term, or a snapshot is
            on its way already.
    """
    log = core.raft_log
    if core.role is Role.LEADER:
        raise Rejected("a leader has nobody to ask for a snapshot")
    if core.leader_id == INVALID_ID:
        raise Rejected("no leader is known to ask for a snapshot; try again later")
    if log.pending_snapshot() is not None or core.pending_request_snapshot != INVALID_INDEX:
        raise Rejected("a snapshot is on its way already")
    if log.last_term() != core.term:
        raise Rejected("there is no entry of the leader's term yet; try again later")
    core.pending_request_snapshot = log.last_index()
    send_request_snapshot(core)


def wants_snapshot_now(core: RaftCore) -> bool:
    """Say whether a wish for a snapshot goes before what the leader sends.

    Under a new leader it waits until the log ends with an entry of that leader: before, the log may
    have a tail that no snapshot will ever cover, and that only appends can replace. raft-rs does
    not wait, and a quorum that needs this node then never commits anything again.
    """
    return core.pending_request_snapshot != INVALID_INDEX and core.raft_log.last_term() == core.term


def send_request_snapshot(core: RaftCore) -> None:
    """Tell the leader, in the form of a rejected append, which snapshot is wanted."""
    log = core.raft_log
    # It may have grown or shrunk under a new leader.
    core.pending_request_snapshot = log.last_index()
    core.send(
        Message(
            MessageType.APPEND_RESPONSE,
            to=core.leader_id,
            index=log.committed,
            reject=True,
            reject_hint=log.last_index(),
            log_term=log.last_term(),
            request_snapshot=core.pending_request_snapshot,
        )
    )


def handle_snapshot(core: RaftCore, message: Message) -> None:
    """Take in a leader's snapshot, and say how far the log goes with it (paper §7)."""
    # `well_formed` has refused a message without one.
    restored = restore(core, cast("Snapshot", message.snapshot))
    index = core.raft_log.last_index() if restored else core.raft_log.committed
    core.send(Message(MessageType.APPEND_RESPONSE, to=message.from_, index=index))


def restore(core: RaftCore, snapshot: Snapshot) -> bool:
    """Replace log and configuration by `snapshot`; False if it is not needed or not for this node.

    The configuration becomes the snapshot's, whatever the old log would have changed.
    """
    metadata = snapshot.metadata
    log = core.raft_log
    if metadata.index < log.committed:
        return False
    if core.role is not Role.FOLLOWER:
        # Unreachable through messages. Should it happen, a new term keeps the damage away.
        core.become_follower(core.term + 1, INVALID_ID)
        return False
    conf_state = metadata.conf_state
    members = (*conf_state.voters, *conf_state.learners, *conf_state.voters_outgoing)
    if core.id not in members:
        return False
    wanted = metadata.index >= core.pending_request_snapshot > INVALID_INDEX
    if not wanted and log.match_term(metadata.index, metadata.term):
        # The log has all that the snapshot covers: keep what follows, and only learn the commit.
        # (raft-rs restores any snapshot while it waits for one, and so loses entries that this
        # node acknowledged if an older snapshot comes late.)
        log.commit_to(metadata.index)
        return False
    log.restore(snapshot)
    core.restore_conf_state(conf_state, log.last_index())
    post_conf_change(core)
    own = core.tracker.progress[core.id]
    own.maybe_update(own.next_idx - 1)
    core.pending_request_snapshot = INVALID_INDEX
    return True


def found(core: RaftCore, snapshot: Snapshot) -> None:
    """Begin the log of a node that has none with `snapshot`, which no leader sent.

    Raises:
        ConfChangeRejected: the node has a log or a configuration already, or the snapshot's
            configuration is without it.
    """
    log = core.raft_log
    if log.last_index() != INVALID_INDEX or core.tracker.progress:
        raise ConfChangeRejected(f"node {core.id} has a log already")
    if core.term < snapshot.metadata.term:
        core.become_follower(snapshot.metadata.term, INVALID_ID)
    if not restore(core, snapshot):
        raise ConfChangeRejected(f"node {core.id} is no member of what it was to found")


def handle_snapshot_status(core: RaftCore, message: Message) -> None:
    """Learn that a snapshot arrived (then probe behind it) or did not (then begin anew).

    Either way nothing is sent until the follower is heard of: after a success it will acknowledge
    the snapshot, after a failure a heartbeat's answer shows that it is there again.
    """
    progress = core.tracker.get(message.from_)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    if message.reject:
        progress.snapshot_failure()
    progress.become_probe()
    progress.pause()
    progress.pending_request_snapshot = INVALID_INDEX
