"""The classes that a user of the suite derives from."""

from __future__ import annotations

from raftify.testing.storage_suite.compaction import CompactionCases
from raftify.testing.storage_suite.entries import EntryCases
from raftify.testing.storage_suite.founding import FoundingCases
from raftify.testing.storage_suite.killing import KillingCases
from raftify.testing.storage_suite.lifetime import LifetimeCases
from raftify.testing.storage_suite.own_snapshots import OwnSnapshotCases
from raftify.testing.storage_suite.readers import ReaderCases
from raftify.testing.storage_suite.received_snapshots import ReceivedSnapshotCases
from raftify.testing.storage_suite.reopening import ReopeningCases


class StorageSuite(
    FoundingCases,
    EntryCases,
    OwnSnapshotCases,
    CompactionCases,
    ReceivedSnapshotCases,
    LifetimeCases,
    ReaderCases,
):
    """What every store must do while it is open. Derive, and write `open`."""


class DurableStorageSuite(ReopeningCases, StorageSuite):
    """The same with stores that were closed and opened again, and that everything outlives it."""


class CrashSafeStorageSuite(KillingCases, DurableStorageSuite):
    """The same, and that a process which is killed has kept what it had reported.

    `open` is called in other processes too: the class must be at the top of a module, and `open`
    must not depend on what a test or fixture has set.
    """
