"""Looks into a log directory without disturbing it: for tools, also while its node is running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from raftify.core.types import Entry, HardState, Snapshot
from raftify.errors import (
    Compacted,
    ConfigError,
    NotALogDirectory,
    SnapshotOutOfDate,
    StorageDamaged,
    StorageError,
)
from raftify.peers import Membership
from raftify.storage import lmdb_records as records
from raftify.storage import lmdb_runs
from raftify.storage.base import StoreIdentity
from raftify.storage.disk_folder import DiskFolder
from raftify.storage.lmdb_directory import ROCKSDB_NAME, SNAPSHOT_DIRECTORY
from raftify.storage.lmdb_environment import DATA_FILE
from raftify.storage.lmdb_view import LmdbView
from raftify.storage.log_state import LogState, decode_descriptor
from raftify.storage.log_view import LogView
from raftify.storage.medium import Environment, Transaction
from raftify.storage.snapshot_files import SnapshotFiles, check_file


class _Replaced(Exception):
    """The running node replaced entries that were read already, as a new leader told it to."""


class LogReader:
    """What a log directory held when it was opened, or last refreshed.

    Creates nothing in it, locks nothing, and keeps no transaction open between calls, so that a
    running node goes on as if it were not there. The entries are read when they are asked for; of a
    log in RocksDB, as they were then, too.
    """

    def __init__(self, path: Path) -> None:
        """Use `open`."""
        self._path = path
        self._view = _open_view(path)
        try:
            self._contents = self._view.read(records.read_contents)
        except BaseException:
            self._view.close()
            raise

    @classmethod
    def open(cls, path: str | Path) -> LogReader:
        """Open the log directory at `path` for reading.

        Raises:
            ConfigError: `path` is no path.
            NotALogDirectory: there is no log.
            StorageDamaged: it is not whole.
            StorageTooNew: a newer version of this package wrote it.
            StorageLocked: this very process has it open: LMDB allows that only once.
            StorageError: a node has it open, and this program may not write its table of readers;
                or it is in RocksDB, and `raftify[rocksdb]` is not installed.
        """
        if not isinstance(path, str | os.PathLike) or "\x00" in str(path):
            raise ConfigError(f"the path of a log directory is wanted, not {path!r:.60}")
        return cls(Path(path))

    def refresh(self) -> None:
        """Look again at everything but the entries."""
        self._view.refresh()
        self._contents = self._view.read(records.read_contents)

    @property
    def _env(self) -> Environment:
        return self._view.environment

    @property
    def is_noted(self) -> bool:
        """Whether a node may run meanwhile: it knows of this reader, or cannot disturb it.

        False for a log in LMDB that may not be written: then no node may be started on it. A copy
        without a table of readers is nobody's log, and counts as noted.
        """
        return self._view.is_noted

    @property
    def path(self) -> Path:
        return self._path

    @property
    def identity(self) -> StoreIdentity | None:
        """Whose log it is; None if no node has taken it yet."""
        return self._contents.identity

    @property
    def hard_state(self) -> HardState:
        return self._contents.state.hard_state

    @property
    def membership(self) -> Membership:
        return self._contents.state.membership

    @property
    def snapshot(self) -> Snapshot:
        """The latest snapshot, empty if there is none."""
        return self._contents.state.snapshot

    @property
    def known_incarnations(self) -> dict[int, str]:
        return dict(self._contents.incarnations)

    @property
    def first_index(self) -> int:
        return self._contents.state.before_index + 1

    @property
    def last_index(self) -> int:
        return self._contents.state.last_index

    def entries(self, low: int | None = None, high: int | None = None) -> Iterator[Entry]:
        """Yield the entries of `[low, high)`, by default all of them.

        A follower's running node may replace the end of its log meanwhile (paper 5.3): what was
        yielded stays as it was, and the rest comes from the new log, which may end earlier.

        Raises:
            ConfigError: `low` or `high` is no index.
            Compacted, Unavailable: the log does not have them.
            StorageDamaged: an entry is damaged; the message names it.
        """
        for name, index in (("low", low), ("high", high)):
            given: object = index
            if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
                raise ConfigError(f"{name} is an index, not {given!r:.60}")
        low = self.first_index if low is None else low
        high = self.last_index + 1 if high is None else high
        self._contents.state.check_range(low, high)
        return self._iterate(low, high)

    def _iterate(self, low: int, high: int) -> Iterator[Entry]:
        while True:
            try:
                for entry in self._read(low, high):
                    yield entry
                    low = entry.index + 1
            except _Replaced:
                continue
            return

    def _read(self, low: int, high: int) -> Iterator[Entry]:
        """Yield entries of one history, up to the end of the log if that comes before `high`.

        Raises:
            Compacted, StorageDamaged: see `entries`.
            _Replaced: the last one yielded is no longer in the log.
        """
        last: Entry | None = None
        seen = 0
        while low < high:
            with self._env.reading() as txn:
                bounds = records.read_state(self._env, txn).state
                if low <= bounds.before_index:
                    raise Compacted(
                        f"entry {low} was discarded while it was being read; the log begins at "
                        f"{bounds.before_index + 1} now"
                    )
                high = min(high, bounds.last_index + 1)
                if last is not None and txn.id() != seen:
                    self._check_still_there(txn, bounds, last)
                if low >= high:
                    return
                seen = txn.id()
                runs = lmdb_runs.read_runs(self._env, txn, low, high, lmdb_runs.READ_BYTES)
            for run in runs:
                for index in range(max(low, run.first_index), min(high, run.end)):
                    last = run.entry(index, self._env.path)
                    yield last
            low = runs[-1].end

    def _check_still_there(self, txn: Transaction, bounds: LogState, entry: Entry) -> None:
        """Raise _Replaced unless the log goes on behind `entry`.

        By the Log Matching Property (paper 5.3) index and term tell.
        """
        index = entry.index
        if index == bounds.before_index:
            term = bounds.before_term
        elif index <= bounds.last_index:
            [run, *_] = lmdb_runs.read_runs(self._env, txn, index, index + 1, 0)
            term = run.entry(index, self._env.path).term
        else:
            raise _Replaced
        if term != entry.term:
            raise _Replaced

    def open_snapshot(self) -> BinaryIO:
        """Open the file of the latest snapshot; it is checked as it is read, up to its end.

        Raises:
            StorageDamaged: it is missing, or (while it is read) is not what was written.
            SnapshotOutOfDate: the running node has just replaced it.
        """
        descriptor = decode_descriptor(self.snapshot)
        files = SnapshotFiles(DiskFolder(self._path / SNAPSHOT_DIRECTORY))
        try:
            return files.open_for_reading(descriptor)
        except SnapshotOutOfDate:
            self.refresh()
            if decode_descriptor(self.snapshot) != descriptor:
                raise
            raise StorageDamaged(
                f"snapshot file {files.path_of(descriptor.file_id)} is missing"
            ) from None

    def verify(self) -> Iterator[StorageDamaged]:
        """Check everything there is, and yield what is damaged: nothing if all is well.

        Goes through all pages, all entries and the snapshot file; takes about a second for a
        million entries. What a running node replaces meanwhile, behind what was checked already,
        is not looked at again.
        """
        try:
            self._view.check_pages()
        except StorageDamaged as error:
            # Reading on through damaged pages might end the process.
            yield error
            return
        yield from self._verify_entries()
        yield from self._verify_snapshot()

    def _verify_snapshot(self) -> Iterator[StorageDamaged]:
        descriptor = decode_descriptor(self.snapshot)
        while descriptor.file_id:
            try:
                return check_file(DiskFolder(self._path / SNAPSHOT_DIRECTORY), descriptor)
            except StorageError as error:
                checked = descriptor
                # The node may have replaced it meanwhile.
                self.refresh()
                descriptor = decode_descriptor(self.snapshot)
                if descriptor == checked:
                    yield error if isinstance(error, StorageDamaged) else StorageDamaged(str(error))
                    return None
        return None

    def _verify_entries(self) -> Iterator[StorageDamaged]:
        low, end = self.first_index, self.last_index + 1
        term = self._contents.state.before_term
        reported = ""
        while low < end:
            try:
                for entry in self._read(low, end):
                    low = entry.index + 1
                    if entry.term < term:
                        yield StorageDamaged(
                            f"{self._env.path}: the term falls from {term} to {entry.term} at "
                            f"index {entry.index}"
                        )
                    term = entry.term
            except Compacted:
                self.refresh()
                low, term = self.first_index, self._contents.state.before_term
            except _Replaced:
                # What comes next is of another history than what was checked.
                term = 0
            except StorageDamaged as error:
                # The run before a damaged one cannot be vouched for, for the same reason.
                if str(error) != reported:
                    yield error
                reported = str(error)
                # A damaged run hides how many entries it has; go on with the next one.
                with self._env.reading() as txn:
                    low = lmdb_runs.next_run(self._env, txn, low) or end
            else:
                return

    def close(self) -> None:
        """Release the file. Harmless the second time."""
        self._view.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _open_view(path: Path) -> LogView:
    """Open the log in the directory `path`, whichever kind it is; see `LogReader.open`."""
    if (path / DATA_FILE).is_file():
        return LmdbView(path / DATA_FILE)
    if not (path / ROCKSDB_NAME).is_dir():
        raise NotALogDirectory(
            f"{path} is not the directory of a log: it has no {DATA_FILE} and no {ROCKSDB_NAME}"
        )
    try:
        from raftify.storage.rocksdb.view import RocksView  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StorageError(
            f"{path} has a log in RocksDB, which cannot be read here: pip install "
            f"'raftify[rocksdb]' ({error})"
        ) from error
    return RocksView(path / ROCKSDB_NAME)
