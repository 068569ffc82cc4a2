"""A log directory: `log.mdb`, the snapshots beside it, and a lock that keeps a second node out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raftify.errors import NotALogDirectory, StorageDamaged
from raftify.storage import lmdb_records as records
from raftify.storage.directory_lock import DirectoryLock
from raftify.storage.disk_folder import (
    DiskFolder,
    from_os_error,
    make_directories,
    sync_directory,
)
from raftify.storage.lmdb_environment import DATA_FILE, LmdbEnvironment
from raftify.storage.lmdb_pages import check_pages
from raftify.storage.log_state import decode_descriptor
from raftify.storage.medium import Environment, Lock
from raftify.storage.place import Place
from raftify.storage.snapshot_files import FINISHED_SUFFIX, SnapshotFiles

LOCK_FILE: Final = "LOCK"
SNAPSHOT_DIRECTORY: Final = "snapshots"
#: Added to the name of what is being made, until it is whole.
NEW_SUFFIX: Final = ".new"
#: Name of RocksDB's directory in a log directory: whoever finds it must not begin a log beside it.
ROCKSDB_NAME: Final = "log.rocksdb"


@dataclass(frozen=True, slots=True)
class LogDirectory:
    """An opened directory. Whoever holds it closes `environment`, then releases `lock`."""

    path: Path
    lock: Lock
    environment: Environment
    contents: records.Contents
    files: SnapshotFiles
    #: Where files on a real disk were when they were opened.
    place: Place | None = None

    @classmethod
    def open(cls, path: Path, map_size: int) -> LogDirectory:
        """Open the directory for writing, made new if there is none; see LmdbStorage.create."""
        return cls.locked(path, lambda lock: cls._open_locked(path, lock, map_size))

    @classmethod
    def locked(cls, path: Path, open_in: Callable[[Lock], LogDirectory]) -> LogDirectory:
        """Make the directory `path` if there is none, lock it, and return what `open_in` opens.

        The lock is released if that fails.
        """
        try:
            make_directories(path)
        except OSError as error:
            raise from_os_error(error, path, "make the directory") from error
        lock = DirectoryLock(path / LOCK_FILE)
        try:
            return open_in(lock)
        except OSError as error:
            lock.release()
            raise from_os_error(error, path, "open the log in") from error
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_locked(cls, path: Path, lock: Lock, map_size: int) -> LogDirectory:
        data_file = path / DATA_FILE
        if not data_file.exists():
            _create(path, map_size)
        # LMDB trusts its file blindly: a page that is not there would end the process.
        check_pages(data_file)
        environment = LmdbEnvironment(data_file, map_size=map_size)
        try:
            environment.open_databases(create=False)
            files = SnapshotFiles(DiskFolder(path / SNAPSHOT_DIRECTORY))
            place = Place.of(path, path / LOCK_FILE, data_file)
            return cls.over(path, lock, environment, files, place)
        except BaseException:
            environment.close()
            raise

    @classmethod
    def over(
        cls,
        path: Path,
        lock: Lock,
        environment: Environment,
        files: SnapshotFiles,
        place: Place | None = None,
    ) -> LogDirectory:
        """Read and check what is there; `path` names it in messages."""
        with environment.reading() as txn:
            contents = records.read_contents(environment, txn)
        files.open(decode_descriptor(contents.state.snapshot))
        return cls(path, lock, environment, contents, files, place)


def _create(path: Path, map_size: int) -> None:
    """Make an empty store that appears at once, whole: a shorter file is always damage."""
    check_empty(path, DATA_FILE)
    temporary = path / (DATA_FILE + NEW_SUFFIX)
    lock_file = path / (temporary.name + "-lock")
    temporary.unlink(missing_ok=True)
    lock_file.unlink(missing_ok=True)
    environment = LmdbEnvironment(temporary, map_size=map_size)
    try:
        environment.open_databases(create=True)
        records.put_format(environment)
    finally:
        environment.close()
    temporary.replace(path / DATA_FILE)
    lock_file.unlink(missing_ok=True)
    sync_directory(path)


def check_empty(path: Path, name: str) -> None:
    """Raise unless a new log may be made as `name` in the directory `path`.

    Raises:
        NotALogDirectory: there is a log of the other kind. A new one beside it would have
            forgotten its votes.
        StorageDamaged: there are snapshots, so there was a log.
    """
    for other in (DATA_FILE, ROCKSDB_NAME):
        if other != name and (path / other).exists():
            raise NotALogDirectory(
                f"{path} has a log already, in {other}: open it with the storage that made it, or "
                "give the node an empty directory and a new id"
            )
    if any((path / SNAPSHOT_DIRECTORY).glob("*" + FINISHED_SUFFIX)):
        raise StorageDamaged(
            f"{path / name} is missing, but its snapshots are there: restore it from a "
            "backup, or give the node an empty directory and a new id"
        )
