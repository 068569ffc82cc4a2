"""A store in memory: for tests, for simulations, and for nodes that may forget everything."""

from __future__ import annotations

import io
import secrets
import threading
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from raftify.core.entry_size import limit_size
from raftify.core.types import Entry, RaftState, Snapshot
from raftify.errors import SnapshotOutOfDate, StorageDamaged, StorageError
from raftify.peers import Membership
from raftify.records import SnapshotDescriptor, SnapshotSink
from raftify.storage.base import StableStorage, StoreIdentity, WriteBatch
from raftify.storage.log_state import (
    LogState,
    check_new,
    decode_descriptor,
    initial_log,
    plan_compaction,
    plan_saved_snapshot,
    plan_write,
)
from raftify.storage.unclaimed import UnclaimedFiles


@dataclass(frozen=True, slots=True)
class _View:
    """One consistent state; `entries` begin at `first` and are replaced, never changed in place,
    except for appending behind `state.last_index`."""

    state: LogState
    entries: list[Entry]
    first: int

    def term(self, index: int) -> int:
        if index == self.state.before_index:
            return self.state.before_term
        self.state.check_range(index, index + 1)
        return self.entries[index - self.first].term


class MemStorage(StableStorage):
    """Keeps the whole contract of StableStorage but one: nothing outlives the object.

    A node that loses its store must never come back under its old id: it has forgotten its votes.
    So this is for tests and for clusters that are thrown away as a whole.
    """

    def __init__(self) -> None:
        self._identity: StoreIdentity | None = None
        self._incarnations: dict[int, str] = {}
        self._files: dict[str, bytes] = {}
        self._unclaimed = UnclaimedFiles()
        self._writing = threading.Lock()
        self._view: _View | None = _View(LogState(), [], 1)

    @classmethod
    def create(cls) -> MemStorage:
        """Return a new, empty store."""
        return cls()

    # -- reads ------------------------------------------------------------------------------

    def identity(self) -> StoreIdentity | None:
        self._current()
        return self._identity

    def membership(self) -> Membership:
        return self._current().state.membership

    def initial_state(self) -> RaftState:
        return self._current().state.raft_state()

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        view = self._current()
        view.state.check_range(low, high)
        return limit_size(view.entries[low - view.first : high - view.first], max_size_bytes)

    def term(self, index: int) -> int:
        return self._current().term(index)

    def first_index(self) -> int:
        return self._current().state.before_index + 1

    def last_index(self) -> int:
        return self._current().state.last_index

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        return self._current().state.snapshot_for(request_index, to)

    def latest_snapshot(self) -> Snapshot:
        return self._current().state.snapshot

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO:
        self._current()
        file_id = decode_descriptor(snapshot).file_id
        if not file_id:
            return io.BytesIO()
        try:
            return io.BytesIO(self._files[file_id])
        except KeyError:
            raise SnapshotOutOfDate(
                f"snapshot {file_id} is gone: a newer snapshot took its place"
            ) from None

    def known_incarnations(self) -> dict[int, str]:
        self._current()
        return dict(self._incarnations)

    # -- writes -----------------------------------------------------------------------------

    def initialize(self, identity: StoreIdentity, membership: Membership) -> None:
        with self._writing:
            self._current()
            check_new(self._identity, identity)
            state = initial_log(membership)
            self._identity = identity
            self._view = _View(state, [], state.last_index + 1)

    def write(self, batch: WriteBatch) -> None:
        with self._writing:
            view = self._initialized()
            change = plan_write(view.state, batch, view.term)
            self._check_file(change.state.snapshot)
            entries, first = view.entries, view.first
            if change.discard_all:
                entries, first = [], change.state.before_index + 1
            else:
                entries, first = _trimmed(entries, first, change.state.before_index)
                if change.discard_from is not None:
                    entries = entries[: change.discard_from - first]
            entries += change.entries
            self._view = _View(change.state, entries, first)
            if change.state.snapshot is not view.state.snapshot:
                self._adopt(view.state.snapshot, change.state.snapshot)

    def create_snapshot_sink(self, file_id: str = "") -> SnapshotSink:
        self._current()
        return _MemorySink(self, file_id or secrets.token_hex(16))

    def save_snapshot(self, snapshot: Snapshot) -> None:
        with self._writing:
            view = self._initialized()
            state = plan_saved_snapshot(view.state, snapshot, view.term)
            self._check_file(snapshot)
            self._view = _View(state, view.entries, view.first)
            self._adopt(view.state.snapshot, snapshot)

    def compact(self, first_index: int) -> None:
        with self._writing:
            view = self._initialized()
            state = plan_compaction(view.state, first_index, view.term)
            self._view = _View(state, *_trimmed(view.entries, view.first, state.before_index))

    def remember_incarnation(self, node_id: int, incarnation: str) -> None:
        with self._writing:
            self._initialized()
            known = {i: text for i, text in self._incarnations.items() if i != node_id}
            if incarnation:
                known[node_id] = incarnation
            self._incarnations = known

    def close(self) -> None:
        with self._writing:
            self._view = None

    # -- within -----------------------------------------------------------------------------

    def _current(self) -> _View:
        view = self._view
        if view is None:
            raise StorageError("the store in memory is closed")
        return view

    def _initialized(self) -> _View:
        view = self._current()
        if self._identity is None:
            raise StorageError("the store in memory belongs to nobody yet: initialize it first")
        return view

    def put_in_place(self, file_id: str, data: bytes) -> None:
        """Keep a finished snapshot's bytes; its sink calls this, from any thread."""
        view = self._view
        latest = SnapshotDescriptor() if view is None else decode_descriptor(view.state.snapshot)
        if file_id == latest.file_id:
            if data != self._files[file_id]:
                raise StorageError(
                    f"snapshot {file_id} is in use, and other bytes came under its id"
                )
            return

        def put() -> None:
            self._files[file_id] = data

        self._unclaimed.add(file_id, len(data), zlib.crc32(data), put)

    def _check_file(self, snapshot: Snapshot) -> None:
        descriptor = decode_descriptor(snapshot)
        if not descriptor.file_id:
            return
        data = self._files.get(descriptor.file_id)
        if data is None:
            raise StorageDamaged(f"snapshot {descriptor.file_id} is missing")
        if (len(data), zlib.crc32(data)) != (descriptor.size_bytes, descriptor.crc32):
            raise StorageDamaged(
                f"snapshot {descriptor.file_id} has {len(data)} bytes with checksum "
                f"{zlib.crc32(data):08x}, but is described with {descriptor.size_bytes} and "
                f"{descriptor.crc32:08x}"
            )

    def _adopt(self, before: Snapshot, after: Snapshot) -> None:
        old, new = decode_descriptor(before).file_id, decode_descriptor(after).file_id

        def remove(file_id: str) -> None:
            self._files.pop(file_id, None)

        self._unclaimed.claim(new, remove)
        if old != new:
            remove(old)


def _trimmed(entries: list[Entry], first: int, before_index: int) -> tuple[list[Entry], int]:
    """Return the entries after `before_index`, and the index of the first of them."""
    if before_index < first:
        return entries, first
    return entries[before_index + 1 - first :], before_index + 1


class _MemorySink:
    """A SnapshotSink that gathers bytes."""

    def __init__(self, storage: MemStorage, file_id: str) -> None:
        self._storage = storage
        self._file_id = file_id
        self._data: bytearray | None = bytearray()

    def write(self, data: bytes, /) -> int:
        self._gathered().extend(data)
        return len(data)

    def finish(self) -> tuple[str, int, int]:
        data = bytes(self._gathered())
        self._storage.put_in_place(self._file_id, data)
        self._data = None
        return self._file_id, len(data), zlib.crc32(data)

    def abort(self) -> None:
        self._data = None

    def _gathered(self) -> bytearray:
        if self._data is None:
            raise StorageError(f"snapshot {self._file_id} was finished or given up already")
        return self._data
