"""What the parts of the storage contract share: the fixtures, and how two stores compare."""

from __future__ import annotations

from typing import Protocol

import pytest

from raftify.storage import StableStorage
from tests.storage.making import IDENTITY, MEMBERS


class Backend(Protocol):
    """Where a store lies. `open` opens it, made new the first time; the test closes it."""

    def open(self) -> StableStorage: ...


def contents(storage: StableStorage) -> object:
    """Return everything that a store is asked for, to compare two of them."""
    first, last = storage.first_index(), storage.last_index()
    return (
        storage.identity(),
        storage.initial_state(),
        storage.membership(),
        storage.latest_snapshot(),
        storage.known_incarnations(),
        first,
        storage.term(first - 1),
        storage.entries(first, last + 1),
    )


class NeedsBackend:
    """Derive, and give a fixture `backend` that returns a Backend."""

    @pytest.fixture
    def storage(self, backend: Backend) -> StableStorage:
        """A store of node 1, a founder of three: its log begins after index 1."""
        storage = backend.open()
        storage.initialize(IDENTITY, MEMBERS)
        return storage
