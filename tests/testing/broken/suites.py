"""A suite for each broken store, run by `test_storage_suite_catches` in a pytest of its own."""

from __future__ import annotations

from pathlib import Path

from raftify.storage import StableStorage
from raftify.testing import CrashSafeStorageSuite, DurableStorageSuite
from tests.testing.broken import lives, logs, snapshots
from tests.testing.broken.kept import KeptStorage

BROKEN = [*logs.ALL, *snapshots.ALL, *lives.IN_THIS_PROCESS]


class TestKeptStorage(DurableStorageSuite):
    """The sound one."""

    def open(self, directory: Path) -> StableStorage:
        return KeptStorage.at(directory)


def _make_suite(broken: type[KeptStorage]) -> type[DurableStorageSuite]:
    def open_broken(self: DurableStorageSuite, directory: Path) -> StableStorage:
        return broken.at(directory)

    return type(f"Test{broken.__name__}", (DurableStorageSuite,), {"open": open_broken})


for _broken in BROKEN:
    globals()[f"Test{_broken.__name__}"] = _make_suite(_broken)


class TestFileStorage(CrashSafeStorageSuite):
    """A sound one, too, that processes share."""

    kill_rounds = 2

    def open(self, directory: Path) -> StableStorage:
        return lives.FileStorage.at(directory)


class TestKeepsWhenClosedOnly(CrashSafeStorageSuite):
    kill_rounds = 1

    def open(self, directory: Path) -> StableStorage:
        return lives.KeepsWhenClosedOnly.at(directory)


class TestWritesByHalves(CrashSafeStorageSuite):
    def open(self, directory: Path) -> StableStorage:
        return lives.WritesByHalves.at(directory)
