"""The store in RocksDB passes the suite; and what is its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rocksdict", reason="needs raftify[rocksdb]")

from raftify.config import Config
from raftify.core.types import HardState
from raftify.errors import (
    NotALogDirectory,
    StorageDamaged,
    StorageError,
    StorageFull,
    StorageLocked,
)
from raftify.storage import LmdbStorage, LogReader, StableStorage, WriteBatch
from raftify.storage.rocksdb import RocksDbStorage
from raftify.testing import CrashSafeStorageSuite, DurableStorageSuite
from raftify.testing.storage_suite.base import contents
from tests.storage.making import IDENTITY, MEMBERS, make_entries

pytestmark = pytest.mark.timeout(240)


class TestRocksDbStorage(CrashSafeStorageSuite):
    def open(self, directory: Path) -> StableStorage:
        return RocksDbStorage.create(directory)

    def examine(self, directory: Path) -> None:
        names = {path.name for path in (directory / "snapshots").iterdir()}
        assert len(names) <= 1, "files of dead snapshots were left"
        with LogReader.open(directory) as reader:
            assert list(reader.verify()) == []


class TestRocksDbStorageWithoutCache(DurableStorageSuite):
    def open(self, directory: Path) -> StableStorage:
        return RocksDbStorage.create(directory, Config(entry_cache_bytes=0))


def make_store(directory: Path) -> RocksDbStorage:
    """Return a store with ten entries, each written by itself."""
    storage = RocksDbStorage.create(directory)
    storage.initialize(IDENTITY, MEMBERS)
    for index in range(2, 12):
        state = HardState(1, 2, index)
        storage.write(WriteBatch(entries=make_entries(index, index + 1), hard_state=state))
    return storage


@pytest.mark.parametrize(
    ("one", "other"), [(LmdbStorage, RocksDbStorage), (RocksDbStorage, LmdbStorage)]
)
def test_a_directory_with_another_kind_of_log_is_refused(
    tmp_path: Path,
    one: type[LmdbStorage | RocksDbStorage],
    other: type[LmdbStorage | RocksDbStorage],
) -> None:
    """A new log beside it would let the node vote twice in a term."""
    storage = one.create(tmp_path)
    storage.initialize(IDENTITY, MEMBERS)
    storage.close()
    with pytest.raises(NotALogDirectory, match="has a log already"):
        other.create(tmp_path)
    storage = one.create(tmp_path)
    assert storage.identity() == IDENTITY
    storage.close()


def test_one_at_a_time(tmp_path: Path) -> None:
    storage = RocksDbStorage.create(tmp_path)
    with pytest.raises(StorageLocked):
        RocksDbStorage.create(tmp_path)
    storage.close()
    RocksDbStorage.create(tmp_path).close()


def test_a_store_half_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "log.rocksdb.new").mkdir()
    (tmp_path / "log.rocksdb.new" / "CURRENT").write_text("half")
    storage = RocksDbStorage.create(tmp_path)
    assert storage.identity() is None
    storage.close()
    assert not (tmp_path / "log.rocksdb.new").exists()


def test_snapshots_without_their_log_are_damage(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "one.snapshot").write_bytes(b"state")
    with pytest.raises(StorageDamaged, match=r"log\.rocksdb is missing"):
        RocksDbStorage.create(tmp_path)


def test_every_flipped_bit_in_its_log_is_found(tmp_path: Path) -> None:
    """RocksDB's default would take it for the end of what was written."""
    storage = make_store(tmp_path / "sound")
    # As a killed process leaves it: all is in RocksDB's own log.
    shutil.copytree(tmp_path / "sound", tmp_path / "killed")
    storage.close()
    [log] = (tmp_path / "killed" / "log.rocksdb").glob("*.log")
    data = log.read_bytes()
    for place in range(5, len(data), len(data) // 40):
        damaged = bytearray(data)
        damaged[place] ^= 4
        log.write_bytes(damaged)
        with pytest.raises(StorageDamaged):
            RocksDbStorage.create(tmp_path / "killed")


def test_a_log_with_a_torn_end_is_what_was_reported_before(tmp_path: Path) -> None:
    storage = make_store(tmp_path / "sound")
    shutil.copytree(tmp_path / "sound", tmp_path / "before")
    before = contents(storage)
    [log] = (tmp_path / "before" / "log.rocksdb").glob("*.log")
    size = log.stat().st_size
    storage.write(WriteBatch(entries=make_entries(12, 20)))
    after = contents(storage)
    [longer] = (tmp_path / "sound" / "log.rocksdb").glob("*.log")
    data = longer.read_bytes()
    storage.close()
    for end in range(size, len(data) + 1, 50):
        log.write_bytes(data[:end])
        shutil.copytree(tmp_path / "before", tmp_path / "torn")
        torn = RocksDbStorage.create(tmp_path / "torn")
        assert contents(torn) == (after if end == len(data) else before)
        torn.close()
        shutil.rmtree(tmp_path / "torn")


def test_damage_in_a_table_is_found(tmp_path: Path) -> None:
    """Closing moves everything to a table."""
    make_store(tmp_path).close()
    table = max((tmp_path / "log.rocksdb").glob("*.sst"), key=lambda file: file.name)
    data = bytearray(table.read_bytes())
    data[len(data) // 4] ^= 4
    table.write_bytes(data)
    with pytest.raises(StorageDamaged):
        RocksDbStorage.create(tmp_path)


class _Failing:
    """A database whose next write fails."""

    def __init__(self, database: Any, words: str) -> None:
        self._database = database
        self._words = words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def write(self, *args: object) -> None:
        raise Exception(self._words)


def test_after_a_failed_write_nothing_more_is_written(tmp_path: Path) -> None:
    """It may be in RocksDB's log or not; what comes next must not stand on it."""
    storage = make_store(tmp_path)
    before = contents(storage)
    environment: Any = storage._env
    sound = environment._db
    environment._db = _Failing(sound, "IO error: No space left on device: While appending")
    with pytest.raises(StorageFull, match="Make room"):
        storage.write(WriteBatch(entries=make_entries(12, 20)))
    environment._db = sound
    with pytest.raises(StorageError, match="start again"):
        storage.write(WriteBatch(entries=make_entries(12, 20)))
    assert contents(storage) == before
    storage.close()
    storage = RocksDbStorage.create(tmp_path)
    assert contents(storage) == before
    storage.write(WriteBatch(entries=make_entries(12, 20)))
    assert storage.last_index() == 19
    storage.close()
