"""A leader that told another node to campaign does not answer reads by its lease any more."""

from __future__ import annotations

from raftify.core.config import ReadOnlyOption
from raftify.core.types import Message, MessageType, Role
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class LeaseEndsWithTransfer(Invariant):
    """Thesis 6.4.1: a transfer breaks the assumption that the lease rests on.

    Of two leaders at most one then answers reads by a lease, as long as clocks run alike and nobody
    is paused or cut off for longer than an election timeout (see `ReadOnlyOption`).
    """

    cites = "Raft thesis 6.4.1"

    def __init__(self) -> None:
        self._told: dict[int, tuple[int, int, int]] = {}

    def on_send(self, node: NodeView, message: Message) -> None:
        """Remember who was told to campaign."""
        if message.msg_type is MessageType.TIMEOUT_NOW:
            self._told[node.id] = (node.incarnation, message.term, message.to)

    def on_step(self, node: NodeView) -> None:
        """Look at leaders that told somebody."""
        told = self._told.get(node.id)
        core = node.raft
        if told is None or core is None:
            return
        if told[:2] != (node.incarnation, core.term) or core.role is not Role.LEADER:
            del self._told[node.id]
        elif core.read_only.option is ReadOnlyOption.LEASE_BASED:
            self.fail(
                f"node {node.id} told {told[2]} to campaign in term {told[1]}, and still trusts "
                "its lease"
            )
