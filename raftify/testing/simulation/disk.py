"""A simulated disk: the real `LmdbStorage` over records and files that a crash loses as real ones.

What it can do to its node, each a method or an attribute: be full, fail, lose power, die in the
middle of any write, tear the last transaction, flip a bit, return an old record, go back as a
whole to what it was, be empty. docs/disks.md says which of these a node notices, and how.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from random import Random

from raftify.config import Config
from raftify.errors import StorageLocked
from raftify.storage import LmdbStorage, StableStorage
from raftify.storage import lmdb_records as records
from raftify.storage.lmdb_directory import SNAPSHOT_DIRECTORY, LogDirectory
from raftify.storage.lmdb_environment import DATA_FILE
from raftify.storage.snapshot_files import SnapshotFiles
from raftify.testing.simulation import disk_faults as faults
from raftify.testing.simulation.disk_durable import DurableLog
from raftify.testing.simulation.disk_environment import SimulatedEnvironment
from raftify.testing.simulation.disk_folder import SimulatedFolder, StoredFolder
from raftify.testing.simulation.disk_hold import DiskHealth, Hold, Taken
from raftify.testing.simulation.disk_tables import Tables

#: Where a store keeps what it discarded from its log.
ARCHIVE_DIRECTORY = "archive"


class SimulatedDisk:
    """The disk of one node. All that is random about it comes from `random`.

    One process at a time has it open; `close` of the storage, or `crash`, ends its hold.
    """

    def __init__(
        self,
        random: Random,
        name: str = "disk",
        *,
        note: Callable[[str], None] = lambda fault: None,  # noqa: ARG005 - nobody asked
        taken: Taken = lambda what, content: None,  # noqa: ARG005 - nobody asked
    ) -> None:
        """Make an empty disk; `name` stands in messages where a directory's path would.

        Args:
            note: is told, in words, what is done to the disk.
            taken: is told what the disk took: what it was, and the bytes.
        """
        self._note, self._taken = note, taken
        self._path = Path(name)
        # Of their own, so that an id does not depend on how many crashes came before.
        self._ids = Random(random.getrandbits(64))
        self._random = Random(random.getrandbits(64))
        self._health = DiskHealth()
        self._hold: Hold | None = None
        self._empty()

    def _empty(self) -> None:
        self._tables = Tables()
        self._folder = StoredFolder()
        self._archive = StoredFolder()
        self._is_new = True
        self.durable = DurableLog(self._tables)

    # -- what a node does -------------------------------------------------------------------

    def open(
        self, config: Config | None = None, logger: logging.Logger | None = None
    ) -> StableStorage:
        """Open the store, as `LmdbStorage.create` does, made new if the disk is empty.

        Raises:
            StorageLocked: a process has it open: close its storage, or call `crash`.
            StorageDamaged: it is not whole.
            StorageFull, StorageError: the disk is full, or fails.
        """
        if self._hold is not None:
            raise StorageLocked(f"{self._path} is open already: close that storage or crash first")
        config = config or Config()
        hold = Hold(self._health, self._random, self._taken)
        environment = SimulatedEnvironment(
            self._path / DATA_FILE, self._tables, hold, config.lmdb_map_size, self._folder.image
        )
        self._hold = hold
        try:
            if self._is_new:
                records.put_format(environment)
                self._is_new = False
            folder = SimulatedFolder(self._path / SNAPSHOT_DIRECTORY, self._folder, hold)
            files = SnapshotFiles(folder, self._make_id)
            lock = _Lock(lambda: self._let_go(hold))
            directory = LogDirectory.over(self._path, lock, environment, files)
        except BaseException:
            self._let_go(hold)
            raise
        storage = _Storage(directory, config, logger or logging.getLogger("raftify.storage"))
        storage.archive = SimulatedFolder(self._path / ARCHIVE_DIRECTORY, self._archive, hold)
        return storage

    @property
    def is_open(self) -> bool:
        """Whether a process has it open."""
        return self._hold is not None

    def _let_go(self, hold: Hold) -> None:
        hold.alive = False
        if self._hold is hold:
            self._hold = None

    def _make_id(self, size_bytes: int) -> str:
        return self._ids.randbytes(size_bytes).hex()

    # -- crashes ----------------------------------------------------------------------------

    def crash(self, *, power_lost: bool = True) -> None:
        """End the process that has the disk open; from now on its handles refuse everything.

        With `power_lost` what it wrote and did not sync is lost, wholly, in part or not at all.
        Without (as by kill -9) the operating system still has it.
        """
        if self._hold is not None:
            self._let_go(self._hold)
        if power_lost:
            self._folder.lose_power(self._random)
            self._archive.lose_power(self._random)

    def crash_after(
        self,
        operations: int,
        then: Callable[[], None] | None = None,
        *,
        power_lost: bool = True,
    ) -> None:
        """Crash in the write number `operations` from now; 0 is the next one, and -1 stands for
        never.

        A write is a commit, or a change, sync or new name of a file. That one is done, or not.
        The call that made it raises ProcessIsDead, after `then` was called.

        Args:
            power_lost: as `crash` has it.
        """
        if self._hold is None:
            raise StorageLocked(f"nobody has {self._path} open who could crash")

        def crash() -> None:
            self.crash(power_lost=power_lost)
            if then is not None:
                then()

        self._hold.crash_after(operations, crash)

    @property
    def crash_is_set(self) -> bool:
        """Whether `crash_after` is still to come."""
        return self._hold is not None and self._hold.crash_is_set

    # -- what a disk may do -----------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether nothing can be written any more. Set it to fill the disk, or to make room."""
        return self._health.room_bytes is not None and self._health.room_bytes <= 0

    @full.setter
    def full(self, full: bool) -> None:
        self.room_bytes = 0 if full else None

    @property
    def room_bytes(self) -> int | None:
        """How much can be written until it is full; None without a limit. Nothing is given back."""
        return self._health.room_bytes

    @room_bytes.setter
    def room_bytes(self, room_bytes: int | None) -> None:
        if room_bytes != self._health.room_bytes:
            self._note("has room again" if room_bytes is None else f"has room for {room_bytes} B")
        self._health.room_bytes = room_bytes

    @property
    def fail_reads(self) -> bool:
        """Whether reads fail, as of a disk that is broken or gone."""
        return self._health.fail_reads

    @fail_reads.setter
    def fail_reads(self, fail: bool) -> None:
        if fail != self._health.fail_reads:
            self._note("reads fail" if fail else "reads again")
        self._health.fail_reads = fail

    @property
    def fail_writes(self) -> bool:
        """Whether writes and syncs fail, with nothing kept."""
        return self._health.fail_writes

    @fail_writes.setter
    def fail_writes(self, fail: bool) -> None:
        if fail != self._health.fail_writes:
            self._note("writes fail" if fail else "writes again")
        self._health.fail_writes = fail

    def wipe(self) -> None:
        """Lose everything, as of a new disk in the place of the old one."""
        self.crash()
        self._note("is wiped")
        self._empty()

    def tear(self) -> str | None:
        """Crash, and leave only a part of the last transaction, as a disk that lied about a sync.

        Returns what was torn; None if there is nothing.
        """
        self.crash()
        return self._done("torn", faults.tear(self._tables, self._random))

    def roll_back(self, transactions: int | None = None) -> int:
        """Crash, and be as before the last `transactions` ones, by default some; return how many.

        This is what no node can notice by itself: everything on the disk fits together.
        """
        self.crash()
        undone = faults.roll_back(self._tables, self._folder, self._random, transactions)
        self._note(f"goes back by {undone} transactions")
        return undone

    def return_old(self) -> str | None:
        """Have one record as it was before it was last changed; return which, or None."""
        return self._done("old again", faults.return_old(self._tables, self._random))

    def flip_bit(self) -> str | None:
        """Flip one bit of a record, its key, or a file of a snapshot or of the archive; return
        which, or None."""
        folders = (self._folder, self._archive)
        return self._done("a flipped bit", faults.flip_bit(self._tables, folders, self._random))

    def _done(self, what: str, where: str | None) -> str | None:
        """Note what was done to which part of the disk, if to any; return the part."""
        if where is not None:
            self._note(f"{what}: {where}")
        return where


class _Storage(LmdbStorage):
    """The real store, whose archive is on the same disk, whatever the Config calls it."""

    archive: SimulatedFolder

    def archive_folder(self, path: Path) -> SimulatedFolder:
        return self.archive


class _Lock:
    """What LmdbStorage releases when it is closed."""

    def __init__(self, release: Callable[[], None]) -> None:
        self.release = release
