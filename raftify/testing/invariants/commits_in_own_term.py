"""A leader counts replicas for entries of its own term only; older ones commit along with those."""

from __future__ import annotations

from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step
from raftify.testing.simulation.observer import NodeView


class CommitsInOwnTerm(LogInvariant):
    """Raft paper §5.4.2 and Figure 8: an entry of an older term may be replaced although it is on
    a majority of the disks.

    Such a commit is wrong at once, though only a rare order of crashes makes it a lost write.
    """

    cites = "Raft paper §5.4.2"

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look at the last entry that a leader's step committed.

        What a node commits while it becomes the leader, it may know from another one.
        """
        term = step.log.term(step.committed)
        if (
            step.leader_of
            and step.committed > step.committed_before
            and term not in (None, step.leader_of)
        ):
            self.fail(
                f"node {node.id}, leader of term {step.leader_of}, committed up to entry "
                f"{step.committed}, which is of term {term}"
            )
