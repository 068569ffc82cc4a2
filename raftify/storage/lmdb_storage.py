"""A store on disk: entries and state in LMDB, snapshots in files beside it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Self

from raftify.config import Config
from raftify.storage.lmdb_directory import LogDirectory
from raftify.storage.log_reader import LogReader
from raftify.storage.record_storage import RecordStorage


class LmdbStorage(RecordStorage):
    """The durable store of one node, in a directory of its own.

    Reads may come from any thread and never wait for a write. Every write is one synced LMDB
    transaction; `must_sync` makes no difference, since LMDB cannot leave out the sync of a single
    transaction without giving up the order in which they reach the disk.
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
            StorageDamaged: it is not whole; nothing was changed.
            StorageFull: there is no room.
            ConfigError: an argument is not what it should be.
        """
        return cls._opened(_open_directory, log_dir, config, logger)

    @staticmethod
    def open_readonly(log_dir: str | Path) -> LogReader:
        """Look into a log directory without disturbing the node that may be running there.

        Raises what `LogReader.open` does.
        """
        return LogReader.open(log_dir)


def _open_directory(path: Path, config: Config) -> LogDirectory:
    return LogDirectory.open(path, config.lmdb_map_size)
