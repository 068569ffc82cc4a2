"""What outlives closing and opening."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from raftify.core.types import HardState
from raftify.errors import (
    StorageForeign,
)
from raftify.records import SnapshotDescriptor
from raftify.storage import StableStorage, StoreIdentity, WriteBatch
from raftify.testing.storage_suite.base import Cases, Place, contents
from raftify.testing.storage_suite.making import IDENTITY, MEMBERS, make_entries, make_snapshot


class ReopeningCases(Cases):
    """Whatever was written is there again; every case begins with a store opened again."""

    @pytest.fixture
    def storage(self, place: Place) -> StableStorage:
        """A founder's store, opened again."""
        storage = place.open()
        storage.initialize(IDENTITY, MEMBERS)
        storage.close()
        return place.open()

    def test_everything_outlives_reopening(self, place: Place) -> None:
        storage = place.open()
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
            storage = place.open()
            assert contents(storage) == before
            descriptor = SnapshotDescriptor.decode(storage.latest_snapshot().data)
            with storage.open_snapshot(storage.latest_snapshot()) as file:
                assert len(file.read()) == descriptor.size_bytes

    def test_a_store_stays_its_owners(self, place: Place) -> None:
        storage = place.open()
        storage.initialize(IDENTITY, MEMBERS)
        storage.close()
        storage = place.open()
        with pytest.raises(StorageForeign):
            storage.initialize(StoreIdentity("stores", 2, "other"), MEMBERS)
