"""A Storage in memory: raft-rs's MemStorage, for tests, examples and as a base of others."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.core.entry_size import limit_size
from raftify.core.types import (
    ConfState,
    Entry,
    HardState,
    RaftState,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import (
    Compacted,
    InvariantViolation,
    LogTemporarilyUnavailable,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    Unavailable,
)


class MemoryStorage:
    """Keeps log, hard state and configuration; of snapshots only what they cover.

    A new one is empty and uninitialised. The snapshots it makes up cover what is committed, on the
    assumption that all of that has been applied.
    """

    __slots__ = (
        "_before",
        "_conf_state",
        "_entries",
        "_hard_state",
        "_log_unavailable",
        "_snap_unavailable",
        "_snapshot",
    )

    def __init__(self) -> None:
        self._hard_state = HardState()
        self._conf_state = ConfState()
        self._entries: list[Entry] = []
        self._snapshot = Snapshot()
        # Index and term of the last entry that is not there any more.
        self._before = (0, 0)
        self._snap_unavailable = False
        self._log_unavailable = False

    @classmethod
    def new_with_conf_state(
        cls, voters: Sequence[int], learners: Sequence[int] = ()
    ) -> MemoryStorage:
        """Return one whose configuration is given and whose log is empty, as raft-rs's tests do."""
        storage = cls()
        storage.set_conf_state(ConfState(voters=tuple(voters), learners=tuple(learners)))
        return storage

    # -- Storage ----------------------------------------------------------------------------

    def initial_state(self) -> RaftState:
        """Return hard state and configuration."""
        hard_state = self._hard_state
        copy = HardState(hard_state.term, hard_state.vote, hard_state.commit)
        return RaftState(copy, self._conf_state)

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        """Return the entries of `[low, high)`; see Storage."""
        first = self.first_index()
        if low < first:
            raise Compacted(f"entry {low} was discarded; the log begins at {first}")
        if high > self.last_index() + 1:
            raise Unavailable(f"entry {high - 1} is beyond the last one, {self.last_index()}")
        if self._log_unavailable:
            raise LogTemporarilyUnavailable(f"entries [{low}, {high}) are being fetched")
        return limit_size(self._entries[low - first : high - first], max_size_bytes)

    def term(self, index: int) -> int:
        """Return the term at `index`; see Storage."""
        if index == self._before[0]:
            return self._before[1]
        position = index - self.first_index()
        if position < 0:
            raise Compacted(f"entry {index} was discarded; the log begins at {self.first_index()}")
        if position >= len(self._entries):
            raise Unavailable(f"entry {index} is beyond the last one, {self.last_index()}")
        return self._entries[position].term

    def first_index(self) -> int:
        """Return the index of the first entry, or the one after the snapshot."""
        return self._before[0] + 1

    def last_index(self) -> int:
        """Return the index of the last entry, or the snapshot's."""
        return self._before[0] + len(self._entries)

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        """Make up a snapshot of what is committed; see Storage."""
        if self._snap_unavailable:
            self._snap_unavailable = False
            raise SnapshotTemporarilyUnavailable("a snapshot is being made")
        conf_state = self._conf_state
        members = {*conf_state.voters, *conf_state.learners, *conf_state.voters_outgoing}
        if to and members and to not in members:
            raise SnapshotTemporarilyUnavailable(f"no snapshot's configuration has node {to} yet")
        index = self._hard_state.commit
        if index < request_index:
            raise SnapshotTemporarilyUnavailable(f"no snapshot reaches {request_index} yet")
        return Snapshot(
            data=self._snapshot.data,
            metadata=SnapshotMetadata(conf_state, index, self.term(index)),
        )

    # -- what drivers and tests call --------------------------------------------------------

    def set_hardstate(self, hard_state: HardState) -> None:
        """Keep `hard_state`."""
        self._hard_state = hard_state

    def set_conf_state(self, conf_state: ConfState) -> None:
        """Keep `conf_state`: the configuration as of what was applied."""
        self._conf_state = conf_state

    def append(self, entries: Sequence[Entry]) -> None:
        """Append entries, replacing everything from the first one's index on."""
        if not entries:
            return
        low = entries[0].index
        first = self.first_index()
        if low < first:
            raise InvariantViolation(f"entry {low} was discarded; the log begins at {first}")
        if low > self.last_index() + 1:
            raise InvariantViolation(f"entry {low} would leave a gap after {self.last_index()}")
        self._entries[low - first :] = entries

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace everything by `snapshot`, which must not be older than the log's begin.

        The whole log goes, even entries after the snapshot: they may belong to another history.
        """
        metadata = snapshot.metadata
        if metadata.index < self.first_index():
            raise SnapshotOutOfDate(
                f"the snapshot ends at {metadata.index}, the log begins at {self.first_index()}"
            )
        self._snapshot = snapshot
        self._before = (metadata.index, metadata.term)
        self._hard_state.term = max(self._hard_state.term, metadata.term)
        self._hard_state.commit = metadata.index
        self._entries = []
        self._conf_state = metadata.conf_state

    def compact(self, index: int) -> None:
        """Discard the entries before `index`."""
        if index <= self.first_index():
            return
        if index > self.last_index() + 1:
            raise InvariantViolation(f"no entry {index} to compact up to")
        self._before = (index - 1, self.term(index - 1))
        del self._entries[: index - self._entries[0].index]

    def commit_to_and_set_conf_states(self, index: int, conf_state: ConfState | None) -> None:
        """Note that everything up to `index`, an entry's, is committed; set the configuration."""
        self._hard_state.commit = index
        self._hard_state.term = self.term(index)
        if conf_state is not None:
            self._conf_state = conf_state

    def trigger_snap_unavailable(self) -> None:
        """Make the next `snapshot` raise SnapshotTemporarilyUnavailable."""
        self._snap_unavailable = True

    def trigger_log_unavailable(self, unavailable: bool) -> None:  # noqa: FBT001 - raft-rs's shape
        """Make `entries` raise LogTemporarilyUnavailable until told otherwise."""
        self._log_unavailable = unavailable
