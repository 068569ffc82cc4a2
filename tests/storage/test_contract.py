"""The storage contract over every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftify.config import Config
from raftify.storage import LmdbStorage, MemStorage, StableStorage
from tests.storage.contract import DurableStorageContract, StorageContract
from tests.storage.contract_base import Backend


class _Lmdb:
    """Stores in one directory; those left open by a test are closed after it."""

    def __init__(self, directory: Path, cache_bytes: int) -> None:
        self._directory = directory
        self._config = Config(entry_cache_bytes=cache_bytes)
        self.opened: list[StableStorage] = []

    def open(self) -> StableStorage:
        storage = LmdbStorage.create(self._directory, self._config)
        self.opened.append(storage)
        return storage


class _Memory:
    def open(self) -> StableStorage:
        return MemStorage.create()


class TestMemStorage(StorageContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return _Memory()


class TestLmdbStorage(DurableStorageContract):
    @pytest.fixture(params=[0, 1500, 64 << 20], ids=["no-cache", "small-cache", "cache"])
    def backend(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Backend]:
        """With caches of several sizes, since reads take another way with each."""
        lmdb = _Lmdb(tmp_path / "log", request.param)
        yield lmdb
        for storage in lmdb.opened:
            storage.close()
