"""purged <= snapshot <= applied <= handed out <= committed <= last, at each step."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.core.types import Entry
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class OrderOfIndexes(Invariant):
    """Raft paper §7 and Figure 2; `RaftLog` states the same of itself.

    A state machine may be behind one snapshot only: that which its process began with or took from
    others, until it is restored. What it gets then follows on what it has, entry by entry.
    """

    cites = "Raft paper §7"
    judges_changes_alone = True

    def __init__(self) -> None:
        #: The last snapshot that each process did not make itself.
        self._taken_in: dict[int, int] = {}
        self._has: dict[int, int] = {}

    def on_start(self, node: NodeView) -> None:
        """A state machine begins with nothing, and takes in the snapshot on its disk."""
        self._taken_in[node.id], self._has[node.id] = node.disk.snapshot_index, 0

    def on_restore(self, node: NodeView, index: int) -> None:
        """What comes next follows on `index`."""
        self._has[node.id] = index

    def on_step(self, node: NodeView) -> None:
        """Compare the indexes."""
        core = node.raft
        if core is None:
            return
        log, disk = core.raft_log, node.disk
        taken_in, before_log = self._taken_in.get(node.id, 0), log.first_index() - 1
        if before_log > max(taken_in, disk.snapshot_index):
            # A snapshot took the log's place, and is on its way to the disk.
            taken_in = self._taken_in[node.id] = before_log
        committed = log.committed
        purged, snapshot = disk.first_index - 1, disk.snapshot_index
        if not (
            purged <= snapshot <= committed
            and snapshot <= max(node.applied, taken_in)
            and node.applied <= log.applied <= committed <= log.last_index()
        ):
            self.fail(
                f"on node {node.id}: purged {purged}, snapshot {snapshot}, applied "
                f"{node.applied}, handed out {log.applied}, committed {committed}, last "
                f"{log.last_index()}; the last snapshot that was not its own ends at {taken_in}"
            )

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        """What is applied must follow on what the state machine has."""
        if not entries:
            return
        indexes = [entry.index for entry in entries]
        first = self._has.get(node.id, indexes[0] - 1) + 1
        if indexes != list(range(first, first + len(indexes))):
            self.fail(f"node {node.id}, which had {first - 1}, got the entries {indexes}")
        self._has[node.id] = indexes[-1]
