"""purged <= snapshot <= committed, and applied <= handed out <= committed <= last, at each step."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.core.types import Entry
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class OrderOfIndexes(Invariant):
    """Raft paper §7 and Figure 2; `RaftLog` states the same of itself.

    A state machine may be behind a snapshot while it takes it in (after a start, or when a leader
    sent one), and must then take it: it never gets an entry that the log has no more.
    """

    cites = "Raft paper §7"
    judges_changes_alone = True

    def on_step(self, node: NodeView) -> None:
        """Compare the indexes."""
        core = node.raft
        if core is None:
            return
        log, disk = core.raft_log, node.disk
        committed = log.committed
        purged, snapshot = disk.first_index - 1, disk.snapshot_index
        if not (
            purged <= snapshot <= committed
            and node.applied <= log.applied <= committed <= log.last_index()
        ):
            self.fail(
                f"on node {node.id}: purged {purged}, snapshot {snapshot}, applied "
                f"{node.applied}, handed out {log.applied}, committed {committed}, last "
                f"{log.last_index()}"
            )

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        """What is applied must follow on what the state machine has."""
        if entries and [entry.index for entry in entries] != sorted(
            {entry.index for entry in entries}
        ):
            self.fail(f"node {node.id} got entries in the order {[e.index for e in entries]}")
