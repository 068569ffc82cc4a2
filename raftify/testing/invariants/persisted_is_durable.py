"""What a node counts as durable would be there after a crash."""

from __future__ import annotations

from raftify.core.types import Entry, HardState
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class PersistedIsDurable(Invariant):
    """Thesis 10.2.1; `RaftLog`: `persisted` is the last index known to be durable here.

    By it a leader counts itself into a quorum, and a follower hands out what is committed. Writes
    are under way while the log changes: what was overwritten meanwhile, or has to be written again,
    is not durable, though a disk has something there. Compares the log at that index with what a
    crash at this moment would leave.
    """

    cites = "thesis 10.2.1"
    judges_changes_alone = True

    def __init__(self) -> None:
        #: What each node was like at the last look: as long as it is so, nothing new can be seen.
        self._seen: dict[int, tuple[HardState, Entry | None, tuple[int, ...]]] = {}

    def on_start(self, node: NodeView) -> None:
        """Look at what the node begins with."""
        self.on_step(node)

    def on_step(self, node: NodeView) -> None:
        """Look at the last entry that counts as durable: it stands for all."""
        core = node.raft
        if core is None:
            return
        log, disk = core.raft_log, node.disk
        unstable, written = log.unstable, disk.hard_state
        persisted, last = log.persisted, log.last_index()
        end = unstable.entries[-1] if unstable.entries else None
        now = (node.incarnation, persisted, last, unstable.offset, disk.snapshot_index)
        seen = self._seen.get(node.id)
        # Each write makes another object of what the disk has.
        if seen is not None and seen[0] is written and seen[1] is end and seen[2] == now:
            return
        self._seen[node.id] = (written, end, now)
        if persisted > last:
            self.fail(
                f"node {node.id} counts its log as durable up to {persisted}, and it ends at {last}"
            )
        if persisted <= disk.snapshot_index or persisted < log.first_index() - 1:
            # Part of a snapshot on the disk, or replaced by one on its way there.
            return
        here, durable = log.term(persisted), disk.term(persisted)
        if durable != here:
            self.fail(
                f"node {node.id} counts its log as durable up to {persisted} (term {here}), and "
                f"its disk has term {durable} there and ends at {disk.last_index}"
            )
