"""A commit index never falls: not in memory, and on the disk not even across restarts."""

from __future__ import annotations

from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class MonotonicCommit(Invariant):
    """Raft paper, Figure 2: commitIndex increases monotonically.

    A restart may forget commits that were not written (they are learned again), never those that
    were.
    """

    cites = "Raft paper, Figure 2"
    judges_changes_alone = True

    def __init__(self) -> None:
        self._committed: dict[int, int] = {}
        self._durable: dict[int, int] = {}

    def on_start(self, node: NodeView) -> None:
        """Compare with what the disk had."""
        core = node.raft
        if core is None:
            return
        committed = core.raft_log.committed
        durable = self._durable.get(node.id, 0)
        if committed < durable:
            self.fail(
                f"node {node.id} came back with {committed} committed, its disk had {durable}"
            )
        self._committed[node.id] = committed

    def on_step(self, node: NodeView) -> None:
        """Compare with the step before."""
        core = node.raft
        if core is None:
            return
        committed, before = core.raft_log.committed, self._committed.get(node.id, 0)
        if committed != before:
            if committed < before:
                self.fail(f"the commit index of node {node.id} fell from {before} to {committed}")
            self._committed[node.id] = committed
        durable, known = node.disk.hard_state.commit, self._durable.get(node.id, 0)
        if durable < known:
            self.fail(f"the commit index on disk of node {node.id} fell from {known} to {durable}")
        self._durable[node.id] = durable
