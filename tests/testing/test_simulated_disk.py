"""The simulated disk keeps the storage contract, and loses in a crash what a real one loses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from raftify.config import Config
from raftify.core.types import HardState
from raftify.errors import StorageError, StorageFull, StorageLocked
from raftify.storage import MemStorage, StableStorage, WriteBatch
from raftify.testing import DurableStorageSuite
from raftify.testing.simulation.disk import SimulatedDisk
from raftify.testing.simulation.disk_hold import ProcessIsDead
from raftify.testing.storage_suite.steps import describe, take_step
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot


class TestSimulatedDisk(DurableStorageSuite):
    """Opened again without having been closed, it was killed."""

    cache_bytes = 64 << 20
    _disk: SimulatedDisk | None = None

    def open(self, directory: Path) -> StableStorage:
        if self._disk is None:
            self._disk = SimulatedDisk(Random(1))
        if self._disk.is_open:
            self._disk.crash()
        return self._disk.open(Config(entry_cache_bytes=self.cache_bytes))


class TestSimulatedDiskWithoutCache(TestSimulatedDisk):
    cache_bytes = 0


class TestSimulatedDiskWithASmallCache(TestSimulatedDisk):
    cache_bytes = 1500


def make_disk(seed: int = 1) -> tuple[SimulatedDisk, StableStorage]:
    disk = SimulatedDisk(Random(seed))
    storage = disk.open()
    storage.initialize(IDENTITY, MEMBERS)
    return disk, storage


def test_what_was_written_outlives_a_crash() -> None:
    disk, storage = make_disk()
    storage.write(WriteBatch(entries=make_entries(2, 9), hard_state=HardState(3, 2, 5)))
    disk.crash()
    assert disk.open().entries(2, 9) == make_entries(2, 9)


@pytest.mark.parametrize("power_lost", [True, False])
def test_the_handles_of_a_dead_process_refuse_everything(power_lost: bool) -> None:
    disk, storage = make_disk()
    sink, other = storage.create_snapshot_sink(), storage.create_snapshot_sink()
    storage.write(WriteBatch(entries=make_entries(2, 9), hard_state=HardState(3, 2, 5)))
    storage.save_snapshot(make_snapshot(storage, 4))
    file = storage.open_snapshot(storage.latest_snapshot())
    disk.crash(power_lost=power_lost)
    alive = disk.open()
    before = describe(alive)
    for call in (
        lambda: storage.write(WriteBatch(entries=make_entries(9, 10))),
        lambda: storage.compact(3),
        lambda: storage.remember_incarnation(2, "two"),
        lambda: sink.write(b"more"),
        other.finish,
        file.read,
        lambda: storage.open_snapshot(storage.latest_snapshot()),
    ):
        with pytest.raises(ProcessIsDead):
            call()
    # Its lock is no longer its own to give away.
    storage.close()
    with pytest.raises(StorageLocked):
        disk.open()
    assert describe(alive) == before


def test_one_process_at_a_time_has_a_disk() -> None:
    disk, storage = make_disk()
    with pytest.raises(StorageLocked):
        disk.open()
    storage.close()
    assert not disk.is_open
    disk.open()


def test_an_unfinished_snapshot_is_gone_after_a_crash() -> None:
    for seed in range(50):
        disk, storage = make_disk(seed)
        sink = storage.create_snapshot_sink("half")
        sink.write(b"state" * 1000)
        disk.crash()
        storage = disk.open()
        make_snapshot(storage, 5, file_id="half")


def test_a_finished_file_whose_name_was_not_synced_may_be_gone() -> None:
    """Bytes are durable by the sync of the file, the name by that of the folder."""
    found = set()
    for seed in range(60):
        disk, storage = make_disk(seed)
        sink = storage.create_snapshot_sink("given")
        sink.write(b"state")
        # The commit of a sink: its bytes synced, the new name, the folder synced.
        disk.crash_after(2)
        with pytest.raises(ProcessIsDead):
            sink.finish()
        files = {name: bytes(file.data) for name, file in disk._folder.names.items()}
        assert set(files.values()) <= {b"state"}
        found |= {name.rpartition(".")[2] for name in files} or {"none"}
    assert found == {"tmp", "snapshot", "none"}


def test_unsynced_bytes_are_lost_wholly_in_part_or_not_at_all() -> None:
    found = set()
    for seed in range(60):
        disk, storage = make_disk(seed)
        storage.create_snapshot_sink("given").write(b"x" * 10)
        disk._folder.sync()
        disk.crash()
        [file] = disk._folder.names.values()
        data = bytes(file.data)
        assert data == b"x" * data.count(b"x") + bytes(data.count(0))
        found.add((len(data), data.count(0)))
    assert {(0, 0), (10, 0), (10, 10)} < found
    assert len(found) > 10


def test_a_kill_alone_loses_nothing_that_was_written() -> None:
    disk, storage = make_disk()
    storage.create_snapshot_sink("given").write(b"x" * 10)
    disk.crash(power_lost=False)
    [file] = disk._folder.names.values()
    assert bytes(file.data) == b"x" * 10


@pytest.mark.parametrize("power_lost", [True, False])
def test_a_crash_prepared_for_a_write_is_of_the_kind_that_was_asked_for(
    *, power_lost: bool
) -> None:
    """The bytes of the first write are not synced: only the system has them."""
    kept = set()
    for seed in range(30):
        disk, storage = make_disk(seed)
        sink = storage.create_snapshot_sink("given")
        disk._folder.sync()
        disk.crash_after(1, power_lost=power_lost)
        sink.write(b"x" * 10)
        with pytest.raises(ProcessIsDead):
            sink.write(b"y" * 10)
        [file] = disk._folder.names.values()
        kept.add(bytes(file.data).rstrip(b"y"))
    assert (kept == {b"x" * 10}) is not power_lost


@pytest.mark.parametrize("seed", range(12))
def test_a_crash_in_any_write_leaves_the_state_before_a_step_or_after_it(seed: int) -> None:
    disk, storage = make_disk(seed)
    rng = Random(seed)
    model = MemStorage.create()
    model.initialize(IDENTITY, MEMBERS)
    found = {"before": 0, "after": 0}
    for step in range(seed * 1000, seed * 1000 + 250):
        if rng.random() < 0.3:
            disk.crash_after(rng.randrange(6))
        try:
            take_step(storage, step)
        except ProcessIsDead:
            storage = disk.open()
            if describe(storage) == describe(model):
                found["before"] += 1
                continue
            found["after"] += 1
        take_step(model, step)
        assert describe(storage) == describe(model)
    assert min(found.values()) > 3, found


def test_the_durable_view_is_what_the_next_process_finds() -> None:
    disk, storage = make_disk(5)
    view = disk.durable
    for step in range(300):
        take_step(storage, step)
        if step % 10 == 0:
            disk.crash()
            storage = disk.open()
        assert view.hard_state == storage.initial_state().hard_state
        assert (view.first_index, view.last_index) == (storage.first_index(), storage.last_index())
        assert view.snapshot_index == storage.latest_snapshot().metadata.index
        for index in range(view.first_index - 1, view.last_index + 1):
            assert view.term(index) == storage.term(index)
        assert view.term(view.first_index - 2) is None
        assert view.term(view.last_index + 1) is None
    disk.wipe()
    assert (disk.durable.hard_state, disk.durable.last_index) == (HardState(), 0)


def test_the_same_seed_gives_the_same_disk() -> None:
    def live(seed: int) -> str:
        disk, storage = make_disk(seed)
        rng = Random(seed)
        for step in range(100):
            if rng.random() < 0.2:
                disk.crash_after(rng.randrange(4))
            try:
                take_step(storage, step)
                make_snapshot(storage, 1)
            except ProcessIsDead:
                storage = disk.open()
        files = [(name, bytes(file.data)) for name, file in disk._folder.names.items()]
        return repr((disk._tables.log.values, disk._tables.meta.values, files))

    assert live(1) == live(1)
    assert live(1) != live(2)


def test_a_full_disk_loses_nothing() -> None:
    disk, storage = make_disk()
    storage.write(WriteBatch(entries=make_entries(2, 9), hard_state=HardState(1, 1, 8)))
    snapshot = make_snapshot(storage, 5)
    sink = storage.create_snapshot_sink()
    disk.full = True
    before = describe(storage)
    for call in (
        lambda: storage.write(WriteBatch(entries=make_entries(9, 10))),
        lambda: storage.save_snapshot(snapshot),
        lambda: storage.remember_incarnation(2, "two"),
        lambda: sink.write(b"state"),
        storage.create_snapshot_sink,
    ):
        with pytest.raises(StorageFull):
            call()
    assert describe(storage) == before
    assert [name for name in disk._folder.names if name.endswith(".tmp")] == []
    disk.full = False
    storage.save_snapshot(snapshot)
    storage.compact(6)
    storage.write(WriteBatch(entries=make_entries(9, 10)))


def test_a_disk_that_becomes_full_in_the_middle_loses_nothing() -> None:
    disk, storage = make_disk()
    disk.room_bytes = 20_000
    with pytest.raises(StorageFull, match="Make room"):
        _append_for_ever(storage, size=1000)
    last = storage.last_index()
    assert 10 < last < 20
    disk.crash()
    assert disk.open().entries(2, last + 1) == make_entries(2, last + 1, size=1000)


def test_a_full_map_is_emptied_by_a_snapshot() -> None:
    disk = SimulatedDisk(Random(1))
    storage = disk.open(Config(lmdb_map_size=1 << 20))
    storage.initialize(IDENTITY, MEMBERS)
    for _ in range(3):
        with pytest.raises(StorageFull, match="lmdb_map_size"):
            _append_for_ever(storage, size=5000)
        last = storage.last_index()
        storage.save_snapshot(make_snapshot(storage, last))
        storage.compact(last + 1)


def _append_for_ever(storage: StableStorage, size: int) -> None:
    while True:
        last = storage.last_index() + 1
        entries = make_entries(last, last + 1, size=size)
        storage.write(WriteBatch(entries=entries, hard_state=HardState(1, 1, last)))


@pytest.mark.parametrize("fault", ["fail_reads", "fail_writes"])
def test_a_disk_that_fails_says_so_and_loses_nothing(fault: str) -> None:
    disk = SimulatedDisk(Random(1))
    storage = disk.open(Config(entry_cache_bytes=0))
    storage.initialize(IDENTITY, MEMBERS)
    storage.write(WriteBatch(entries=make_entries(2, 9), hard_state=HardState(1, 1, 8)))
    storage.save_snapshot(make_snapshot(storage, 5))
    storage.write(WriteBatch(entries=make_entries(9, 10)))
    before = describe(storage)
    # Storm 10: whoever restored from a file that was open already got an OSError, and was blamed.
    opened = [storage.open_snapshot(storage.latest_snapshot()) for _ in range(2)]
    setattr(disk, fault, True)
    reads: list[Callable[[], object]] = [
        lambda: storage.entries(2, 9),
        lambda: storage.open_snapshot(storage.latest_snapshot()).read(),
        opened[0].read,
        lambda: opened[1].read(10),
    ]
    writes: list[Callable[[], object]] = [
        lambda: storage.write(WriteBatch(entries=make_entries(10, 11))),
        storage.create_snapshot_sink,
    ]
    for call in reads if fault == "fail_reads" else writes:
        with pytest.raises(StorageError, match=r"disk/.*Input/output error"):
            call()
    setattr(disk, fault, False)
    assert describe(storage) == before
    disk.crash()
    setattr(disk, fault, fault == "fail_reads")
    if disk.fail_reads:
        with pytest.raises(StorageError, match="Input/output error"):
            disk.open()
    disk.fail_reads = False
    assert describe(disk.open()) == before


def test_a_wiped_disk_is_a_new_one() -> None:
    disk, _ = make_disk()
    disk.wipe()
    storage = disk.open()
    assert storage.identity() is None
    assert storage.last_index() == 0
