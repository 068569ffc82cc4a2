"""A log in LMDB as a reader has it open."""

from __future__ import annotations

import os
from pathlib import Path

from raftify.errors import StorageError
from raftify.storage.directory_lock import may_be_held
from raftify.storage.lmdb_directory import LOCK_FILE
from raftify.storage.lmdb_environment import LmdbEnvironment
from raftify.storage.lmdb_pages import NotThisTransaction, check_meta_pages, check_pages
from raftify.storage.log_view import LogView, Meanwhile, patiently
from raftify.storage.medium import Environment


class LmdbView(LogView):
    """Sees in each transaction what is the newest then."""

    def __init__(self, data_file: Path) -> None:
        """Open `data_file`; see `LogReader.open`."""
        patiently(lambda: check_meta_pages(data_file))
        lock = _notes_readers(data_file)
        self._environment = LmdbEnvironment(data_file, readonly=True, lock=lock)
        self.is_noted = lock or not _table_of(data_file).exists()
        try:
            self._check_pages(full=False)
            self._environment.open_databases(create=False)
        except BaseException:
            self._environment.close()
            raise

    @property
    def environment(self) -> Environment:
        return self._environment

    def refresh(self) -> None:
        """Do nothing: each transaction sees what is new."""

    def check_pages(self) -> None:
        self._check_pages(full=True)

    def _check_pages(self, *, full: bool) -> None:
        def check() -> None:
            # While a transaction reads, none of the pages that it can see is reused.
            with self._environment.reading() as txn:
                try:
                    check_pages(self._environment.path, txn_id=txn.id(), full=full)
                except NotThisTransaction as error:
                    raise Meanwhile from error

        patiently(check)

    def close(self) -> None:
        self._environment.close()


def _table_of(data_file: Path) -> Path:
    return data_file.with_name(data_file.name + "-lock")


def _notes_readers(data_file: Path) -> bool:
    """Say whether this reader can be noted in LMDB's table of readers, next to `data_file`.

    Raises:
        StorageError: it cannot, and a node may be writing.
    """
    table = _table_of(data_file)
    try:
        os.close(os.open(table, os.O_RDWR))
    except FileNotFoundError:
        return False  # a reader makes none; where there is none there is no writer either
    except OSError as error:
        if may_be_held(data_file.parent / LOCK_FILE):
            raise StorageError(
                f"{data_file.parent} is in use by a node, and cannot be read without a right to "
                f"write {table.name} there ({error.strerror}): ask as the node's user, or stop it"
            ) from error
        return False
    return True
