"""A store on disk: entries and state in RocksDB, snapshots in files beside it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Self

from raftify.config import Config
from raftify.storage import lmdb_records as records
from raftify.storage.disk_folder import DiskFolder, sync_directory
from raftify.storage.lmdb_directory import (
    LOCK_FILE,
    NEW_SUFFIX,
    ROCKSDB_NAME,
    SNAPSHOT_DIRECTORY,
    LogDirectory,
    check_empty,
)
from raftify.storage.medium import Lock
from raftify.storage.place import Place
from raftify.storage.record_storage import RecordStorage
from raftify.storage.rocksdb.environment import RocksEnvironment
from raftify.storage.snapshot_files import SnapshotFiles


class RocksDbStorage(RecordStorage):
    """The durable store of one node in RocksDB, in a directory of its own.

    Every write is one synced write batch; `must_sync` makes no difference. What is in it is as in
    LmdbStorage, record for record; docs/storage.md says when to prefer which.
    """

    @classmethod
    def create(
        cls,
        log_dir: str | Path | None = None,
        config: Config | None = None,
        logger: logging.Logger | None = None,
    ) -> Self:
        """Open the store in `log_dir` (by default `config.log_dir`), or make a new, empty one.

        Raises:
            StorageLocked: a process, perhaps this one, has it open.
            StorageTooNew: a newer version of this package wrote it.
            StorageDamaged: it is not whole.
            NotALogDirectory: there is a log of another kind.
            StorageFull: there is no room.
            ConfigError: an argument is not what it should be.
        """
        return cls._opened(lambda path, _: _open_directory(path), log_dir, config, logger)


def _open_directory(path: Path) -> LogDirectory:
    return LogDirectory.locked(path, lambda lock: _open_locked(path, lock))


def _open_locked(path: Path, lock: Lock) -> LogDirectory:
    place = path / ROCKSDB_NAME
    if not place.exists():
        check_empty(path, ROCKSDB_NAME)
        _create(place)
    environment = RocksEnvironment(place, create=False)
    try:
        files = SnapshotFiles(DiskFolder(path / SNAPSHOT_DIRECTORY))
        # Not the files in it: RocksDB replaces them.
        return LogDirectory.over(
            path, lock, environment, files, Place.of(path, path / LOCK_FILE, place)
        )
    except BaseException:
        environment.close()
        raise


def _create(place: Path) -> None:
    """Make an empty store that appears at once, whole."""
    temporary = place.with_name(place.name + NEW_SUFFIX)
    if temporary.exists():
        shutil.rmtree(temporary)
    environment = RocksEnvironment(temporary, create=True)
    try:
        records.put_format(environment)
    finally:
        environment.close()
    temporary.rename(place)
    sync_directory(place.parent)
