"""Values for storage tests: those that the cases of the suite write."""

from __future__ import annotations

from raftify.core.types import HardState
from raftify.storage.base import StableStorage, WriteBatch
from raftify.testing.storage_suite.making import IDENTITY, MEMBERS, make_entries, make_snapshot

__all__ = ["IDENTITY", "MEMBERS", "fill", "make_entries", "make_snapshot"]


def fill(storage: StableStorage) -> None:
    """Found a cluster in `storage`, write 300 entries, keep a snapshot and discard 50."""
    storage.initialize(IDENTITY, MEMBERS)
    for low in range(2, 302, 10):
        storage.write(
            WriteBatch(entries=make_entries(low, low + 10), hard_state=HardState(1, 1, low))
        )
    storage.save_snapshot(make_snapshot(storage, 60))
    storage.compact(50)
    storage.remember_incarnation(3, "three")
