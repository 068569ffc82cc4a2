"""What a store remembers of its peers, and that it refuses everything once it is closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftify.errors import (
    StorageError,
)
from raftify.storage import StableStorage, WriteBatch
from raftify.testing.storage_suite.base import Cases
from raftify.testing.storage_suite.making import IDENTITY, MEMBERS, make_entries


class LifetimeCases(Cases):
    """Incarnations, and the end."""

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
