"""The log as the algorithm sees it: storage, and the unstable end, as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from raftify.core.entry_size import fits, limit_size
from raftify.core.storage import Storage
from raftify.core.types import NO_LIMIT, Entry, Snapshot
from raftify.core.unstable import Unstable
from raftify.errors import Compacted, InvariantViolation, Unavailable


class RaftLog:
    """raft-rs's RaftLog.

    Invariants:
        applied <= committed <= last_index
        persisted < the index of whatever is in `unstable`
        applied <= persisted, unless `max_apply_unpersisted_log_limit` lets a leader apply first

    `persisted` is the last index known to be durable here. `committed` may be ahead of it: a quorum
    of others can hold an entry that is not durable here yet.
    """

    __slots__ = (
        "applied",
        "committed",
        "max_apply_unpersisted_log_limit",
        "persisted",
        "store",
        "unstable",
    )

    def __init__(self, store: Storage, max_apply_unpersisted_log_limit: int = 0) -> None:
        self.store = store
        first_index = store.first_index()
        last_index = store.last_index()
        self.committed = first_index - 1
        self.persisted = last_index
        self.applied = first_index - 1
        self.unstable = Unstable(last_index + 1)
        self.max_apply_unpersisted_log_limit = max_apply_unpersisted_log_limit

    # -- starting ---------------------------------------------------------------------------

    def resume_commit(self, committed: int) -> None:
        """Take over a stored commit index.

        It may lag behind, since it need not be synced on its own; but whatever a snapshot replaced
        had been committed.
        """
        if committed > self.last_index():
            raise InvariantViolation(
                f"the stored commit index {committed} is beyond the end of the stored log, "
                f"{self.last_index()}: the store lost entries. Remove this node from the cluster "
                "and let it join anew"
            )
        self.committed = max(committed, self.committed)

    def resume_applied(self, applied: int, *, may_lead: bool) -> None:
        """Start with a state machine that has applied up to `applied`.

        `may_lead` says that it may be ahead of the log, having applied what others held.
        """
        if applied < self.applied:
            raise InvariantViolation(
                f"the state machine has applied {applied}, but the log begins after "
                f"{self.applied}: restore it from the snapshot first"
            )
        if applied > self.last_index() and not may_lead:
            raise InvariantViolation(
                f"the state machine has applied {applied}, but the log ends at "
                f"{self.last_index()}: the store lost entries"
            )
        # What was applied had been committed, even if that was not stored in time.
        self.committed = max(self.committed, min(applied, self.last_index()))
        self.applied = applied

    def __str__(self) -> str:
        return (
            f"committed={self.committed}, persisted={self.persisted}, applied={self.applied}, "
            f"unstable.offset={self.unstable.offset}, "
            f"unstable.entries.len()={len(self.unstable.entries)}"
        )

    # -- positions --------------------------------------------------------------------------

    def first_index(self) -> int:
        """Return the index of the first entry that can be read."""
        snapshot = self.unstable.snapshot
        return self.store.first_index() if snapshot is None else snapshot.metadata.index + 1

    def last_index(self) -> int:
        """Return the index of the last entry, or of the snapshot the log begins with."""
        unstable = self.unstable
        if unstable.entries:
            return unstable.offset + len(unstable.entries) - 1
        snapshot = unstable.snapshot
        return self.store.last_index() if snapshot is None else snapshot.metadata.index

    def term(self, index: int) -> int:
        """Return the term at `index`; 0 if it lies outside of the log.

        Raises:
            Compacted, Unavailable: storage changed its bounds meanwhile.
        """
        unstable = self.unstable
        position = index - unstable.offset
        if 0 <= position < len(unstable.entries):
            return unstable.entries[position].term
        if index < self.first_index() - 1 or index > self.last_index():
            return 0
        term = unstable.maybe_term(index)
        return self.store.term(index) if term is None else term

    def last_term(self) -> int:
        """Return the term at `last_index()`."""
        try:
            return self.term(self.last_index())
        except (Compacted, Unavailable) as error:
            raise InvariantViolation(
                f"storage has no term for its last index {self.last_index()}: {error}"
            ) from error

    def match_term(self, index: int, term: int) -> bool:
        """Say whether the log has an entry at `index`, and it is of `term`."""
        try:
            # Beyond the end the term reads 0, which is nobody's.
            return index <= self.last_index() and self.term(index) == term
        except (Compacted, Unavailable):
            return False

    def is_up_to_date(self, last_index: int, term: int) -> bool:
        """Say whether a log that ends so is at least as up to date as this one (paper §5.4.1)."""
        own_term = self.last_term()
        return term > own_term or (term == own_term and last_index >= self.last_index())

    def commit_info(self) -> tuple[int, int]:
        """Return the committed index and the term there."""
        try:
            return self.committed, self.term(self.committed)
        except (Compacted, Unavailable) as error:
            raise InvariantViolation(
                f"the last committed entry, {self.committed}, is missing: {error}"
            ) from error

    # -- appending --------------------------------------------------------------------------

    def find_conflict(self, entries: list[Entry]) -> int:
        """Return the index of the first of `entries` that this log does not have; 0 if none.

        That is either one with another term here, or the first beyond the end.
        """
        for entry in entries:
            if not self.match_term(entry.index, entry.term):
                return entry.index
        return 0

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int | None]:
        """Return the last position at or before `index` whose term is at most `term`.

        Leader and follower use it to skip whole terms while they look for where their logs part,
        instead of going back entry by entry (paper §5.3, last paragraph). The second value is the
        term there; None if it is unknown, or if `index` lies beyond the end.
        """
        if index > self.last_index():
            return index, None
        # Terms never fall along a log, so that not every one must be read: a leader that was cut
        # off may have left a tail of many thousands. What lies before the log is of term 0.
        first = min(self.first_index() - 1, index)
        try:
            found = first + bisect_right(range(first, index + 1), term, key=self.term) - 1
            return found, self.term(found)
        except Compacted:
            # Storage may discard the beginning at any time, from a thread of its own: what is left
            # is searched again. It ends: the log only ever begins later.
            if first < min(self.first_index() - 1, index):
                return self.find_conflict_by_term(index, term)
            return index, None
        except Unavailable:
            return index, None

    def append(self, entries: list[Entry]) -> int:
        """Append entries, replacing what follows them; return the last index.

        Raises:
            InvariantViolation: a committed entry would be replaced.
        """
        if entries:
            after = entries[0].index - 1
            if after < self.committed:
                raise InvariantViolation(
                    f"entries from {after + 1} on would replace committed ones "
                    f"(committed {self.committed})"
                )
            self.unstable.truncate_and_append(entries)
        return self.last_index()

    def maybe_append(
        self, index: int, term: int, committed: int, entries: list[Entry]
    ) -> tuple[int, int] | None:
        """Append what a leader sent, if its entries follow on (`index`, `term`) (paper §5.3).

        Returns the first index that was new (0 if none) and the last index of what the leader sent;
        None if this log does not have (`index`, `term`). `committed` is taken over as far as the
        logs are known to match.
        """
        if not self.match_term(index, term):
            return None
        conflict = self.find_conflict(entries)
        if conflict:
            if conflict <= self.committed:
                raise InvariantViolation(
                    f"the leader sent another entry {conflict} than the one committed here "
                    f"(committed {self.committed}); two leaders of a term, or a store was damaged"
                )
            self.append(entries[conflict - index - 1 :] if conflict > index + 1 else entries)
            # What lies from there on in storage is no longer this log.
            self.persisted = min(self.persisted, conflict - 1)
        last_new_index = index + len(entries)
        self.commit_to(min(committed, last_new_index))
        return conflict, last_new_index

    # -- moving forward ---------------------------------------------------------------------

    def commit_to(self, index: int) -> None:
        """Raise `committed` to `index`; it never falls.

        Raises:
            InvariantViolation: the log ends before. This node acknowledged entries that it does not
                have any more.
        """
        if index <= self.committed:
            return
        if index > self.last_index():
            raise InvariantViolation(
                f"told that {index} is committed, but the log ends at {self.last_index()}: this "
                "node lost entries that it had acknowledged. Its store was wiped, replaced or "
                "rolled back; remove the node from the cluster and let it join anew"
            )
        self.committed = index

    def maybe_commit(self, index: int, term: int) -> bool:
        """Commit up to `index` if that is news and its entry is of `term` (paper §5.4.2)."""
        if index > self.committed and self.match_term(index, term):
            self.commit_to(index)
            return True
        return False

    def applied_to(self, index: int) -> None:
        """Note that the state machine applied up to `index`; 0 says nothing."""
        if index == 0:
            return
        if not self.applied <= index <= self.committed:
            raise InvariantViolation(
                f"applied index {index} is out of range "
                f"[applied {self.applied}, committed {self.committed}]"
            )
        self.applied = index

    def maybe_persist(self, index: int, term: int) -> bool:
        """Note that storage made (`index`, `term`) durable; False if that is not (or no) news.

        The entry may have been overwritten while it was written, and even been sent again since:
        then it is unstable once more, and counts only after its second write.
        """
        unstable = self.unstable
        snapshot = unstable.snapshot
        first_update_index = unstable.offset if snapshot is None else snapshot.metadata.index
        if index <= self.persisted or index >= first_update_index:
            return False
        try:
            durable = self.store.term(index) == term
        except (Compacted, Unavailable):
            return False
        if durable:
            self.persisted = index
        return durable

    def maybe_persist_snap(self, index: int) -> bool:
        """Note that storage made the snapshot at `index` durable; False if that is no news."""
        if index <= self.persisted:
            return False
        if index > self.committed:
            raise InvariantViolation(
                f"snapshot {index} was made durable but only {self.committed} is committed"
            )
        if index >= self.unstable.offset:
            raise InvariantViolation(
                f"snapshot {index} was made durable but the log has unwritten entries from "
                f"{self.unstable.offset} on"
            )
        self.persisted = index
        return True

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the whole log by `snapshot`, entries that follow it included."""
        index = snapshot.metadata.index
        if index < self.committed:
            raise InvariantViolation(
                f"a snapshot at {index} would undo what is committed (up to {self.committed})"
            )
        # Entries between `committed` and the snapshot may differ from what the snapshot holds.
        self.persisted = min(self.persisted, self.committed)
        self.committed = index
        self.unstable.restore(snapshot)

    # -- reading ----------------------------------------------------------------------------

    def entries(self, index: int, max_size_bytes: int | None = None) -> list[Entry]:
        """Return the entries from `index` on, as many as fit but at least one if there is one.

        Raises:
            Compacted: `index` lies before the first entry.
            LogTemporarilyUnavailable: storage is fetching them.
        """
        last = self.last_index()
        return [] if index > last else self.slice(index, last + 1, max_size_bytes)

    def slice(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        """Return the entries of the half-open range `[low, high)`, limited as `entries` is."""
        unstable = self.unstable
        if unstable.offset <= low < high:
            found = unstable.slice(low, high)
            if fits(unstable.entries_size, len(found), max_size_bytes):
                return found
            return limit_size(found, max_size_bytes)
        if low > high:
            raise InvariantViolation(f"invalid range of entries [{low}, {high})")
        if low < self.first_index():
            raise Compacted(f"entry {low} was discarded; the log begins at {self.first_index()}")
        if high > self.last_index() + 1:
            raise InvariantViolation(
                f"entries [{low}, {high}) asked for, but the log ends at {self.last_index()}"
            )
        if low == high:
            return []
        return self._slice_stored(low, high, max_size_bytes)

    def _slice_stored(self, low: int, high: int, max_size_bytes: int | None) -> list[Entry]:
        offset = self.unstable.offset
        stored_high = min(high, offset)
        try:
            found = self.store.entries(low, stored_high, max_size_bytes)
        except Unavailable as error:
            raise InvariantViolation(
                f"storage lacks entries of [{low}, {stored_high}) that it was given: {error}"
            ) from error
        if stored_high == high or len(found) < stored_high - low:
            return found
        return limit_size([*found, *self.unstable.slice(offset, high)], max_size_bytes)

    def scan(self, low: int, high: int, page_size_bytes: int) -> Iterator[list[Entry]]:
        """Yield the entries of `[low, high)` page by page, so that no huge list is built."""
        while low < high:
            page = self.slice(low, high, page_size_bytes)
            low += len(page)
            yield page

    def all_entries(self) -> list[Entry]:
        """Return every entry there is. For tests and tools."""
        return self.entries(self.first_index(), NO_LIMIT)

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        """Return a snapshot for node `to` that covers `request_index` (see Storage.snapshot)."""
        pending = self.unstable.snapshot
        if pending is not None and pending.metadata.index >= request_index:
            return pending
        return self.store.snapshot(request_index, to)

    def pending_snapshot(self) -> Snapshot | None:
        """Return the snapshot that storage does not hold yet."""
        return self.unstable.snapshot

    # -- handing out ------------------------------------------------------------------------

    def next_entries_since(self, index: int, max_size_bytes: int | None = None) -> list[Entry]:
        """Return the entries after `index` that may be applied, limited as `entries` is."""
        low = max(index + 1, self.first_index())
        high = self.applied_index_upper_bound() + 1
        return self.slice(low, high, max_size_bytes) if high > low else []

    def has_next_entries_since(self, index: int) -> bool:
        """Say whether `next_entries_since` would return any."""
        upper = self.applied_index_upper_bound()
        return upper > index and upper >= self.first_index()

    def applied_index_upper_bound(self) -> int:
        """Return the last index that may be applied: committed, and durable here."""
        return min(self.committed, self.persisted + self.max_apply_unpersisted_log_limit)
