"""Keeps entries that are about to be purged from the log, if the Config says so."""

from __future__ import annotations

import logging
from pathlib import Path

from raftify.config import Config
from raftify.errors import StorageError
from raftify.node.worker import Worker
from raftify.storage.base import StableStorage
from raftify.storage.log_archive import LogArchive

#: Entries read and archived at a time, at most one more, in bytes.
_BATCH_BYTES = 16 << 20


class Archiver:
    """Takes entries to the archive before they are purged.

    What it writes goes through `writer`, so that no append to the log waits for it.
    """

    def __init__(
        self, config: Config, storage: StableStorage, writer: Worker, logger: logging.Logger
    ) -> None:
        self._config = config
        self._storage = storage
        self._writer = writer
        self._logger = logger
        self._archive: LogArchive | None = None

    async def keep(self, low: int, high: int) -> int:
        """See that the entries of `[low, high)` are archived, or as many of the first as there may
        be at a time; return the index up to which the log may be discarded now.

        That is `low` if they could not be archived: the log keeps them then.

        Raises:
            StorageError: the log itself cannot be read.
        """
        if not self._config.save_compacted_logs:
            return high
        entries = await self._writer.run(self._storage.entries, low, high, _BATCH_BYTES)
        try:
            if self._archive is None:
                self._archive = await self._writer.run(open_archive, self._config, self._storage)
            await self._writer.run(self._archive.append, entries)
        except StorageError as error:
            self._logger.error(  # noqa: TRY400 - the message says it all
                "the entries from %d on cannot be archived, so the log keeps them until they can: "
                "%s",
                low, error,
            )  # fmt: skip
            return low
        return entries[-1].index + 1


def open_archive(config: Config, storage: StableStorage) -> LogArchive:
    """Open the archive that `config` names for the log in `storage`.

    Raises:
        StorageForeign: it is that of another node.
        StorageError: it cannot be read or made.
    """
    identity = storage.identity()
    if identity is None:
        raise StorageError("the log belongs to nobody yet: there is nothing to archive")
    folder = storage.archive_folder(Path(config.compacted_log_dir))
    return LogArchive(folder, identity, config.compacted_log_size_threshold)
