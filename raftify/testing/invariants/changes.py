"""Whether anything changed in a node of what most invariants look at: most steps change nothing."""

from __future__ import annotations

from typing import Any

from raftify.core.raft_core import RaftCore
from raftify.testing.simulation.observer import NodeView


class Changes:
    """Remembers what each node was like when it was looked at last."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, ...]] = {}

    def forget(self, node_id: int) -> None:
        """Take the node for changed when it is looked at next."""
        self._seen.pop(node_id, None)

    def happened(self, node: NodeView, core: RaftCore) -> bool:
        """Say whether the node is not as it was when this was asked last, and remember it so.

        Compared are its process, term, vote, role, indexes and configuration, the end of its log in
        memory, and what its disk holds: another object stands there after each write.

        Raises:
            StorageError: the node has closed its store, or cannot read it.
        """
        log, disk = core.raft_log, node.disk
        unstable = log.unstable
        written, conf = disk.hard_state, core.tracker.conf
        last = unstable.entries[-1] if unstable.entries else None
        now = (
            node.incarnation, core.term, core.vote, core.role, node.applied, log.applied,
            log.committed, log.persisted, log.first_index(), log.last_index(), unstable.offset,
            disk.first_index, disk.snapshot_index,
        )  # fmt: skip
        seen = self._seen.get(node.id)
        if (
            seen is not None
            and seen[0] is written
            and seen[1] is conf
            and seen[2] is last
            and seen[3] == now
        ):
            return False
        self._seen[node.id] = (written, conf, last, now)
        return True
