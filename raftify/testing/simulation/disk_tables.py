"""The records on a simulated disk: sorted tables, and the transactions that made them."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from raftify.storage.lmdb_schema import LOG_DB, META_DB

#: How many transactions can be undone, for a disk that returns old data.
_REMEMBERED: Final = 64


class Table:
    """Records in the order of their keys."""

    __slots__ = ("keys", "name", "size_bytes", "values")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.keys: list[bytes] = []
        self.values: dict[bytes, bytes] = {}
        self.size_bytes = 0

    def put(self, key: bytes, value: bytes | None) -> bytes | None:
        """Put `value` under `key`, or remove it if `value` is None; return what was there."""
        before = self.values.get(key)
        if value is None:
            if before is not None:
                del self.values[key]
                del self.keys[bisect_left(self.keys, key)]
                self.size_bytes -= len(key) + len(before)
            return before
        if before is None:
            if not self.keys or self.keys[-1] < key:
                self.keys.append(key)
            else:
                self.keys.insert(bisect_left(self.keys, key), key)
            self.size_bytes += len(key) + len(value)
        else:
            self.size_bytes += len(value) - len(before)
        self.values[key] = value
        return before


@dataclass(slots=True)
class Change:
    """A record before a transaction changed it; `before` is None if it was not there."""

    table: Table
    key: bytes
    before: bytes | None


@dataclass(slots=True)
class Commit:
    """A committed transaction: how to undo it, and what the folder of files was before it."""

    number: int
    changes: list[Change]
    folder: Any = None


@dataclass(slots=True)
class Tables:
    """Everything committed, and the last transactions."""

    log: Table = field(default_factory=lambda: Table(LOG_DB))
    meta: Table = field(default_factory=lambda: Table(META_DB))
    #: Number of the last committed transaction.
    last_txn_id: int = 0
    #: The most bytes ever in use at the same time: a map never shrinks.
    peak_bytes: int = 0
    commits: deque[Commit] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    @property
    def size_bytes(self) -> int:
        return self.log.size_bytes + self.meta.size_bytes

    def all_records(self) -> list[tuple[Table, bytes]]:
        """Return table and key of every record, in one order."""
        return [(table, key) for table in (self.log, self.meta) for key in table.keys]

    def commit(self, changes: list[Change], folder: object) -> None:
        """Note a transaction whose changes are made already."""
        self.last_txn_id += 1
        self.commits.append(Commit(self.last_txn_id, changes, folder))
        self.peak_bytes = max(self.peak_bytes, self.size_bytes)


def undo(changes: list[Change]) -> None:
    """Put back what was before `changes`, which were made in this order."""
    for change in reversed(changes):
        change.table.put(change.key, change.before)
