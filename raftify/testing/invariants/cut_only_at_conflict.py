"""A log loses its end only where its leader has something else."""

from __future__ import annotations

from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class CutOnlyAtConflict(LogInvariant):
    """Raft paper, Figure 2, AppendEntries, steps 3 and 4; §5.5: requests may be repeated.

    What follows an entry is deleted only if that entry is of another term than the leader's. A
    leader has one log in its term, so that as long as the term is the same a log that was cut has
    the other entry at its end, or more of them. Else what was acknowledged may be gone.
    """

    cites = "Raft paper, Figure 2"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        #: Of each node the process, its term, and where its log began at the last change.
        self._seen: dict[int, tuple[int, int, int]] = {}

    def on_log(self, node: NodeView, step: Step) -> None:
        """Look at what is where the log was cut."""
        core, log = node.raft, step.log
        if core is None:
            return
        before = self._seen.get(node.id)
        # A snapshot may take the place of a whole log, and the log begins elsewhere then.
        now = self._seen[node.id] = (node.incarnation, core.term, log.first)
        if before == now and step.replaced and step.first_changed > log.last:
            self.fail(
                f"node {node.id} dropped the entries behind {log.last} in term {core.term}, and "
                "nothing conflicts with them there"
            )
