"""A node's term never falls, and after a restart it is no lower than what the node ever said."""

from __future__ import annotations

from raftify.core.types import Message, MessageType
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView

#: What others build on: a vote, an acknowledgement, entries. A mere refusal may be forgotten.
_BINDING = frozenset(
    {
        MessageType.REQUEST_VOTE,
        MessageType.REQUEST_VOTE_RESPONSE,
        MessageType.APPEND,
        MessageType.APPEND_RESPONSE,
        MessageType.SNAPSHOT,
        MessageType.HEARTBEAT,
    }
)


class MonotonicTerm(Invariant):
    """Raft paper, Figure 2 (currentTerm increases monotonically, and is persistent) and §5.1."""

    cites = "Raft paper §5.1"
    judges_changes_alone = True

    def __init__(self) -> None:
        self._term: dict[int, int] = {}
        self._durable: dict[int, int] = {}
        self._said: dict[int, int] = {}

    def on_start(self, node: NodeView) -> None:
        """Compare with what the node had said, and what its disk had."""
        core = node.raft
        if core is None:
            return
        bound = max(self._durable.get(node.id, 0), self._said.get(node.id, 0))
        if core.term < bound:
            self.fail(f"node {node.id} came back in term {core.term}, and had been in {bound}")
        self._term[node.id] = core.term

    def on_step(self, node: NodeView) -> None:
        """Compare with the step before."""
        core = node.raft
        if core is None:
            return
        before = self._term.get(node.id, 0)
        if core.term != before:
            if core.term < before:
                self.fail(f"node {node.id} went back from term {before} to {core.term}")
            self._term[node.id] = core.term
        durable = node.disk.hard_state.term
        known = self._durable.get(node.id, 0)
        if durable < known:
            self.fail(f"the disk of node {node.id} went back from term {known} to {durable}")
        self._durable[node.id] = durable

    def on_send(self, node: NodeView, message: Message) -> None:
        """Remember what binds the node."""
        kind = message.msg_type
        if kind in _BINDING and not message.reject:
            self._said[node.id] = max(message.term, self._said.get(node.id, 0))
