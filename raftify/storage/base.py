"""What a node needs of a store: the core's read access, and one atomic write per batch.

Who calls what, on which thread: reads come from the event loop's thread at any time, and must see
either the state before a write or after it. Everything under "writes" is called from one dedicated
thread, one call at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from raftify.core.types import Entry, HardState, RaftState, Snapshot
from raftify.peers import Membership
from raftify.records import SnapshotSink
from raftify.storage.disk_folder import DiskFolder
from raftify.storage.medium import Folder


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Whose store this is. `incarnation` is made anew for each new store, and tells a wiped disk
    that came back under an old id from the node that had voted with it."""

    cluster_id: str
    node_id: int
    incarnation: str


@dataclass(slots=True)
class WriteBatch:
    """What one Ready, or several consecutive ones, asks to be made durable in one transaction.

    In this order: `snapshot` (one that was received: its file is in the store already) replaces
    the log up to its index, and the whole log if the log does not hold the snapshot's last entry;
    `entries`, contiguous, replace everything from the first one's index on; then `hard_state` and
    `membership`. With `must_sync` false the transaction may be durable later, but never torn.
    """

    snapshot: Snapshot | None = None
    entries: Sequence[Entry] = ()
    hard_state: HardState | None = None
    membership: Membership | None = None
    must_sync: bool = True


class StableStorage(ABC):
    """A durable log, hard state, membership and latest snapshot. Implements the core's Storage.

    A new store is empty until `initialize`. Every method raises StorageError or one of its kinds;
    foreign exceptions never leave.
    """

    # -- reads, from the event loop's thread ------------------------------------------------

    @abstractmethod
    def identity(self) -> StoreIdentity | None:
        """Return whose store this is; None while it is new."""

    @abstractmethod
    def membership(self) -> Membership:
        """Return the latest membership written (empty while the store is new or joining)."""

    @abstractmethod
    def initial_state(self) -> RaftState:
        """Return the hard state and the configuration as of what was written last."""

    @abstractmethod
    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        """Return the entries of `[low, high)`, as many as have up to `max_size_bytes` together.

        At least one is returned if the range is not empty, however large it is.

        Raises:
            Compacted: `low` is below `first_index()`.
            Unavailable: `high` is above `last_index() + 1`.
        """

    @abstractmethod
    def term(self, index: int) -> int:
        """Return the term of the entry at `index`, which may be `first_index() - 1`.

        Raises:
            Compacted: `index` is below that.
            Unavailable: `index` is above `last_index()`.
        """

    @abstractmethod
    def first_index(self) -> int:
        """Return the index of the first entry, or the one that the first entry will have."""

    @abstractmethod
    def last_index(self) -> int:
        """Return the index of the last entry; `first_index() - 1` if there is none."""

    @abstractmethod
    def snapshot(self, request_index: int, to: int) -> Snapshot:
        """Return the latest snapshot.

        Raises:
            SnapshotTemporarilyUnavailable: it ends before `request_index`, or `to` is not 0 and not
                in its configuration (a follower refuses such a snapshot), or there is none.
        """

    @abstractmethod
    def latest_snapshot(self) -> Snapshot:
        """Return the latest snapshot, empty if there is none."""

    @abstractmethod
    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO:
        """Open the state machine's bytes of `snapshot` for reading, from any thread.

        They stay readable until the file is closed, even if a newer snapshot replaces this one.

        Raises:
            SnapshotOutOfDate: the file is gone; a newer snapshot took its place.
        """

    @abstractmethod
    def known_incarnations(self) -> dict[int, str]:
        """Return the incarnation that each peer was first met with."""

    def place_check(self) -> Callable[[], None] | None:
        """Return what raises StorageError once the files are not where they were opened any more.

        A node calls it every few seconds, on the storage thread. None, where there are no files
        that somebody could take away.
        """
        return None

    def archive_folder(self, path: Path) -> Folder:
        """Return where entries are kept that were discarded from the log: the directory at `path`
        (`Config.compacted_log_dir`), unless a store keeps them elsewhere."""
        return DiskFolder(path)

    # -- writes, from the storage thread ----------------------------------------------------

    @abstractmethod
    def initialize(self, identity: StoreIdentity, membership: Membership) -> None:
        """Make a new store that of `identity`.

        With members, log and snapshot start at index 1 of term 1 with an empty state machine,
        `membership` there, and a hard state of term 1 and commit 1: every founder begins with the
        same, and who joins later gets the configuration through a snapshot. With an empty
        membership the log stays empty, to be filled by a leader.
        """

    @abstractmethod
    def write(self, batch: WriteBatch) -> None:
        """Make `batch` durable, all of it or, if this raises, nothing."""

    @abstractmethod
    def create_snapshot_sink(self, file_id: str = "") -> SnapshotSink:
        """Return a file to write a snapshot to; a new `file_id` is made up if none is given."""

    @abstractmethod
    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Make one of our own making the latest; its file, if any, was finished before.

        The log is untouched: `compact` is separate. Files of older snapshots are removed.
        """

    @abstractmethod
    def compact(self, first_index: int) -> None:
        """Discard the entries before `first_index`.

        Raises:
            Compacted: they were discarded already (harmless).
            StorageError: the snapshot does not cover them.
        """

    @abstractmethod
    def remember_incarnation(self, node_id: int, incarnation: str) -> None:
        """Record with which incarnation a peer was met; an empty text forgets it."""

    @abstractmethod
    def close(self) -> None:
        """Release everything. Harmless the second time; every other call then raises."""
