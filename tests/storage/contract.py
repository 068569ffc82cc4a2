"""What every StableStorage must do: a test class to derive from, with a fixture `backend`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from raftify.core.types import Entry, HardState
from raftify.errors import (
    Compacted,
    StorageError,
    StorageForeign,
    Unavailable,
)
from raftify.records import SnapshotDescriptor
from raftify.storage import StableStorage, StoreIdentity, WriteBatch
from tests.storage.contract_base import Backend, contents
from tests.storage.contract_log import LogContract
from tests.storage.contract_snapshots import SnapshotContract
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot


class StorageContract(LogContract, SnapshotContract):
    """Derive, and give a fixture `backend` that returns a Backend."""

    # -- the rest ---------------------------------------------------------------------------

    def test_incarnations_are_remembered_until_forgotten(self, storage: StableStorage) -> None:
        storage.remember_incarnation(2, "two")
        storage.remember_incarnation(3, "three")
        storage.remember_incarnation(3, "three")
        storage.remember_incarnation(4, "")
        assert storage.known_incarnations() == {2: "two", 3: "three"}
        storage.remember_incarnation(2, "")
        storage.remember_incarnation(3, "drei")
        assert storage.known_incarnations() == {3: "drei"}

    def test_a_closed_store_refuses_everything(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20)))
        snapshot = storage.latest_snapshot()
        storage.close()
        storage.close()
        calls: list[Callable[[], object]] = [
            storage.identity,
            storage.membership,
            storage.initial_state,
            storage.first_index,
            storage.last_index,
            storage.latest_snapshot,
            storage.known_incarnations,
            storage.create_snapshot_sink,
            lambda: storage.entries(2, 3),
            lambda: storage.term(2),
            lambda: storage.snapshot(0, 0),
            lambda: storage.open_snapshot(snapshot),
            lambda: storage.initialize(IDENTITY, MEMBERS),
            lambda: storage.write(WriteBatch()),
            lambda: storage.save_snapshot(snapshot),
            lambda: storage.compact(2),
            lambda: storage.remember_incarnation(2, "x"),
        ]
        for call in calls:
            with pytest.raises(StorageError, match="closed"):
                call()

    def test_readers_see_the_state_before_a_write_or_after_it(self, storage: StableStorage) -> None:
        """The writer replaces tails and discards heads; no reader ever sees a mixture."""
        storage.write(WriteBatch(entries=make_entries(2, 60), hard_state=HardState(1, 1, 1)))
        faults: list[BaseException] = []
        stop = threading.Event()
        reads = 0

        def read() -> None:
            nonlocal reads
            try:
                while not stop.is_set():
                    _check_one_read(storage)
                    reads += 1
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                faults.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for term in range(2, 60):
            low = _first_of_last_term(term)
            entries = make_entries(low, low + 60 + term % 7, term)
            storage.write(WriteBatch(entries=entries, hard_state=HardState(term, 1, low - 1)))
            if term % 10 == 0:
                storage.save_snapshot(make_snapshot(storage, low - 1, storage.term(low - 1)))
                storage.compact(low)
        stop.set()
        for reader in readers:
            reader.join()
        assert faults == [], "\n".join(map(str, faults))
        assert reads > 0, "no reader read anything"


def _first_of_last_term(term: int) -> int:
    """Return where the writer begins in `term`: two more are kept after each compaction."""
    return 4 + (term - 1) // 10 * 2


def _check_one_read(storage: StableStorage) -> None:
    """Read the log; the term of its last entry says what each of the others must be."""
    first, last = storage.first_index(), storage.last_index()
    try:
        entries: list[Entry] = storage.entries(first, last + 1)
    except (Compacted, Unavailable):
        return
    term = entries[-1].term
    # What the last compaction left at the head was written just before it.
    at_head = max((term - 1) // 10 * 10, 1)
    low = _first_of_last_term(term)
    middle = min(max(low, first), last + 1)
    expected = [*make_entries(first, middle, at_head), *make_entries(middle, last + 1, term)]
    assert entries == expected, (
        f"read {first} to {last} of term {term}, which begins at {low}: the terms are "
        f"{[entry.term for entry in entries]}, the indices {[entry.index for entry in entries]}"
    )


class DurableStorageContract(StorageContract):
    """The same, and everything outlives closing and opening."""

    @pytest.fixture
    def storage(self, backend: Backend) -> StableStorage:
        """A founder's store, opened again."""
        storage = backend.open()
        storage.initialize(IDENTITY, MEMBERS)
        storage.close()
        return backend.open()

    def test_everything_outlives_reopening(self, backend: Backend) -> None:
        storage = backend.open()
        storage.initialize(IDENTITY, MEMBERS)
        steps: list[Callable[[StableStorage], object]] = [
            lambda s: s.write(WriteBatch(entries=make_entries(2, 30))),
            lambda s: s.write(WriteBatch(hard_state=HardState(1, 2, 20), must_sync=False)),
            lambda s: s.write(WriteBatch(entries=make_entries(25, 27, 2))),
            lambda s: s.write(WriteBatch(membership=replace(MEMBERS, index=20, max_id=9))),
            lambda s: s.remember_incarnation(2, "two"),
            lambda s: s.save_snapshot(make_snapshot(s, 10)),
            lambda s: s.compact(8),
            lambda s: s.write(WriteBatch(snapshot=make_snapshot(s, 22))),
            lambda s: s.write(WriteBatch(entries=make_entries(27, 29, 2))),
            lambda s: s.write(WriteBatch(snapshot=make_snapshot(s, 40, 3, b"x" * 100_000))),
            lambda s: s.write(WriteBatch(entries=make_entries(41, 45, 3))),
            lambda s: s.remember_incarnation(2, ""),
            lambda s: s.save_snapshot(make_snapshot(s, 44, 3)),
            lambda s: s.compact(45),
        ]
        for step in steps:
            step(storage)
            before = contents(storage)
            storage.close()
            storage = backend.open()
            assert contents(storage) == before
            descriptor = SnapshotDescriptor.decode(storage.latest_snapshot().data)
            with storage.open_snapshot(storage.latest_snapshot()) as file:
                assert len(file.read()) == descriptor.size_bytes

    def test_a_store_stays_its_owners(self, backend: Backend) -> None:
        storage = backend.open()
        storage.initialize(IDENTITY, MEMBERS)
        storage.close()
        storage = backend.open()
        with pytest.raises(StorageForeign):
            storage.initialize(StoreIdentity("stores", 2, "other"), MEMBERS)
