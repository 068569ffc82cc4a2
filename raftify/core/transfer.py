"""Handing over leadership (thesis 3.10)."""

from __future__ import annotations

from dataclasses import replace

from raftify.core.election import hup
from raftify.core.raft_core import RaftCore
from raftify.core.replication import send_append, send_timeout_now
from raftify.core.types import INVALID_ID, Message, MessageType


def handle_transfer_leader_as_leader(core: RaftCore, message: Message) -> None:
    """Bring the transferee up to date, then tell it to campaign.

    Proposals are refused until it is over: at most one election timeout, counted anew.
    """
    transferee = message.from_
    progress = core.tracker.get(transferee)
    if progress is None or transferee in core.tracker.conf.learners:
        return
    if core.lead_transferee is not None:
        if core.lead_transferee == transferee:
            return
        core.abort_leader_transfer()
    if transferee == core.id:
        return
    core.election_elapsed = 0
    core.lead_transferee = transferee
    if progress.matched == core.raft_log.last_index():
        send_timeout_now(core, transferee)
    else:
        send_append(core, transferee)


def handle_transfer_leader_as_follower(core: RaftCore, message: Message) -> None:
    """Pass the wish on to the leader."""
    if core.leader_id != INVALID_ID:
        core.send(replace(message, to=core.leader_id))


def handle_timeout_now(core: RaftCore, _message: Message) -> None:
    """Campaign at once: the leader wants this node to take over."""
    hup(core, transfer_leader=True)


def transfer_message(transferee: int) -> Message:
    """Return the message that asks for a transfer to `transferee`, as raft-rs forms it."""
    return Message(MessageType.TRANSFER_LEADER, from_=transferee)
