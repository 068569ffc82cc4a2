"""What a candidate or pre-candidate does: campaign until someone leads (paper §5.2)."""

from __future__ import annotations

from raftify.core.follower import handle_append_entries, handle_heartbeat
from raftify.core.raft_core import RaftCore
from raftify.core.snapshot_handling import handle_snapshot
from raftify.core.types import Message
from raftify.errors import NoLeader


def handle_propose(core: RaftCore, _message: Message) -> None:
    """Refuse a proposal: nobody leads.

    Raises:
        NoLeader: always.
    """
    raise NoLeader(f"no leader is known in term {core.term}: an election is under way")


def candidate_append(core: RaftCore, message: Message) -> None:
    """Recognise the leader of this term, and take its entries in."""
    core.become_follower(message.term, message.from_)
    handle_append_entries(core, message)


def candidate_heartbeat(core: RaftCore, message: Message) -> None:
    """Recognise the leader of this term."""
    core.become_follower(message.term, message.from_)
    handle_heartbeat(core, message)


def candidate_snapshot(core: RaftCore, message: Message) -> None:
    """Recognise the leader of this term, and take its snapshot in."""
    core.become_follower(message.term, message.from_)
    handle_snapshot(core, message)
