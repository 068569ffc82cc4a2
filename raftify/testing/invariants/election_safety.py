"""At most one leader can be elected in a given term."""

from __future__ import annotations

from raftify.core.types import Role
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class ElectionSafety(Invariant):
    """Raft paper, Figure 3 and §5.2. A process that was started anew counts as another leader."""

    cites = "Raft paper §5.2"
    judges_changes_alone = True

    def __init__(self) -> None:
        self._leaders: dict[int, tuple[int, int]] = {}

    def on_step(self, node: NodeView) -> None:
        """Remember who leads in which term."""
        core = node.raft
        if core is None or core.role is not Role.LEADER:
            return
        if node.disk.hard_state.term < core.term:
            # A sole voter elects itself before that is durable; it tells nobody until it is.
            return
        who = (node.id, node.incarnation)
        first = self._leaders.setdefault(core.term, who)
        if first != who:
            self.fail(
                f"term {core.term} has two leaders: node {first[0]} (process {first[1]}) and "
                f"node {who[0]} (process {who[1]})"
            )
