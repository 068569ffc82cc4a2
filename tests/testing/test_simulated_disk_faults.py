"""What a bad disk does is noticed, at opening or at reading, and never read as something else."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from raftify.config import Config
from raftify.core.types import HardState
from raftify.errors import StorageDamaged, StorageError
from raftify.storage import StableStorage, WriteBatch
from raftify.storage import lmdb_schema as schema
from raftify.storage.log_archive import ArchiveReader, LogArchive
from raftify.testing.simulation.disk import SimulatedDisk
from raftify.testing.storage_suite.steps import describe, take_step
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot
from tests.testing.disk_lives import Life

SEEDS = range(80)
#: Without a cache everything is read from the disk.
CONFIG = Config(entry_cache_bytes=0)


def lived_in(seed: int) -> tuple[SimulatedDisk, list[object]]:
    """Return a disk whose node took some steps, and what it held after each."""
    disk = SimulatedDisk(Random(seed), "disk")
    storage = disk.open(CONFIG)
    storage.initialize(IDENTITY, MEMBERS)
    held: list[object] = []
    for step in range(seed * 100, seed * 100 + 10 + seed % 30):
        take_step(storage, step)
        held.append((storage.identity(), describe(storage)))
    return disk, held


def found_on(disk: SimulatedDisk) -> object:
    storage: StableStorage = disk.open(CONFIG)
    return (storage.identity(), describe(storage))


@pytest.mark.parametrize(
    "harm", [SimulatedDisk.tear, SimulatedDisk.flip_bit, SimulatedDisk.return_old]
)
def test_damage_is_never_a_wrong_answer(harm: Callable[[SimulatedDisk], str | None]) -> None:
    noticed = 0
    for seed in SEEDS:
        disk, held = lived_in(seed)
        what = harm(disk)
        assert what is not None
        disk.crash()
        # Some of it is gone already, of the runs before the first entry.
        found = held[-1]
        with contextlib.suppress(StorageDamaged):
            found = found_on(disk)
            noticed -= 1
        noticed += 1
        assert found == held[-1], f"seed {seed}: {what} was read as something else"
    assert noticed > len(SEEDS) * 0.8


def test_a_disk_that_went_back_as_a_whole_is_not_noticed() -> None:
    """The one that no node can notice; what it finds is what it once had."""
    back = 0
    for seed in SEEDS:
        disk, held = lived_in(seed)
        transactions = disk.roll_back()
        found = found_on(disk)
        assert transactions > 0
        # Some steps make several transactions, and some make none.
        assert found in held or disk.durable.last_index <= 1
        back += found != held[-1]
    assert back > len(SEEDS) // 2


def test_lives_under_every_fault() -> None:
    """A crash in any write, a full disk, errors; `make soak` lives more of them."""
    seen: Counter[str] = Counter()
    for seed in range(8):
        life = Life(seed)
        life.run()
        seen += life.seen
    assert {"ProcessIsDead", "StorageFull", "StorageError"} <= seen.keys()


def _put_back(disk: SimulatedDisk, key: bytes, write: Callable[[], object]) -> None:
    """Let `write` happen, but for the record under `key`."""
    tables = disk._tables
    table = tables.meta if key in tables.meta.values else tables.log
    before = table.values[key]
    write()
    assert table.values[key] != before
    table.put(key, before)
    disk.crash()


@pytest.mark.parametrize(
    ("key", "batch"),
    [
        (schema.STATE_KEY, WriteBatch(hard_state=HardState(7, 3, 5))),
        (schema.STATE_KEY, WriteBatch(entries=make_entries(40, 50))),
        (schema.MEMBERSHIP_KEY, WriteBatch(membership=MEMBERS.__class__())),
        (schema.pack_key(20), WriteBatch(entries=make_entries(20, 30, term=2))),
        (schema.pack_key(30), WriteBatch(entries=make_entries(35, 45, term=2))),
    ],
    ids=["vote", "end of log", "membership", "replaced entries", "cut run"],
)
def test_a_record_of_an_earlier_time_is_damage(key: bytes, batch: WriteBatch) -> None:
    """Its checksum is right: votes were forgotten, entries of a deposed leader were back."""
    disk = SimulatedDisk(Random(1))
    storage = disk.open(CONFIG)
    storage.initialize(IDENTITY, MEMBERS)
    for low in (2, 10, 20, 30):
        storage.write(WriteBatch(entries=make_entries(low, min(low // 10 * 10 + 10, 40))))
    storage.write(WriteBatch(hard_state=HardState(1, 1, 5)))
    _put_back(disk, key, lambda: storage.write(batch))
    with pytest.raises(StorageDamaged, match=r"disk/log\.mdb"):
        found_on(disk)


def test_an_old_snapshot_record_is_damage() -> None:
    """The log begins behind it: the state machine would begin with a hole in its history."""
    disk = SimulatedDisk(Random(1))
    storage = disk.open(CONFIG)
    storage.initialize(IDENTITY, MEMBERS)
    snapshot = make_snapshot(storage, 50, term=2)
    _put_back(disk, schema.SNAPSHOT_KEY, lambda: storage.write(WriteBatch(snapshot=snapshot)))
    with pytest.raises(StorageDamaged, match="'snapshot'"):
        disk.open()


def test_a_store_that_voted_never_looks_like_a_new_one() -> None:
    """A disk that lost two pages of a transaction showed what the store began with: nothing.

    Found by `tests/storage/page_images.py`, seed 2.
    """
    disk = SimulatedDisk(Random(1))
    storage = disk.open()
    new = dict(disk._tables.meta.values)
    storage.initialize(IDENTITY, MEMBERS)
    storage.write(WriteBatch(hard_state=HardState(5, 2, 1)))
    disk.crash()
    for key in [*disk._tables.meta.keys]:
        disk._tables.meta.put(key, new.get(key))
    with pytest.raises(StorageDamaged, match="'state'"):
        disk.open()


def test_an_old_run_is_noticed_by_its_neighbour() -> None:
    """In the middle of a log, where opening does not look; the message names the index."""
    disk = SimulatedDisk(Random(1))
    storage = disk.open(CONFIG)
    storage.initialize(IDENTITY, MEMBERS)
    storage.write(WriteBatch(entries=make_entries(2, 20)))
    storage.write(WriteBatch(entries=make_entries(20, 30)))
    storage.write(WriteBatch(entries=make_entries(30, 40)))
    old = disk._tables.log.values[schema.pack_key(20)]
    storage.write(WriteBatch(entries=make_entries(20, 30, term=2)))
    storage.write(WriteBatch(entries=make_entries(30, 40, term=2)))
    storage.write(WriteBatch(entries=make_entries(40, 50, term=2)))
    disk._tables.log.put(schema.pack_key(20), old)
    disk.crash()
    storage = disk.open(CONFIG)
    for read in (lambda: storage.term(25), lambda: storage.entries(20, 50)):
        with pytest.raises(StorageDamaged, match="index 20"):
            read()
    assert storage.entries(30, 50) == make_entries(30, 50, term=2)
    assert storage.entries(2, 20) == make_entries(2, 20)


def test_a_flipped_bit_in_a_snapshot_is_named_when_it_is_read() -> None:
    names = set()
    for seed in range(60):
        disk = SimulatedDisk(Random(seed))
        storage = disk.open(CONFIG)
        storage.initialize(IDENTITY, MEMBERS)
        storage.save_snapshot(make_snapshot(storage, 1, data=b"state" * 100, file_id="shot"))
        if disk.flip_bit() == "shot.snapshot":
            names.add(seed)
            with pytest.raises(StorageDamaged, match=r"disk/snapshots/shot\.snapshot"):
                storage.open_snapshot(storage.latest_snapshot()).read()
    assert names


def test_a_flipped_bit_in_the_archive_is_named_when_it_is_read() -> None:
    names = set()
    for seed in range(60):
        disk = SimulatedDisk(Random(seed))
        folder = disk.open(CONFIG).archive_folder(Path())
        LogArchive(folder, IDENTITY, 0).append(make_entries(2, 20))
        name = disk.flip_bit()
        if name in folder.names():
            names.add(seed)
            with pytest.raises(StorageDamaged, match=re.escape(f"disk/archive/{name}")):
                list(ArchiveReader(folder).entries(0, 100))
    assert names


def test_a_disk_that_fails_for_now_is_not_called_damaged() -> None:
    """Found by `tests/testing/disk_lives.py`, seed 3: such a node was given up."""
    disk = SimulatedDisk(Random(1))
    storage = disk.open(CONFIG)
    storage.initialize(IDENTITY, MEMBERS)
    snapshot = make_snapshot(storage, 50, term=2)
    disk.fail_reads = True
    with pytest.raises(StorageError, match="Input/output error") as caught:
        storage.write(WriteBatch(snapshot=snapshot))
    assert not isinstance(caught.value, StorageDamaged)
    disk.fail_reads = False
    storage.write(WriteBatch(snapshot=snapshot))
