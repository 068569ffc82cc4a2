"""LogReader over a log in RocksDB, also beside a running node: it reads, and disturbs nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("rocksdict", reason="needs raftify[rocksdb]")

from raftify.core.types import HardState
from raftify.errors import NotALogDirectory, StorageDamaged, StorageError, StorageTooNew
from raftify.storage import LogReader, WriteBatch
from raftify.storage import lmdb_schema as schema
from raftify.storage.rocksdb import RocksDbStorage
from tests.storage.making import IDENTITY, MEMBERS, fill, make_entries, make_snapshot

ROOT = Path(__file__).resolve().parents[2]


def make_store(directory: Path) -> RocksDbStorage:
    storage = RocksDbStorage.create(directory)
    fill(storage)
    return storage


def state_of(directory: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of everything below `directory`."""
    stats = {str(file): file.stat() for file in directory.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def test_it_reads_what_the_store_holds_and_changes_nothing(tmp_path: Path) -> None:
    storage = make_store(tmp_path)
    snapshot = storage.latest_snapshot()
    storage.close()
    before = state_of(tmp_path)
    with LogReader.open(tmp_path) as reader:
        assert reader.is_noted
        assert reader.identity == IDENTITY
        assert reader.membership == MEMBERS
        assert reader.hard_state == HardState(1, 1, 292)
        assert (reader.first_index, reader.last_index) == (50, 301)
        assert reader.known_incarnations[3] == "three"
        assert list(reader.entries()) == make_entries(50, 302)
        assert reader.snapshot == snapshot
        with reader.open_snapshot() as file:
            assert file.read()
        assert list(reader.verify()) == []
    reader.close()
    assert state_of(tmp_path) == before


def test_it_sees_one_moment_until_it_is_refreshed(tmp_path: Path) -> None:
    """Of a store that is open, in this process even."""
    storage = make_store(tmp_path)
    with LogReader.open(tmp_path) as reader:
        reading = reader.entries()
        first = [next(reading) for _ in range(10)]
        storage.write(
            WriteBatch(entries=make_entries(295, 300, term=2), hard_state=HardState(2, 1, 299))
        )
        storage.save_snapshot(make_snapshot(storage, 200))
        storage.compact(200)
        assert first + list(reading) == make_entries(50, 302)
        assert reader.last_index == 301
        reader.refresh()
        assert (reader.first_index, reader.last_index) == (200, 299)
        assert reader.hard_state == HardState(2, 1, 299)
        replaced = make_entries(295, 300, term=2)
        assert list(reader.entries(290)) == [*make_entries(290, 295), *replaced]
    storage.close()


_WRITER = """
import sys
import tempfile
from raftify.core.types import HardState
from raftify.storage import WriteBatch
from raftify.storage.rocksdb import RocksDbStorage
from tests.storage.making import *
while True:
    storage = RocksDbStorage.create(sys.argv[1])
    for _ in range(10):
        low = storage.last_index() + 1
        entries = make_entries(low, low + 50, term=2)
        storage.write(WriteBatch(entries=entries, hard_state=HardState(2, 1, low + 49)))
    storage.save_snapshot(make_snapshot(storage, low, term=2))
    storage.compact(low - 100)
    storage.close()
    print(low, flush=True)
"""


@pytest.mark.slow
def test_a_running_node_can_be_looked_into(tmp_path: Path) -> None:
    """The node writes as fast as it can, and restarts: each time all is in other files."""
    make_store(tmp_path).close()
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as writer:
        try:
            assert writer.stdout is not None
            tables: set[str] = set()
            last = 0
            while len(tables) < 10:
                assert writer.stdout.readline()
                tables |= {file.name for file in tmp_path.glob("log.rocksdb/*.sst")}
                with LogReader.open(tmp_path) as reader:
                    assert [str(damage) for damage in reader.verify()] == []
                    assert reader.last_index >= last
                    last = reader.last_index
                    first = reader.first_index
                    indices = [entry.index for entry in reader.entries()]
                    assert indices == list(range(first, last + 1))
            assert writer.poll() is None
        finally:
            writer.kill()


def test_damage_is_found(tmp_path: Path) -> None:
    """Wherever it is in a table: opening refuses it, or looking at everything does."""
    make_store(tmp_path).close()
    table = max(tmp_path.glob("log.rocksdb/*.sst"), key=lambda file: file.name)
    sound = table.read_bytes()
    for place in range(0, len(sound) * 3 // 4, len(sound) // 20):
        data = bytearray(sound)
        data[place] ^= 4
        table.write_bytes(data)
        assert damage_of(tmp_path), f"the damage at byte {place} was not found"
    table.unlink()
    with pytest.raises(StorageError, match=r"log\.rocksdb"):
        LogReader.open(tmp_path)


def damage_of(directory: Path) -> list[StorageDamaged]:
    try:
        with LogReader.open(directory) as reader:
            return list(reader.verify())
    except StorageDamaged as error:
        return [error]


def test_a_database_that_is_none(tmp_path: Path) -> None:
    make_store(tmp_path).close()
    place = tmp_path / "log.rocksdb"
    (place / "CURRENT").unlink()
    with pytest.raises(StorageDamaged, match="no CURRENT"):
        LogReader.open(tmp_path)
    shutil.rmtree(place)
    with pytest.raises(NotALogDirectory, match=r"no log\.mdb and no log\.rocksdb"):
        LogReader.open(tmp_path)


def test_a_log_of_a_newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(schema, "FORMAT_VERSION", schema.FORMAT_VERSION + 1)
        make_store(tmp_path).close()
    with pytest.raises(StorageTooNew):
        LogReader.open(tmp_path)


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path).close()
    for name in [name for name in sys.modules if name.startswith("raftify.storage.rocksdb")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rocksdict", None)
    with pytest.raises(StorageError, match=r"pip install 'raftify\[rocksdb\]'"):
        LogReader.open(tmp_path)


def test_without_a_temporary_directory_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose file system may not be written."""
    make_store(tmp_path).close()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StorageError, match="set TMPDIR"):
        LogReader.open(tmp_path)
