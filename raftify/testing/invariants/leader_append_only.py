"""A leader never overwrites or deletes entries in its log; it only appends new ones."""

from __future__ import annotations

from raftify.core.types import Role
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class LeaderAppendOnly(LogInvariant):
    """Raft paper, Figure 3 and §5.3. What snapshots cover may be discarded."""

    cites = "Raft paper §5.3"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        #: The term that a node led in when it was seen last.
        self._led: dict[int, int] = {}

    def on_log(self, node: NodeView, step: Step) -> None:
        """Compare with the log that the same leader had before."""
        core = node.raft
        leads = core is not None and core.role is Role.LEADER
        term = 0 if core is None else core.term
        if leads and not step.started and self._led.get(node.id) == term and step.replaced:
            self.fail(
                f"node {node.id}, leader of term {term}, replaced its entries from "
                f"{step.first_changed} on"
            )
        # A leader appends an entry as its first act, so that it is seen here in each of its terms.
        self._led[node.id] = term if leads else 0
