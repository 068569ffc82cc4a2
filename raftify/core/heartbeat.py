"""How a leader says that it is there, and how a follower answers."""

from __future__ import annotations

from raftify.core.raft_core import RaftCore
from raftify.core.types import Message, MessageType, Role


def send_heartbeat(core: RaftCore, to: int, context: bytes) -> None:
    """Tell `to` that this node leads, and what is committed of what it is known to have.

    The commit index must not pass what matches: a follower takes it over as it is, and beyond the
    match it may hold entries of a deposed leader.
    """
    progress = core.tracker.progress[to]
    commit = min(progress.matched, core.raft_log.committed)
    core.send(Message(MessageType.HEARTBEAT, to=to, commit=commit, context=context))


def bcast_heartbeat(core: RaftCore, context: bytes | None = None) -> None:
    """Send heartbeats to everybody, by default with the token of the newest round of reads."""
    if context is None:
        context = core.read_only.last_pending_request_ctx() or b""
    for node_id in core.tracker.progress:
        if node_id != core.id:
            send_heartbeat(core, node_id, context)


def ping(core: RaftCore) -> None:
    """Send heartbeats now, if this node leads."""
    if core.role is Role.LEADER:
        bcast_heartbeat(core)


def handle_beat(core: RaftCore, _message: Message) -> None:
    """React to the heartbeat timeout of a leader."""
    bcast_heartbeat(core)
