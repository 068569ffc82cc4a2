"""LogReader beside a running node: it reads, and disturbs nothing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from raftify.config import Config
from raftify.core.types import HardState
from raftify.errors import Compacted, StorageDamaged, StorageError, Unavailable
from raftify.storage import LmdbStorage, LogReader, WriteBatch, lmdb_runs
from raftify.storage import lmdb_schema as schema
from raftify.storage.medium import Environment, Transaction
from raftify.wire.codec import encode_entry
from tests.storage.making import IDENTITY, MEMBERS, fill, make_entries, make_snapshot
from tests.storage.raw import put_raw


def make_store(directory: Path) -> LmdbStorage:
    storage = LmdbStorage.create(directory)
    fill(storage)
    return storage


def test_a_reader_shows_all_there_is(tmp_path: Path) -> None:
    storage = make_store(tmp_path)
    state, snapshot = storage.initial_state(), storage.latest_snapshot()
    storage.close()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with LmdbStorage.open_readonly(str(tmp_path)) as reader:
        assert reader.path == tmp_path
        assert reader.identity == IDENTITY
        assert reader.hard_state == state.hard_state
        assert reader.membership == MEMBERS
        assert reader.snapshot == snapshot
        assert reader.known_incarnations == {3: "three"}
        assert (reader.first_index, reader.last_index) == (50, 301)
        assert list(reader.entries()) == make_entries(50, 302)
        assert list(reader.entries(77, 90)) == make_entries(77, 90)
        assert list(reader.entries(high=51)) == make_entries(50, 51)
        assert list(reader.verify()) == []
        with pytest.raises(Compacted):
            reader.entries(49)
        with pytest.raises(Unavailable):
            reader.entries(50, 303)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    lock = tmp_path / "log.mdb-lock"
    assert {**after, lock: 0} == {**before, lock: 0}
    with pytest.raises(StorageError):
        list(reader.entries())


def test_a_copy_without_lock_files_can_be_read_and_stays_as_it_is(tmp_path: Path) -> None:
    make_store(tmp_path / "log").close()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "log.mdb").write_bytes((tmp_path / "log" / "log.mdb").read_bytes())
    with LogReader.open(copy) as reader:
        assert list(reader.entries()) == make_entries(50, 302)
    assert [path.name for path in copy.iterdir()] == ["log.mdb"]


def test_every_damaged_run_is_reported_once(tmp_path: Path) -> None:
    """Among them the first, and some that are neighbours."""
    make_store(tmp_path).close()
    damaged = [42, 52, 62, 112, 182, 192, 202]
    for first in damaged:
        put_raw(tmp_path, schema.LOG_DB, schema.pack_key(first), b"garbage" * 10)
    with LogReader.open(tmp_path) as reader:
        found = [str(damage) for damage in reader.verify()]
        assert len(found) == len(damaged)
        for damage, first in zip(found, damaged, strict=True):
            assert f"index {first} is damaged" in damage
        assert list(reader.entries(72, 102)) == make_entries(72, 102)
        # The run before a damaged one has nobody to vouch for it.
        with pytest.raises(StorageDamaged, match="index 112"):
            next(reader.entries(102, 103))
        with pytest.raises(StorageDamaged, match="index 62"):
            next(reader.entries(70, 130))


def test_a_missing_run_and_a_misplaced_one_are_found(tmp_path: Path) -> None:
    make_store(tmp_path).close()
    encoded = [encode_entry(entry) for entry in make_entries(92, 102)]
    run = schema.pack_run(92, encoded, list(map(len, encoded)), 0)
    put_raw(tmp_path, schema.LOG_DB, schema.pack_key(72), run)
    put_raw(tmp_path, schema.LOG_DB, schema.pack_key(122), None)
    run = schema.pack_run(125, encoded, list(map(len, encoded)), 0)
    put_raw(tmp_path, schema.LOG_DB, schema.pack_key(125), run)
    with LogReader.open(tmp_path) as reader:
        found = [str(damage) for damage in reader.verify()]
    assert "index 72 is damaged: the checksum is wrong" in found[0]
    assert any("index 122 is missing" in damage for damage in found)


_WRITER = """
import sys
from raftify.config import Config
from raftify.core.types import HardState
from raftify.storage import LmdbStorage, WriteBatch
from tests.storage.making import *
storage = LmdbStorage.create(sys.argv[1])
while True:
    low = storage.last_index() + 1
    entries = make_entries(low, low + 50, term=2)
    storage.write(WriteBatch(entries=entries, hard_state=HardState(2, 1, low + 49)))
    if low // 50 % 10 == 0:
        storage.save_snapshot(make_snapshot(storage, low, term=2))
        storage.compact(low - 100)
        print(low, flush=True)
"""


@pytest.mark.slow
def test_a_running_node_can_be_looked_into(tmp_path: Path) -> None:
    """The node writes, compacts and reuses pages as fast as it can meanwhile."""
    make_store(tmp_path).close()
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as node:
        assert node.stdout is not None
        node.stdout.readline()
        read_whole, lost_race = 0, 0
        while read_whole < 20 and lost_race < 2_000:
            with LogReader.open(tmp_path) as reader:
                last = reader.last_index
                assert reader.hard_state.commit <= last
                try:
                    entries = list(reader.entries())
                    assert list(reader.verify()) == []
                except Compacted:
                    lost_race += 1
                    continue
                assert entries[-1].index == last
                read_whole += 1
        assert node.poll() is None
        node.kill()
    assert read_whole == 20


_GROW = """
import sys
from raftify.config import Config
from raftify.storage import LmdbStorage, WriteBatch
from tests.storage.making import *
storage = LmdbStorage.create(sys.argv[1], Config(lmdb_map_size=64 << 20))
storage.write(WriteBatch(entries=make_entries(2, 1002, size=10_000)))
storage.close()
"""


def test_a_reader_follows_when_the_node_makes_its_map_larger(tmp_path: Path) -> None:
    storage = LmdbStorage.create(tmp_path, Config(lmdb_map_size=2 << 20))
    storage.initialize(IDENTITY, MEMBERS)
    storage.close()
    with LogReader.open(tmp_path) as reader:
        assert reader.last_index == 1
        subprocess.run([sys.executable, "-c", _GROW, str(tmp_path)], check=True, timeout=50)
        reader.refresh()
        assert list(reader.entries()) == make_entries(2, 1002, size=10_000)


_READ_AND_DIE = """
import os, sys
from raftify.storage import LogReader
reader = LogReader.open(sys.argv[1])
with reader._env.reading():
    os._exit(0)
"""


def test_a_reader_that_was_killed_does_not_make_the_log_grow(tmp_path: Path) -> None:
    """It looks as if it still needed every page, until somebody checks that it lives."""
    storage = make_store(tmp_path)
    subprocess.run([sys.executable, "-c", _READ_AND_DIE, str(tmp_path)], check=True, timeout=50)
    sizes = []
    for _ in range(60):
        low = storage.last_index() + 1
        entries = make_entries(low, low + 20, size=5_000)
        storage.write(WriteBatch(entries=entries, hard_state=HardState(1, 1, low + 19)))
        storage.save_snapshot(make_snapshot(storage, low + 19))
        storage.compact(low + 20)
        sizes.append((tmp_path / "log.mdb").stat().st_size)
    assert sizes[-1] == sizes[10]
    storage.close()


_REPLACE = """
import sys
from raftify.core.types import HardState
from raftify.storage import LmdbStorage, WriteBatch
from tests.storage.making import *
storage = LmdbStorage.create(sys.argv[1])
for low in range(302, 3002, 100):
    storage.write(WriteBatch(entries=make_entries(low, low + 100, term=5)))
print("ready", flush=True)
sys.stdin.readline()
end = int(sys.argv[2])
storage.write(WriteBatch(entries=make_entries(295, end, term=3), hard_state=HardState(6, 1, 294)))
storage.write(WriteBatch(entries=make_entries(end, end + 5, term=6)))
print("replaced", flush=True)
sys.stdin.readline()
"""


class _Follower:
    """A node in another process that replaces its log's end, from index 295 on, when told to."""

    def __init__(self, directory: Path, end: int) -> None:
        make_store(directory).close()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _REPLACE, str(directory), str(end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._expect(b"ready\n")

    def replace(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        self._expect(b"replaced\n")

    def _expect(self, line: bytes) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == line

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.mark.parametrize("end", [296, 340, 5000])
def test_entries_replaced_while_they_are_listed_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    """Paper 5.3: a follower's conflicting entries go; its log may be shorter or longer then."""
    monkeypatch.setattr(lmdb_runs, "READ_BYTES", 0)
    with closing(_Follower(tmp_path, end)) as node, LogReader.open(tmp_path) as reader:
        listed = reader.entries()
        before = [next(listed) for _ in range(350)]
        assert [before[0].index, before[-1].index, before[-1].term] == [50, 399, 5]
        node.replace()
        after = list(listed)
        # The run that had been read already is listed to its end, at 401.
        assert [entry.index for entry in after[:2]] == [400, 401]
        assert after[2:] == make_entries(402, min(end, 3002), term=3)


@pytest.mark.parametrize("end", [296, 340, 5000])
def test_entries_replaced_while_they_are_checked_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    """The terms seem to fall, from 5 to 3, where the check goes on in the new log."""
    monkeypatch.setattr(lmdb_runs, "READ_BYTES", 0)
    read_runs = lmdb_runs.read_runs
    seen: list[int] = []

    def replace_behind(
        env: Environment, txn: Transaction, low: int, high: int, max_bytes: int
    ) -> list[schema.Run]:
        seen.append(low)
        runs = read_runs(env, txn, low, high, max_bytes)
        if low == 402:
            node.replace()
        return runs

    with closing(_Follower(tmp_path, end)) as node, LogReader.open(tmp_path) as reader:
        monkeypatch.setattr(lmdb_runs, "read_runs", replace_behind)
        assert list(reader.verify()) == []
    assert seen.count(402) == 1
    # It went on in the new log, to where that or what was to be checked ends.
    assert (max(seen) > 501) == (end == 5000)
