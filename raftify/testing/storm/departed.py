"""Demands that nobody who was removed ends, and nobody who asked for it is told, before enough of
those that stay have it on disk: they may need its vote until then (etcd#10563)."""

from __future__ import annotations

from collections.abc import Callable, Collection

from raftify.errors import NodeRemoved
from raftify.node.config_changes import was_removed
from raftify.peers import Membership
from raftify.testing.simulation.observer import InvariantViolation, NodeView, Observer


class Departed(Observer):
    """Looks at the disks of all nodes, of those that are gone, too.

    `is_lost(node_id)` says whether the disk of a node is, or may be, not what it was: of it the
    best is believed.
    """

    def __init__(self, is_lost: Callable[[int], bool]) -> None:
        self._is_lost = is_lost
        self._nodes: dict[int, NodeView] = {}

    def on_start(self, node: NodeView) -> None:
        """Remember whose disk is where."""
        self._nodes[node.id] = node

    def on_end(self, node: NodeView, how: str) -> None:
        """Look at the disks when a node ends because it was removed."""
        if how == NodeRemoved.__name__ and not self._is_lost(node.id):
            self.demand_told_late(node.id)

    def demand_told_late(self, node_id: int) -> None:
        """Demand that node `node_id`, which was told that it was removed, may be lost: more than
        half of the other voters that it knows have that on disk, or of those that stay."""
        own = self._membership(node_id)
        others = () if own is None else {*own.conf_state.voters} - {node_id}
        know = [i for i in self._nodes if self._knows(i, lambda m: was_removed(node_id, m))]
        stay = [m.conf_state.voters for i in know if (m := self._membership(i)) is not None]
        if others and not any(_are_most(know, voters) for voters in (others, *stay)):
            self._fail(
                f"node {node_id} ended because it was removed, and of the other voters that it "
                f"knew, {sorted(others)}, only {know} have that on disk"
            )

    def demand_known(self, led_to: Membership) -> None:
        """Demand that more than half of the voters have `led_to`, or what came of it, on disk: a
        change that took a vote away led to it, and was acknowledged."""
        know = [i for i in self._nodes if self._knows(i, lambda m: m.index >= led_to.index)]
        later = [m.conf_state.voters for i in know if (m := self._membership(i)) is not None]
        if not any(_are_most(know, voters) for voters in (led_to.conf_state.voters, *later)):
            self._fail(
                f"a change that took votes away was acknowledged, and of the voters that stay, "
                f"{led_to.conf_state.voters}, only {know} have it on disk"
            )

    def _knows(self, node_id: int, what: Callable[[Membership], bool]) -> bool:
        membership = self._membership(node_id)
        return membership is None or what(membership)

    def _membership(self, node_id: int) -> Membership | None:
        """Return what the disk of `node_id` has; None if that disk is lost, or another one."""
        node = self._nodes[node_id]
        return None if node.id != node_id or self._is_lost(node_id) else node.disk.membership

    def _fail(self, what: str) -> None:
        raise InvariantViolation("RemovedWhenKnown", "decisions 7, 12", what)


def _are_most(know: Collection[int], voters: Collection[int]) -> bool:
    return 2 * len({*know} & {*voters}) > len(voters)
