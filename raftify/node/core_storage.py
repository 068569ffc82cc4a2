"""The core's view of the log: what is durable, and over it what is on its way to the disk.

Once a Ready is handed to the persister the core reads its entries back as if they were stored
(Ready, point 5). They are served from here until the disk has them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from raftify.core.entry_size import limit_size
from raftify.core.types import Entry, RaftState, Snapshot
from raftify.errors import SnapshotTemporarilyUnavailable
from raftify.storage.base import StableStorage


class CoreStorage:
    """Implements the core's Storage over a StableStorage.

    `on_missing(index, to)` is called when a snapshot is asked for in vain; the core asks again by
    itself, with the follower's next response.

    Invariant: `_entries` are contiguous from `_offset` on, and hold the latest of what `_batches`
    wrote at each index.
    """

    def __init__(self, storage: StableStorage, on_missing: Callable[[int, int], None]) -> None:
        self._storage = storage
        self._on_missing = on_missing
        self._entries: list[Entry] = []
        self._offset = 0
        self._snapshot: Snapshot | None = None
        # (number of the Ready, index of its first entry or 0, whether it has a snapshot)
        self._batches: deque[tuple[int, int, bool]] = deque()

    def begin_write(self, number: int, snapshot: Snapshot | None, entries: Sequence[Entry]) -> None:
        """Show what Ready `number` asks for as stored."""
        if snapshot is not None:
            self._snapshot = snapshot
            self._entries = []
        if entries:
            self._put(entries)
        if snapshot is not None or entries:
            first = entries[0].index if entries else 0
            self._batches.append((number, first, snapshot is not None))

    def end_write(self, number: int) -> None:
        """Forget what Ready `number` and those before asked for: the store shows it by itself."""
        if not self._batches or self._batches[0][0] > number:
            return
        while self._batches and self._batches[0][0] <= number:
            self._batches.popleft()
        if not any(has_snapshot for _, _, has_snapshot in self._batches):
            self._snapshot = None
        left = [first for _, first, _ in self._batches if first]
        if not left:
            self._entries = []
        elif min(left) > self._offset:
            del self._entries[: min(left) - self._offset]
            self._offset = min(left)

    def _put(self, entries: Sequence[Entry]) -> None:
        first = entries[0].index
        if not self._entries or first < self._offset:
            self._entries = list(entries)
            self._offset = first
            return
        del self._entries[first - self._offset :]
        self._entries.extend(entries)

    # -- the core's Storage -----------------------------------------------------------------

    def initial_state(self) -> RaftState:
        return self._storage.initial_state()

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        if not self._entries or high <= self._offset:
            return self._storage.entries(low, high, max_size_bytes)
        if low >= self._offset:
            pending = self._entries[low - self._offset : high - self._offset]
            return limit_size(pending, max_size_bytes)
        stored = self._storage.entries(low, self._offset, max_size_bytes)
        if len(stored) < self._offset - low:
            return stored
        return limit_size(stored + self._entries[: high - self._offset], max_size_bytes)

    def term(self, index: int) -> int:
        if self._entries and index >= self._offset:
            if index - self._offset < len(self._entries):
                return self._entries[index - self._offset].term
        elif self._snapshot is not None and index == self._snapshot.metadata.index:
            return self._snapshot.metadata.term
        return self._storage.term(index)

    def first_index(self) -> int:
        if self._snapshot is not None:
            return self._snapshot.metadata.index + 1
        return self._storage.first_index()

    def last_index(self) -> int:
        if self._entries:
            return self._offset + len(self._entries) - 1
        if self._snapshot is not None:
            return self._snapshot.metadata.index
        return self._storage.last_index()

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        try:
            return self._storage.snapshot(request_index, to)
        except SnapshotTemporarilyUnavailable:
            self._on_missing(request_index, to)
            raise
