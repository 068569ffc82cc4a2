"""Checks an LMDB file before LMDB touches it.

LMDB keeps no checksums and trusts its file: a page that was cut off ends the process with SIGBUS,
and a flipped bit in a page's header can lead it anywhere. So before an environment is used, its
pages are followed from the meta page down, and each must say that it is what the pages above took
it for. What lies inside the pages is covered by our own checksums.

Knows the layout of LMDB 0.9 on 64-bit little-endian machines (`lmdb.h`, `mdb.c`: MDB_meta,
MDB_page, MDB_node, MDB_db); anything else is left to LMDB.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from raftify.errors import StorageDamaged, StorageError

_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
#: Of a leaf's node: its data is on overflow pages, or describes a database.
_BIG_DATA, _SUB_DATABASE = 1, 2
#: Of the list of free pages: its keys are numbers. LMDB keeps the option NOSUBDIR there, too.
_NUMBER_KEYS, _NO_DIRECTORY = 0x08, 0x4000
_NO_PAGE: Final = (1 << 64) - 1
_META_PAGES: Final = 2
#: LMDB takes the operating system's, but no more than 32 KiB.
_PAGE_SIZES: Final = frozenset(1 << shift for shift in range(12, 16))
_LEAST_BYTES: Final = 4096

#: pgno, pad, flags, lower, upper. Overflow pages have their number where lower and upper are.
_HEADER = struct.Struct("<QHHHH")
#: magic, version, address, map size. Two databases follow, then last page and transaction id.
_META_HEAD = struct.Struct("<IIQQ")
_META_TAIL = struct.Struct("<QQ")
#: pad, flags, depth, branch, leaf and overflow pages, entries, root.
_DATABASE = struct.Struct("<IHHQQQQQ")
#: low and high half of the data's size, flags, size of the key.
_NODE = struct.Struct("<HHHH")
_NUMBER = struct.Struct("<Q")
#: Where in a meta page its two databases are.
_DATABASES_AT: Final = _HEADER.size + _META_HEAD.size

#: Above so many records or leaf pages only the pages above them are looked at when a log is
#: opened, or opening a large one would take seconds.
_QUICK_RECORDS: Final = 250_000
_QUICK_LEAVES: Final = 60_000


class NotThisTransaction(Exception):
    """Neither meta page is of the transaction asked for: it was overwritten meanwhile."""


@dataclass(frozen=True, slots=True)
class _Database:
    flags: int
    depth: int
    leaf_pages: int
    entries: int
    root: int

    @classmethod
    def parse(cls, data: bytes, offset: int = 0) -> _Database:
        _, flags, depth, _, leaves, _, entries, root = _DATABASE.unpack_from(data, offset)
        return cls(flags, depth, leaves, entries, root)


@dataclass(frozen=True, slots=True)
class _Meta:
    page_size: int
    free: _Database
    main: _Database
    last_page: int
    txn_id: int


def check_pages(path: Path, *, txn_id: int | None = None, full: bool = False) -> None:
    """Check the pages of the LMDB file at `path` as of `txn_id`, by default the last transaction.

    Unless `full`, a large file is checked only as far as costs a fraction of a second. The pages
    must not be reused meanwhile: hold a read transaction open, or be the only one.

    Raises:
        StorageDamaged: names the file and the page.
        NotThisTransaction: the transaction is no longer among the last two.
    """
    if sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return
    try:
        with path.open("rb", buffering=0) as file:
            meta = _read_meta(path, file, txn_id)
            if meta is not None:
                _PageChecker(path, file, meta, full=full).check()
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def check_meta_pages(path: Path) -> None:
    """Check only what LMDB reads when it opens the file at `path`; raise StorageDamaged."""
    try:
        with path.open("rb", buffering=0) as file:
            _read_meta(path, file, None)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def _read_meta(path: Path, file: BinaryIO, txn_id: int | None) -> _Meta | None:
    """Return the meta page that counts; None if the layout is not the one known here."""
    # Both at once, since a running node replaces them in turns.
    file.seek(0)
    both = file.read(2 * _LEAST_BYTES)
    first, second = both[:_LEAST_BYTES], both[_LEAST_BYTES:]
    if len(first) < _LEAST_BYTES:
        raise StorageDamaged(f"{path} was cut off: it has only {len(first)} bytes")
    magic, version, _, _ = _META_HEAD.unpack_from(first, _HEADER.size)
    if magic == _MAGIC and version != _VERSION:
        return None
    page_size = _DATABASE.unpack_from(first, _DATABASES_AT)[0]
    if magic != _MAGIC or page_size not in _PAGE_SIZES:
        raise StorageDamaged(f"{path} does not begin like an LMDB file: page 0 is damaged")
    if page_size != _LEAST_BYTES:
        file.seek(page_size)
        second = file.read(_LEAST_BYTES)
    metas = []
    for number, page in enumerate((first, second)):
        if len(page) < _LEAST_BYTES or page[16:24] != first[16:24]:
            raise StorageDamaged(f"{path}: page {number} is damaged or was cut off")
        flags = _HEADER.unpack_from(page)[2]
        if not flags & _META or _DATABASE.unpack_from(page, _DATABASES_AT)[0] != page_size:
            raise StorageDamaged(f"{path}: page {number} is damaged")
        last_page, page_txn_id = _META_TAIL.unpack_from(page, _DATABASES_AT + 2 * _DATABASE.size)
        free = _Database.parse(page, _DATABASES_AT)
        main = _Database.parse(page, _DATABASES_AT + _DATABASE.size)
        metas.append(_Meta(page_size, free, main, last_page, page_txn_id))
    _check_metas(path, metas)
    if txn_id is None:
        return max(metas, key=lambda meta: meta.txn_id)
    for meta in metas:
        if meta.txn_id == txn_id:
            return meta
    raise NotThisTransaction


def _check_metas(path: Path, metas: Sequence[_Meta]) -> None:
    """Check what is the same in every meta page, and that the two are of successive transactions.

    Were the later number to look smaller, LMDB would quietly take up the transaction before.
    """
    for number, meta in enumerate(metas):
        is_sound = (
            meta.free.flags | _NO_DIRECTORY == _NUMBER_KEYS | _NO_DIRECTORY
            and meta.main.flags == 0
            and meta.txn_id in (0, metas[1 - number].txn_id + 1, metas[1 - number].txn_id - 1)
            and (meta.txn_id == 0 or meta.txn_id % _META_PAGES == number)
        )
        if not is_sound:
            raise StorageDamaged(f"{path}: page {number} is damaged")


class _PageChecker:
    """One pass over the pages of one transaction."""

    def __init__(self, path: Path, file: BinaryIO, meta: _Meta, *, full: bool) -> None:
        self._path = path
        self._file = file
        self._meta = meta
        self._size = meta.page_size
        file_bytes = path.stat().st_size
        # LMDB does not write pages that it freed in the transaction that made them, so a file may
        # end early without harm. Then every page must be looked at to know.
        self._is_short = file_bytes < (meta.last_page + 1) * self._size
        if meta.last_page * self._size > 2 * file_bytes + (1 << 30):
            raise StorageDamaged(
                f"{path} was cut off: it has {file_bytes:,} bytes of {meta.last_page + 1:,} pages"
            )
        self._full = full or self._is_short
        # One byte for each page that was found to be in use.
        self._used = bytearray(meta.last_page + 1)

    def check(self) -> None:
        self._mark(0, _META_PAGES)
        for flags, data in self._records(self._meta.main, _SUB_DATABASE | _BIG_DATA):
            if not flags & _SUB_DATABASE:
                continue  # not a log of ours, which who opens it will say
            if len(data) != _DATABASE.size or (database := _Database.parse(data)).flags:
                raise self._damaged(self._meta.main.root)
            self._check_tree(database)
        self._check_free_list()

    def _records(self, database: _Database, allowed: int) -> list[tuple[int, bytes]]:
        """Return flags and value of every record of a small database; see `_check_node`."""
        found = []
        for number in self._leaves(database):
            page = self._read(number)
            for offset in self._check_page(number, page, _LEAF):
                low, high, flags, key_size = self._check_node(number, page, offset, allowed)
                start, size = offset + _NODE.size + key_size, low | high << 16
                if flags & _BIG_DATA:
                    data = self._read_overflow(_NUMBER.unpack_from(page, start)[0], size)
                else:
                    data = page[start : start + size]
                found.append((flags, data))
        if len(found) != database.entries:
            raise self._damaged(database.root)
        return found

    def _check_tree(self, database: _Database) -> None:
        if not self._full and database.leaf_pages > _QUICK_LEAVES:
            self._leaves(database)
            return
        deep = self._full or database.entries <= _QUICK_RECORDS
        entries = 0
        for number in self._leaves(database):
            if deep:
                page = self._read(number)
                offsets = self._check_page(number, page, _LEAF)
                entries += len(offsets)
                for offset in offsets:
                    self._check_node(number, page, offset, _BIG_DATA)
            else:
                entries += self._check_header(number, self._read(number, _HEADER.size), _LEAF)
        if entries != database.entries:
            raise StorageDamaged(
                f"{self._path}: a database of {database.entries} records has {entries}"
            )

    def _check_free_list(self) -> None:
        """Check that no page counts as free and as used: it would be overwritten in use."""
        for _, data in self._records(self._meta.free, _BIG_DATA):
            if len(data) < _NUMBER.size:
                raise self._damaged(self._meta.free.root)
            count = _NUMBER.unpack_from(data)[0]
            if len(data) < _NUMBER.size * (count + 1):
                raise self._damaged(self._meta.free.root)
            pages: Sequence[int] = struct.unpack_from(f"<{count}Q", data, 8)
            if not pages:
                continue
            if min(pages) < _META_PAGES or max(pages) > self._meta.last_page:
                raise self._damaged(self._meta.free.root)
            for number in pages:
                self._mark(number, 1)

    def _leaves(self, database: _Database) -> list[int]:
        """Return the leaf pages in the order of the file, having checked all above them."""
        if database.root == _NO_PAGE:
            return []
        level = [database.root]
        for _ in range(database.depth - 1):
            below = []
            for number in level:
                self._mark(number, 1)
                page = self._read(number)
                for offset in self._check_page(number, page, _BRANCH):
                    low, high, flags, key_size = _NODE.unpack_from(page, offset)
                    if offset + _NODE.size + key_size > self._size:
                        raise self._damaged(number)
                    below.append(low | high << 16 | flags << 32)
            level = below
        for number in level:
            self._mark(number, 1)
        return sorted(level)

    def _check_page(self, number: int, page: bytes, kind: int) -> Sequence[int]:
        """Return where the nodes of the page are."""
        count = self._check_header(number, page, kind)
        offsets: Sequence[int] = struct.unpack_from(f"<{count}H", page, _HEADER.size)
        upper = _HEADER.unpack_from(page)[4]
        if min(offsets) < upper or max(offsets) > self._size - _NODE.size:
            raise self._damaged(number)
        return offsets

    def _check_header(self, number: int, page: bytes, kind: int) -> int:
        """Return how many nodes the page has."""
        found, _, flags, lower, upper = _HEADER.unpack_from(page)
        # Each node has two bytes below `lower`; no page in use is without any.
        count, rest = divmod(lower - _HEADER.size, 2)
        is_sound = found == number and flags == kind and count > 0 and not rest
        if not is_sound or not lower <= upper <= self._size:
            raise self._damaged(number)
        return int(count)

    def _check_node(
        self, number: int, page: bytes, offset: int, allowed: int
    ) -> tuple[int, int, int, int]:
        """Return the header of a leaf's node, having checked it, and where its data is.

        Only flags in `allowed` may be set.
        """
        node = _NODE.unpack_from(page, offset)
        low, high, flags, key_size = node
        end = offset + _NODE.size + key_size
        size = low | high << 16
        if flags & ~allowed:
            raise self._damaged(number)
        if flags & _BIG_DATA:
            if end + _NUMBER.size > self._size:
                raise self._damaged(number)
            self._check_overflow(_NUMBER.unpack_from(page, end)[0], size)
        elif end + size > self._size:
            raise self._damaged(number)
        return node

    def _check_overflow(self, number: int, size: int) -> None:
        pages = (_HEADER.size - 1 + size) // self._size + 1
        found, _, flags, low, high = _HEADER.unpack_from(self._read(number, _HEADER.size))
        if found != number or flags != _OVERFLOW or low | high << 16 < pages:
            raise self._damaged(number)
        self._mark(number, low | high << 16)
        if self._is_short:
            self._read(number + pages - 1)

    def _read_overflow(self, number: int, size: int) -> bytes:
        return self._read(number, _HEADER.size + size)[_HEADER.size :]

    def _read(self, number: int, size: int | None = None) -> bytes:
        if number > self._meta.last_page:
            raise self._damaged(number)
        size = self._size if size is None else size
        self._file.seek(number * self._size)
        data = self._file.read(size)
        if len(data) < size:
            raise StorageDamaged(f"{self._path} was cut off: page {number} is not there")
        return data

    def _mark(self, number: int, count: int) -> None:
        """Note that these pages are in use; no two things may use the same."""
        used = self._used
        if number + count > len(used) or used.count(1, number, number + count):
            raise self._damaged(number)
        used[number : number + count] = b"\1" * count

    def _damaged(self, number: int) -> StorageDamaged:
        return StorageDamaged(
            f"{self._path}: page {number} is damaged, or is not the page it is taken for. Restore "
            "a backup, or give the node an empty directory and a new id"
        )
