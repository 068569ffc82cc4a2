"""A simulated LMDB environment: what a process has open of the records on a simulated disk.

Offers what `LmdbEnvironment` does. A transaction is durable when it has ended, wholly, or has left
no trace: LMDB copies each page before it changes it, and the last page it writes, synced by
itself, makes the new ones count.
"""

from __future__ import annotations

import contextlib
import os
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from raftify.errors import StorageError, StorageFull
from raftify.storage.disk_folder import FULL_ERRORS
from raftify.testing.simulation.disk_hold import Hold
from raftify.testing.simulation.disk_tables import Change, Table, Tables, undo

#: As LmdbEnvironment has it.
_HEADROOM_BYTES: Final = 16 << 20


class SimulatedEnvironment:
    """An Environment over `tables`, for one process.

    Reads and writes exclude each other, so that each sees one state, on whatever thread.
    """

    def __init__(
        self,
        path: Path,
        tables: Tables,
        hold: Hold,
        map_size: int,
        folder_image: Callable[[], object],
    ) -> None:
        """Open `tables`; `folder_image` is called before each transaction, for its undoing."""
        self.path = path
        self._folder_image = folder_image
        self.log_db = tables.log
        self.meta_db = tables.meta
        self._tables = tables
        self._hold = hold
        self._map_size = map_size
        self._headroom = 0
        self._lock = threading.RLock()
        self._open = True

    @contextlib.contextmanager
    def reading(self) -> Iterator[SimulatedTransaction]:
        """Begin a read transaction."""
        with self._lock:
            self._check_open()
            self._raise(self._hold.reading_fails(), "read")
            yield SimulatedTransaction(self._tables.last_txn_id, None)

    @contextlib.contextmanager
    def writing(self) -> Iterator[SimulatedTransaction]:
        """Begin a write transaction, which is durable at its end, or undone by an exception."""
        with self._lock:
            self._check_open()
            self._hold.check_alive()
            tables = self._tables
            image = self._folder_image()
            changes: list[Change] = []
            try:
                yield SimulatedTransaction(tables.last_txn_id + 1, changes)
                self._check_room()
                self._raise(self._hold.writing_fails(_written_bytes(changes)), "write to")
            except BaseException:
                undo(changes)
                raise
            self._hold.write(keep=lambda: self._commit(changes, image), drop=lambda: undo(changes))

    def _commit(self, changes: list[Change], image: object) -> None:
        self._tables.commit(changes, image)
        self._hold.taken(f"{len(changes)} changes", [part for c in changes for part in _after(c)])

    def last_txn_id(self) -> int:
        """Return the number of the last committed transaction."""
        return self._tables.last_txn_id

    def is_more_than_half_full(self) -> bool:
        """Say whether more than half of the map has ever been used at the same time."""
        return self._tables.peak_bytes > self._map_size // 2

    @contextlib.contextmanager
    def headroom(self) -> Iterator[None]:
        """Have room for a while even if the map is full, to delete with."""
        self._headroom = _HEADROOM_BYTES
        try:
            yield
        finally:
            self._headroom = 0

    def forget_dead_readers(self) -> None:
        """Do nothing: no reader outlives its process here."""

    def close(self) -> None:
        with self._lock:
            self._open = False

    def _check_open(self) -> None:
        if not self._open:
            raise StorageError(f"{self.path} is closed")

    def _raise(self, number: int, doing: str) -> None:
        """Raise what the error number of the system means, if it is not 0."""
        if number in FULL_ERRORS:
            raise StorageFull(
                f"cannot {doing} {self.path}: {os.strerror(number)}. Make room on the disk; "
                "nothing of the write was kept"
            )
        if number:
            raise StorageError(f"cannot {doing} {self.path}: {os.strerror(number)}")

    def _check_room(self) -> None:
        if self._tables.size_bytes > self._map_size + self._headroom:
            raise StorageFull(
                f"{self.path} has reached its limit of {self._map_size:,} bytes: set "
                "lmdb_map_size higher and start again, or take snapshots more often. "
                "Nothing of the write was kept"
            )


def _written_bytes(changes: list[Change]) -> int:
    """Return how large the records are that were put."""
    values = [change.table.values.get(change.key) for change in changes]
    return sum(len(value) for value in values if value is not None)


def _after(change: Change) -> tuple[bytes, ...]:
    """Return what a record is after `change`; one that is gone has no value."""
    value = change.table.values.get(change.key)
    place = (change.table.name, change.key)
    return place if value is None else (*place, value)


class SimulatedTransaction:
    """A Transaction; one that writes notes what it changed."""

    __slots__ = ("_changes", "_id")

    def __init__(self, txn_id: int, changes: list[Change] | None) -> None:
        self._id = txn_id
        self._changes = changes

    def id(self) -> int:
        return self._id

    def stat(self, db: Table) -> dict[str, int]:
        return {"entries": len(db.keys)}

    def get(self, key: bytes, *, db: Table) -> bytes | None:
        return db.values.get(key)

    def put(self, key: bytes, value: bytes, *, append: bool = False, db: Table) -> bool:
        if append and db.keys and db.keys[-1] >= key:
            raise StorageError(f"the record {key!r} does not come last in {db.name!r}")
        self.change(db, key, bytes(value))
        return True

    def delete(self, key: bytes, *, db: Table) -> bool:
        return self.change(db, key, None) is not None

    def drop(self, db: Table, delete: bool = True) -> None:  # noqa: FBT001, FBT002 - LMDB's
        if delete:
            raise StorageError("only the records of a database can be dropped here")
        for key in [*reversed(db.keys)]:
            self.change(db, key, None)

    def cursor(self, db: Table) -> SimulatedCursor:
        return SimulatedCursor(self, db)

    def change(self, table: Table, key: bytes, value: bytes | None) -> bytes | None:
        """Put or remove a record; return what was there."""
        if self._changes is None:
            raise StorageError("a transaction that reads cannot write")
        before = table.put(key, value)
        self._changes.append(Change(table, key, before))
        return before


class SimulatedCursor:
    """A Cursor. Beside one that is in use, nothing else may change its table."""

    __slots__ = ("_at", "_keys", "_table", "_txn")

    def __init__(self, txn: SimulatedTransaction, table: Table) -> None:
        self._txn = txn
        self._table = table
        self._keys = table.keys
        # Where it is; before the first record and behind the last one it is nowhere.
        self._at = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def _go(self, at: int) -> bool:
        there = 0 <= at < len(self._keys)
        self._at = at if there else -1
        return there

    def first(self) -> bool:
        return self._go(0)

    def last(self) -> bool:
        return self._go(len(self._keys) - 1)

    def next(self) -> bool:
        return self._go(self._at + 1)

    def prev(self) -> bool:
        return self._go(self._at - 1) if self._at >= 0 else self.last()

    def set_key(self, key: bytes, /) -> bool:
        if key not in self._table.values:
            return self._go(-1)
        return self._go(bisect_left(self._keys, key))

    def set_range(self, key: bytes, /) -> bool:
        return self._go(bisect_left(self._keys, key))

    def key(self) -> bytes:
        return self._keys[self._at] if self._at >= 0 else b""

    def item(self) -> tuple[bytes, bytes]:
        key = self.key()
        return key, self._table.values[key] if key else b""

    def delete(self) -> bool:
        if self._at < 0:
            return False
        at = self._at
        self._txn.change(self._table, self._keys[at], None)
        self._go(at)
        return True

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        there = self._at >= 0 or self.first()
        while there:
            yield self.item()
            there = self.next()
