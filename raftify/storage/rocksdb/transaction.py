"""Transactions over a RocksDB iterator, which sees the database as it was when it was made.

The binding's own snapshots are no use: iterators made of them see later writes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Self

import rocksdict


def end_of(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with `prefix`, which is one byte."""
    return bytes((prefix[0] + 1,))


class ReadTransaction:
    """A Transaction that only reads."""

    def __init__(self, iterator: rocksdict.RdictIter) -> None:
        self._iterator = iterator
        self._id = 0
        self._counted = b""
        #: How many records the database has that `begin` named.
        self.count = 0

    def begin(self, txn_id: int, count: int, *, counted: bytes) -> None:
        """Know the number of this transaction, and how many records `counted` has."""
        self._id, self.count, self._counted = txn_id, count, counted

    def id(self) -> int:
        return self._id

    def get(self, key: bytes, *, db: bytes) -> bytes | None:
        return self.get_key(db + key)

    def get_key(self, key: bytes) -> bytes | None:
        """Return the value under a key as RocksDB has it, with its prefix."""
        found = self.at_or_after(key, key + b"\0")
        return None if found is None else found[1]

    def put(self, key: bytes, value: bytes, *, append: bool = False, db: bytes) -> bool:
        raise TypeError("this transaction only reads")

    def delete(self, key: bytes, *, db: bytes) -> bool:
        raise TypeError("this transaction only reads")

    def drop(self, db: bytes, delete: bool = True) -> None:  # noqa: FBT001, FBT002 - LMDB's
        raise TypeError("this transaction only reads")

    def cursor(self, db: bytes) -> Cursor:
        return Cursor(self, db)

    def stat(self, db: bytes) -> dict[str, int]:
        """Return how many records the log has; nobody asks that of other databases."""
        if db != self._counted:
            raise ValueError(f"the records of {db!r} are not counted")
        return {"entries": self.count}

    def at_or_after(self, key: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """Return the first record from `key` on and before `end`."""
        iterator = self._iterator
        iterator.seek(key)
        while iterator.valid():
            found = iterator.key()
            if found >= end:
                return None
            if not self._is_hidden(found):
                return found, iterator.value()
            iterator.next()
        # Either there are no more, or they could not be read.
        iterator.status()
        return None

    def last_before(self, key: bytes, begin: bytes) -> tuple[bytes, bytes] | None:
        """Return the last record before `key` and from `begin` on."""
        iterator = self._iterator
        iterator.seek_for_prev(key)
        while iterator.valid():
            found = iterator.key()
            if found < begin:
                return None
            if found != key and not self._is_hidden(found):
                return found, iterator.value()
            iterator.prev()
        iterator.status()
        return None

    def _is_hidden(self, key: bytes) -> bool:
        """Say whether the record in the database does not count any more."""
        return False


class WriteTransaction(ReadTransaction):
    """A Transaction that gathers changes, and sees them."""

    def __init__(self, iterator: rocksdict.RdictIter) -> None:
        super().__init__(iterator)
        #: By key with prefix; None for a record that is deleted.
        self.changes: dict[bytes, bytes | None] = {}
        self._changed_keys: list[bytes] = []
        #: Databases that were emptied before the changes.
        self.dropped: set[bytes] = set()

    def put(self, key: bytes, value: bytes, *, append: bool = False, db: bytes) -> bool:
        self._change(db, db + key, value)
        return True

    def delete(self, key: bytes, *, db: bytes) -> bool:
        return self._change(db, db + key, None)

    def drop(self, db: bytes, delete: bool = True) -> None:  # noqa: FBT001, FBT002 - LMDB's
        self.dropped.add(db)
        self.changes = {key: value for key, value in self.changes.items() if key[:1] != db}
        self._changed_keys = sorted(self.changes)
        if db == self._counted:
            self.count = 0

    def _change(self, db: bytes, key: bytes, value: bytes | None) -> bool:
        """Note a change; return whether there was a record before."""
        before = self.get_key(key) is not None
        if db == self._counted:
            self.count += (value is not None) - before
        if key not in self.changes:
            insort(self._changed_keys, key)
        self.changes[key] = value
        return before

    def _is_hidden(self, key: bytes) -> bool:
        return key in self.changes or key[:1] in self.dropped

    def at_or_after(self, key: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        found = super().at_or_after(key, end)
        keys = self._changed_keys
        for place in range(bisect_left(keys, key), len(keys)):
            changed = keys[place]
            if changed >= end or (found is not None and changed > found[0]):
                break
            value = self.changes[changed]
            if value is not None:
                return changed, value
        return found

    def last_before(self, key: bytes, begin: bytes) -> tuple[bytes, bytes] | None:
        found = super().last_before(key, begin)
        keys = self._changed_keys
        for place in range(bisect_left(keys, key) - 1, -1, -1):
            changed = keys[place]
            if changed < begin or (found is not None and changed < found[0]):
                break
            value = self.changes[changed]
            if value is not None:
                return changed, value
        return found


class Cursor:
    """A Cursor over the records of one database; see there."""

    def __init__(self, transaction: ReadTransaction, prefix: bytes) -> None:
        self._transaction = transaction
        self._prefix = prefix
        self._end = end_of(prefix)
        self._item = (b"", b"")

    def first(self) -> bool:
        return self.set_range(b"")

    def last(self) -> bool:
        return self._go(self._transaction.last_before(self._end, self._prefix))

    def next(self) -> bool:
        return self.set_range(self._item[0] + b"\0")

    def prev(self) -> bool:
        return self._go(self._transaction.last_before(self._prefix + self._item[0], self._prefix))

    def set_key(self, key: bytes, /) -> bool:
        if self.set_range(key) and self._item[0] == key:
            return True
        return self._go(None)

    def set_range(self, key: bytes, /) -> bool:
        return self._go(self._transaction.at_or_after(self._prefix + key, self._end))

    def key(self) -> bytes:
        return self._item[0]

    def item(self) -> tuple[bytes, bytes]:
        return self._item

    def delete(self) -> bool:
        key = self._item[0]
        deleted = self._transaction.delete(key, db=self._prefix)
        self.set_range(key)
        return deleted

    def _go(self, found: tuple[bytes, bytes] | None) -> bool:
        if found is None:
            self._item = (b"", b"")
            return False
        self._item = (found[0][len(self._prefix) :], found[1])
        return True

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        there = self._item[0] != b""
        while there:
            yield self._item
            there = self.next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        """Hold nothing."""
