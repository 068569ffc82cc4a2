"""One RocksDB database: opened with our safe settings, its errors translated into ours."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import rocksdict

from raftify.errors import StorageDamaged, StorageError, StorageFull, StorageLocked
from raftify.storage import lmdb_schema as schema
from raftify.storage.rocksdb.transaction import ReadTransaction, WriteTransaction, end_of

#: What the keys of the two databases begin with.
_LOG_PREFIX: Final = b"l"
_META_PREFIX: Final = b"m"
#: Number of the last transaction, and of the runs then.
_COUNTS_KEY: Final = b"c"
_COUNTS: Final = struct.Struct("<QQ")
#: RocksDB's own diary, which it would keep for ever.
_DIARIES: Final = 2
_DIARY_BYTES: Final = 1 << 20


class RocksEnvironment:
    """An Environment: one open RocksDB, in which keys of `log` and `meta` have prefixes.

    A write transaction is one write batch, synced to RocksDB's log before `writing` ends. If that
    fails, it may or may not be found when the database is opened again (whole or not at all), so
    nothing more is written until then.
    """

    def __init__(
        self, path: Path, *, create: bool = False, readonly_at: Path | None = None
    ) -> None:
        """Open the database in the directory `path`; to be read only, the links to its files."""
        self.path = path
        self.log_db = _LOG_PREFIX
        self.meta_db = _META_PREFIX
        # A database must not be closed under a reader.
        self._reading = threading.Lock()
        self._failed = False
        self._synced = rocksdict.WriteOptions()
        self._synced.sync = True
        with self._translated("open"):
            self._db = rocksdict.Rdict(
                str(path if readonly_at is None else readonly_at),
                _options(create=create),
                access_type=(
                    rocksdict.AccessType.read_write()
                    if readonly_at is None
                    else rocksdict.AccessType.read_only()
                ),
            )
            self._txn_id, self._runs = self._read_counts()

    def _read_counts(self) -> tuple[int, int]:
        record = self._db.get(_COUNTS_KEY)
        return (0, 0) if record is None else _unpack_counts(record, self.path)

    @contextlib.contextmanager
    def reading(self) -> Iterator[ReadTransaction]:
        """Begin a read transaction: one iterator, which sees one state."""
        with self._reading, self._translated("read"):
            transaction = ReadTransaction(self._db.iter())
            record = transaction.get_key(_COUNTS_KEY)
            counts = (0, 0) if record is None else _unpack_counts(record, self.path)
            transaction.begin(*counts, counted=self.log_db)
            yield transaction

    @contextlib.contextmanager
    def writing(self) -> Iterator[WriteTransaction]:
        """Begin a write transaction; the calls must come from one thread at a time."""
        if self._failed:
            raise StorageError(
                f"a write to {self.path} has failed, and may be there or not: make sure that the "
                "disk is well and has room, then start again"
            )
        with self._translated("read"):
            transaction = WriteTransaction(self._db.iter())
            transaction.begin(self._txn_id + 1, self._runs, counted=self.log_db)
            yield transaction
        self._commit(transaction)

    def _commit(self, transaction: WriteTransaction) -> None:
        number, runs = transaction.id(), transaction.count
        batch = rocksdict.WriteBatch(raw_mode=True)
        for prefix in transaction.dropped:
            batch.delete_range(prefix, end_of(prefix))
        for key, value in transaction.changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_COUNTS_KEY, schema.pack_record(_COUNTS_KEY, _COUNTS.pack(number, runs)))
        self._failed = True
        with self._translated("write to"):
            self._db.write(batch, self._synced)
        self._failed = False
        self._txn_id, self._runs = number, runs

    def last_txn_id(self) -> int:
        """Return the number of the last committed transaction."""
        return self._txn_id

    def is_more_than_half_full(self) -> bool:
        """Say no: RocksDB has no limit but the disk, and gives room back by itself."""
        return False

    @contextlib.contextmanager
    def headroom(self) -> Iterator[None]:
        """Do nothing: see `is_more_than_half_full`."""
        yield

    def forget_dead_readers(self) -> None:
        """Do nothing: no other process reads it."""

    def close(self) -> None:
        """Close it, once a read under way on another thread has ended."""
        with self._reading, self._translated("close"):
            self._db.close()

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (rocksdict.DbClosedError, OSError) as error:
            raise StorageError(f"cannot {doing} {self.path}: {error}") from error
        except Exception as error:
            # The binding raises plain Exceptions with RocksDB's words.
            if type(error) is not Exception:
                raise
            raise self._translate(str(error), doing) from error

    def _translate(self, words: str, doing: str) -> StorageError:
        if "No space left" in words or "quota" in words:
            return StorageFull(f"cannot {doing} {self.path}: {words}. Make room on the disk")
        if "lock hold by" in words or "While lock file" in words:
            return StorageLocked(f"{self.path} is open already: {words}")
        if "Corruption" in words or "Invalid argument" in words:
            return StorageDamaged(
                f"cannot {doing} {self.path}: {words}. Restore a backup, or give the node an "
                "empty directory and a new id"
            )
        return StorageError(f"cannot {doing} {self.path}: {words}")


def _unpack_counts(record: bytes, path: Path) -> tuple[int, int]:
    number, runs = _COUNTS.unpack(schema.unpack_record(_COUNTS_KEY, record, path))
    return number, runs


def _options(*, create: bool) -> rocksdict.Options:
    """Return the safe settings, spelled out."""
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(create)
    options.set_error_if_exists(create)
    options.set_paranoid_checks(True)
    # What was being written when the power was cut is left out; damage before it is an error, while
    # RocksDB's default would take it for the end.
    options.set_wal_recovery_mode(rocksdict.DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_keep_log_file_num(_DIARIES)
    options.set_max_log_file_size(_DIARY_BYTES)
    return options
