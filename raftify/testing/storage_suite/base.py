"""What the cases of the suite share: where stores lie, how they are opened, how two compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raftify.storage import StableStorage
from raftify.testing.storage_suite.making import IDENTITY, MEMBERS


class Place:
    """Where the store of one test lies; closes what the test leaves open."""

    def __init__(self, open_in: Callable[[Path], StableStorage], directory: Path) -> None:
        self._open_in = open_in
        self._opened: list[StableStorage] = []
        self.directory = directory

    def open(self) -> StableStorage:
        """Open the store, made new the first time."""
        storage = self._open_in(self.directory)
        self._opened.append(storage)
        return storage

    def close(self) -> None:
        """Close every store that was opened here; harmless for those that are closed."""
        for storage in self._opened:
            storage.close()


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


class Cases:
    """What every class of cases begins with. `open` is what a user of the suite writes."""

    def open(self, directory: Path) -> StableStorage:
        """Open the store that lies in `directory`, or make a new, empty one there.

        `directory` may not exist yet, and belongs to one test alone. A store that was closed is
        opened again with the same directory; one in memory may ignore it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must say how to open its storage: "
            "def open(self, directory: Path) -> StableStorage"
        )

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        """An empty place for the store of one test."""
        place = Place(self.open, tmp_path / "store")
        yield place
        place.close()

    @pytest.fixture
    def storage(self, place: Place) -> StableStorage:
        """A store of node 1, a founder of three: its log begins after index 1."""
        storage = place.open()
        storage.initialize(IDENTITY, MEMBERS)
        return storage
