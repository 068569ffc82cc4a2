"""The core's view of the store: the same reads, and a note when a snapshot is missing."""

from __future__ import annotations

from collections.abc import Callable

from raftify.core.types import RaftState, Snapshot
from raftify.errors import SnapshotTemporarilyUnavailable
from raftify.storage.base import StableStorage


class CoreStorage:
    """Passes reads through; `on_missing(index, to)` is called when a snapshot is asked for in vain.

    The core asks again by itself, with the follower's next response.
    """

    def __init__(self, storage: StableStorage, on_missing: Callable[[int, int], None]) -> None:
        self._storage = storage
        self._on_missing = on_missing
        # The hot ones are bound once: the core calls them for every batch.
        self.entries = storage.entries
        self.term = storage.term
        self.first_index = storage.first_index
        self.last_index = storage.last_index

    def initial_state(self) -> RaftState:
        return self._storage.initial_state()

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        try:
            return self._storage.snapshot(request_index, to)
        except SnapshotTemporarilyUnavailable:
            self._on_missing(request_index, to)
            raise
