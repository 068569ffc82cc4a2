"""A full map or disk is a typed error that loses nothing, and ends when there is room again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raftify.config import Config
from raftify.core.types import HardState
from raftify.errors import StorageFull
from raftify.storage import LmdbStorage, LogReader, WriteBatch
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot

MIB = 1 << 20


def fill(storage: LmdbStorage, size: int = 5000) -> int:
    """Append until there is no room; return the last index."""
    for _ in range(100_000):
        last = storage.last_index()
        entries = make_entries(last + 1, last + 1 + max(10, 20_000 // size), size=size)
        try:
            storage.write(WriteBatch(entries=entries, hard_state=HardState(1, 1, last)))
        except StorageFull:
            return last
    raise AssertionError("it never became full")


@pytest.mark.parametrize("size", [100, 5000, 50_000])
def test_a_full_map_is_emptied_by_a_snapshot(tmp_path: Path, size: int) -> None:
    """LMDB copies pages even to delete from them, so a full map needs room to make room."""
    storage = LmdbStorage.create(tmp_path, Config(lmdb_map_size=2 * MIB))
    storage.initialize(IDENTITY, MEMBERS)
    filled = []
    for _ in range(4):
        last = fill(storage, size)
        filled.append(last)
        first = storage.first_index()
        assert storage.last_index() == last
        assert storage.entries(first, last + 1) == make_entries(first, last + 1, size=size)
        with pytest.raises(StorageFull):
            storage.write(
                WriteBatch(entries=make_entries(last + 1, last + 30_000 // size + 200, size=size))
            )
        storage.save_snapshot(make_snapshot(storage, last))
        storage.compact(last - 2)
    # Each time about as much fits in again.
    assert filled[-1] - filled[-2] > filled[0] // 2
    assert (tmp_path / "log.mdb").stat().st_size < 40 * MIB
    storage.close()
    with LogReader.open(tmp_path) as reader:
        assert list(reader.verify()) == []


def test_a_full_map_is_mended_by_a_larger_one(tmp_path: Path) -> None:
    storage = LmdbStorage.create(tmp_path, Config(lmdb_map_size=2 * MIB))
    storage.initialize(IDENTITY, MEMBERS)
    last = fill(storage)
    storage.close()
    storage = LmdbStorage.create(tmp_path, Config(lmdb_map_size=8 * MIB))
    assert storage.last_index() == last
    storage.write(WriteBatch(entries=make_entries(last + 1, last + 200, size=5000)))
    assert storage.entries(2, last + 200) == make_entries(2, last + 200, size=5000)
    storage.close()


_FILE_LIMIT = """
import resource, sys
from raftify.core.types import HardState
from raftify.errors import StorageFull
from raftify.storage import LmdbStorage, WriteBatch
from tests.storage.making import *
storage = LmdbStorage.create(sys.argv[1])
storage.initialize(IDENTITY, MEMBERS)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, hard))
def append():
    last = storage.last_index()
    state = HardState(1, 1, last)
    entries = make_entries(last + 1, last + 11, size=5000)
    storage.write(WriteBatch(entries=entries, hard_state=state))
try:
    while True:
        append()
except StorageFull as error:
    assert "disk" in str(error), error
last = storage.last_index()
assert storage.entries(2, last + 1) == make_entries(2, last + 1, size=5000)
sink = storage.create_snapshot_sink()
try:
    while True:
        sink.write(bytes(100_000))
except StorageFull:
    pass
assert not list(__import__("pathlib").Path(sys.argv[1], "snapshots").glob("*.tmp"))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
append()
print(storage.last_index() - last)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk's."""
    done = subprocess.run(
        [sys.executable, "-c", _FILE_LIMIT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "10\n", done.stderr
    storage = LmdbStorage.create(tmp_path)
    last = storage.last_index()
    assert storage.entries(2, last + 1) == make_entries(2, last + 1, size=5000)
    storage.close()
