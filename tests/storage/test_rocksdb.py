"""The store in RocksDB passes the suite; and what is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rocksdict", reason="needs raftify[rocksdb]")

from raftify.config import Config
from raftify.storage import StableStorage
from raftify.storage.rocksdb import RocksDbStorage
from raftify.testing import CrashSafeStorageSuite, DurableStorageSuite

pytestmark = pytest.mark.timeout(240)


class TestRocksDbStorage(CrashSafeStorageSuite):
    def open(self, directory: Path) -> StableStorage:
        return RocksDbStorage.create(directory)

    def examine(self, directory: Path) -> None:
        names = {path.name for path in (directory / "snapshots").iterdir()}
        assert len(names) <= 1, "files of dead snapshots were left"


class TestRocksDbStorageWithoutCache(DurableStorageSuite):
    def open(self, directory: Path) -> StableStorage:
        return RocksDbStorage.create(directory, Config(entry_cache_bytes=0))
