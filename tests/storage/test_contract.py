"""The storage suite over our own stores in this process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftify.config import Config
from raftify.storage import LmdbStorage, LogReader, MemStorage, StableStorage
from raftify.testing import CrashSafeStorageSuite, DurableStorageSuite, StorageSuite

#: RAFTIFY_SOAK multiplies how many writers are killed, for a run without hurry.
SOAK = int(os.environ.get("RAFTIFY_SOAK", "1"))

pytestmark = pytest.mark.timeout(240 * SOAK)


class TestMemStorage(StorageSuite):
    def open(self, directory: Path) -> StableStorage:
        return MemStorage.create()


class TestLmdbStorage(CrashSafeStorageSuite):
    kill_rounds = 6 * SOAK

    def open(self, directory: Path) -> StableStorage:
        return LmdbStorage.create(directory)

    def examine(self, directory: Path) -> None:
        names = {path.name for path in (directory / "snapshots").iterdir()}
        assert len(names) <= 1, "files of dead snapshots were left"
        with LogReader.open(directory) as reader:
            assert list(reader.verify()) == []


class TestLmdbStorageWithoutCache(DurableStorageSuite):
    """Reads take another way with each size of cache."""

    def open(self, directory: Path) -> StableStorage:
        return LmdbStorage.create(directory, Config(entry_cache_bytes=0))


class TestLmdbStorageWithASmallCache(DurableStorageSuite):
    def open(self, directory: Path) -> StableStorage:
        return LmdbStorage.create(directory, Config(entry_cache_bytes=1500))
