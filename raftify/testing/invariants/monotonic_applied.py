"""What a process has applied never falls."""

from __future__ import annotations

from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class MonotonicApplied(Invariant):
    """Raft paper, Figure 2: lastApplied increases monotonically.

    A new process begins anew, from its snapshot. The core's `applied` (what was handed out) and the
    state machine's own are both looked at.
    """

    cites = "Raft paper, Figure 2"
    judges_changes_alone = True

    def __init__(self) -> None:
        self._before: dict[int, tuple[int, int]] = {}

    def on_start(self, node: NodeView) -> None:
        """Begin anew."""
        self._before.pop(node.id, None)

    def on_step(self, node: NodeView) -> None:
        """Compare with the step before."""
        core = node.raft
        if core is None:
            return
        now = (core.raft_log.applied, node.applied)
        before = self._before.get(node.id, now)
        if now[0] < before[0] or now[1] < before[1]:
            self.fail(
                f"node {node.id} had handed out {before[0]} and applied {before[1]}, and now "
                f"{now[0]} and {now[1]}"
            )
        self._before[node.id] = now
