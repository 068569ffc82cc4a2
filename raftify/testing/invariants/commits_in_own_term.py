"""A leader counts replicas for entries of its own term only; older ones commit along with those."""

from __future__ import annotations

from raftify.core.types import Role
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class CommitsInOwnTerm(LogInvariant):
    """Raft paper §5.4.2 and Figure 8: an entry of an older term may be replaced although it is on
    a majority of the disks.

    Such a commit is wrong at once, though only a rare order of crashes makes it a lost write.
    """

    cites = "Raft paper §5.4.2"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        #: The term that a node led in when it was seen last: what it commits while it becomes the
        #: leader it may know from another one.
        self._led: dict[int, int] = {}

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look at the last entry that a leader's step committed."""
        core = node.raft
        leads = core is not None and core.role is Role.LEADER
        term = 0 if core is None else core.term
        if (
            leads
            and not step.started
            and self._led.get(node.id) == term
            and step.committed > step.committed_before
            and step.log.term(step.committed) not in (None, term)
        ):
            self.fail(
                f"node {node.id}, leader of term {term}, committed up to entry {step.committed}, "
                f"which is of term {step.log.term(step.committed)}"
            )
        # A leader appends an entry as its first act, so that it is seen here in each of its terms.
        self._led[node.id] = term if leads else 0
