"""A leader never overwrites or deletes entries in its log; it only appends new ones."""

from __future__ import annotations

from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step
from raftify.testing.simulation.observer import NodeView


class LeaderAppendOnly(LogInvariant):
    """Raft paper, Figure 3 and §5.3. What snapshots cover may be discarded."""

    cites = "Raft paper §5.3"

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look at what changed in the log of a leader."""
        if step.leader_of and step.replaced:
            self.fail(
                f"node {node.id}, leader of term {step.leader_of}, replaced its entries from "
                f"{step.first_changed} on"
            )
