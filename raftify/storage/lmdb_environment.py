"""One LMDB environment: opened with our safe settings, its errors translated into ours."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import lmdb

from raftify.errors import (
    NotALogDirectory,
    StorageDamaged,
    StorageError,
    StorageFull,
    StorageLocked,
)
from raftify.storage.disk_folder import FULL_ERRORS
from raftify.storage.lmdb_schema import LOG_DB, META_DB
from raftify.storage.medium import Transaction

#: Name of the data file in a log directory; LMDB adds "-lock" for its table of readers.
DATA_FILE: Final = "log.mdb"
#: Spare room that only what frees room may use: LMDB copies pages even to delete from them.
_HEADROOM_BYTES: Final = 16 << 20

#: Where a write was cut short, no more than this is left on the disk.
_AS_GOOD_AS_FULL_BYTES: Final = 1 << 20

#: LMDB's locks belong to the process: a file opened twice here would lose them at the first close.
_open_here: set[Path] = set()
_open_here_lock = threading.Lock()

_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
)


class LmdbEnvironment:
    """An open environment with the databases `log` and `meta`.

    Transactions are short and never nest. A write transaction is durable when `writing` ends
    without an exception, and has left no trace if it ends with one.
    """

    def __init__(
        self, path: Path, *, map_size: int = 0, readonly: bool = False, lock: bool = True
    ) -> None:
        """Open the file at `path`.

        Args:
            map_size: in bytes; 0 for what the file says.
            lock: note readers in LMDB's table of them, as is needed where somebody writes.
        """
        self.path = path
        self._map_size = map_size
        # Resizing the map is only allowed while no transaction is under way in this process.
        self._map_lock = threading.Lock()
        self._claim = _claim(path)
        try:
            self._env = self._open(readonly=readonly, lock=lock)
        except BaseException:
            _open_here.discard(self._claim)
            raise
        if not readonly:
            self.forget_dead_readers()

    def forget_dead_readers(self) -> None:
        """Let go of the pages that a reader which was killed still seems to need."""
        with self._translated("check the readers of"):
            self._env.reader_check()

    def _open(self, *, readonly: bool, lock: bool) -> lmdb.Environment:
        path = self.path
        with self._translated("open"):
            return lmdb.Environment(
                str(path),
                map_size=self._map_size,
                subdir=False,
                readonly=readonly,
                create=not readonly,
                # The safe settings, spelled out: see LMDB's documentation on MDB_NOSYNC,
                # MDB_NOMETASYNC and MDB_WRITEMAP.
                sync=True,
                metasync=True,
                writemap=False,
                map_async=False,
                lock=lock,
                # What is read at all is read in order: an applier or a follower catching up.
                readahead=True,
                meminit=True,
                max_dbs=4,
                max_spare_txns=2,
                mode=0o644,
            )

    def open_databases(self, *, create: bool) -> None:
        """Make `log` and `meta` known.

        Raises:
            NotALogDirectory: they are not there, and not to be created.
        """
        with self._translated("open"):
            try:
                self.log_db = self._env.open_db(LOG_DB, create=create)
                self.meta_db = self._env.open_db(META_DB, create=create)
            except lmdb.NotFoundError as error:
                raise NotALogDirectory(
                    f"{self.path} is an LMDB file of something else, or the page that names its "
                    "databases is damaged"
                ) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Begin a read transaction."""
        with self._map_lock, self._translated("read"):
            try:
                transaction = self._env.begin()
            except lmdb.MapResizedError:
                # Another process has made the map larger.
                self._env.set_mapsize(0)
                transaction = self._env.begin()
            with transaction as txn:
                yield txn

    @contextlib.contextmanager
    def writing(self) -> Iterator[Transaction]:
        """Begin a write transaction; the calls must come from one thread at a time."""
        with self._translated("write to"), self._env.begin(write=True) as txn:
            yield txn

    def last_txn_id(self) -> int:
        """Return the number of the last committed transaction."""
        return self._env.info()["last_txnid"]

    def is_more_than_half_full(self) -> bool:
        """Say whether more than half of the map has ever been used at the same time."""
        return self._used_bytes() > self._map_size // 2

    @contextlib.contextmanager
    def headroom(self) -> Iterator[None]:
        """Have room for a while even if the map is full, to delete with."""
        used = self._used_bytes()
        if used + _HEADROOM_BYTES <= self._map_size:
            yield
            return
        self._resize(used + _HEADROOM_BYTES)
        try:
            yield
        finally:
            self._resize(self._map_size)

    def _used_bytes(self) -> int:
        return (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]

    def _resize(self, map_size: int) -> None:
        # LMDB itself never makes it smaller than what is used.
        with self._map_lock, self._translated("resize"):
            self._env.set_mapsize(map_size)

    def close(self) -> None:
        """Close it, once a read under way on another thread has ended."""
        with self._map_lock:
            self._env.close()
        _open_here.discard(self._claim)

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except lmdb.Error as error:
            raise self._translate(error, doing) from error

    def _translate(self, error: lmdb.Error, doing: str) -> StorageError:
        if isinstance(error, lmdb.MapFullError):
            return StorageFull(
                f"{self.path} has reached its limit of {self._map_size:,} bytes: set "
                "lmdb_map_size higher and start again, or take snapshots more often. "
                "Nothing of the write was kept"
            )
        if _system_error(error) in FULL_ERRORS or _was_cut_short(error, self.path):
            return StorageFull(
                f"cannot {doing} {self.path}: {error}. Make room on the disk; nothing of the "
                "write was kept"
            )
        if isinstance(error, _DAMAGE):
            return StorageDamaged(
                f"cannot {doing} {self.path}: {error}. Restore a backup, or give the node an "
                "empty directory and a new id"
            )
        if isinstance(error, lmdb.PanicError):
            return StorageError(
                f"cannot {doing} {self.path}: {error}. The disk failed in the middle of an earlier "
                "write, which is there as a whole or not at all: mend the disk and start again"
            )
        if isinstance(error, lmdb.MemoryError):
            return StorageError(
                f"cannot {doing} {self.path}: {error}. The map of {self._map_size:,} bytes needs "
                "as much address space, no memory: set lmdb_map_size lower, or lift `ulimit -v`"
            )
        return StorageError(f"cannot {doing} {self.path}: {error}")


def _claim(path: Path) -> Path:
    claim = path.resolve()
    with _open_here_lock:
        if claim in _open_here:
            raise StorageLocked(f"{path} is open already in this process; use what has it open")
        _open_here.add(claim)
    return claim


def _system_error(error: lmdb.Error) -> int:
    """Return the error number of the system behind `error`, or 0 if there is none."""
    code = getattr(error, "code", 0)
    if code:
        return int(code)
    # Older py-lmdb says it only in words.
    text = str(error)
    known = (*FULL_ERRORS, errno.EIO)
    return next((number for number in known if os.strerror(number) in text), 0)


def _was_cut_short(error: lmdb.Error, path: Path) -> bool:
    """Say whether a write ended where the disk did; LMDB calls that an error of the device."""
    if _system_error(error) != errno.EIO:
        return False
    with contextlib.suppress(OSError):
        disk = os.statvfs(path.parent)
        return disk.f_bavail * disk.f_frsize < _AS_GOOD_AS_FULL_BYTES
    return False
