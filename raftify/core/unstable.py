"""The end of the log that storage does not hold yet."""

from __future__ import annotations

from raftify.core.entry_size import approximate_size
from raftify.core.types import Entry, Snapshot
from raftify.errors import InvariantViolation


class Unstable:
    """Entries, and perhaps a snapshot, that were handed to nobody or are being written.

    `entries[i]` has index `offset + i`. `offset` may be lower than storage's last index: then the
    next write replaces what storage has from there on.

    Invariants: indices are contiguous; a snapshot lies below `offset`; `entries_size` is raft-rs's
    approximate size of `entries` in bytes.
    """

    __slots__ = ("entries", "entries_size", "offset", "snapshot")

    def __init__(self, offset: int) -> None:
        self.snapshot: Snapshot | None = None
        self.entries: list[Entry] = []
        self.entries_size = 0
        self.offset = offset

    def maybe_first_index(self) -> int | None:
        """Return the first index the log can have if a snapshot is pending, else None."""
        return None if self.snapshot is None else self.snapshot.metadata.index + 1

    def maybe_last_index(self) -> int | None:
        """Return the last index if there is an entry or a snapshot, else None."""
        if self.entries:
            return self.offset + len(self.entries) - 1
        return None if self.snapshot is None else self.snapshot.metadata.index

    def maybe_term(self, index: int) -> int | None:
        """Return the term at `index` if it is known here, else None."""
        if index >= self.offset:
            position = index - self.offset
            return self.entries[position].term if position < len(self.entries) else None
        if self.snapshot is not None and index == self.snapshot.metadata.index:
            return self.snapshot.metadata.term
        return None

    def stable_entries(self, index: int, term: int) -> None:
        """Drop the entries up to `index`: storage holds them.

        raft-rs demands that nothing was appended since they were handed out. Here messages may be
        stepped while a write is under way, so more may follow, and they stay; and what was
        overwritten meanwhile is no longer here as (`index`, `term`), and everything stays.
        """
        if index < self.offset or self.maybe_term(index) != term:
            return
        written = index + 1 - self.offset
        if written == len(self.entries):
            self.entries = []
            self.entries_size = 0
        else:
            self.entries_size -= approximate_size(self.entries[:written])
            del self.entries[:written]
        self.offset = index + 1

    def stable_snap(self, index: int) -> None:
        """Drop the snapshot: storage holds it. A newer one that came meanwhile stays."""
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            self.snapshot = None

    def restore(self, snapshot: Snapshot) -> None:
        """Forget all entries; the log now begins after `snapshot`."""
        self.entries = []
        self.entries_size = 0
        self.offset = snapshot.metadata.index + 1
        self.snapshot = snapshot

    def truncate_and_append(self, entries: list[Entry]) -> None:
        """Append entries, after removing everything from the first one's index on."""
        after = entries[0].index
        if after <= self.offset and self.entries:
            # Storage, too, has something else there; the next write replaces it.
            self.entries = []
            self.entries_size = 0
        if after < self.offset:
            self.offset = after
        elif after < self.offset + len(self.entries):
            keep = after - self.offset
            self.entries_size -= approximate_size(self.entries[keep:])
            del self.entries[keep:]
        elif after > self.offset + len(self.entries):
            raise InvariantViolation(
                f"appending at {after} would leave a gap after "
                f"{self.offset + len(self.entries) - 1} in the log"
            )
        self.entries.extend(entries)
        self.entries_size += approximate_size(entries)

    def slice(self, low: int, high: int) -> list[Entry]:
        """Return the entries of `[low, high)`, which must all be here."""
        if not self.offset <= low <= high <= self.offset + len(self.entries):
            raise InvariantViolation(
                f"entries [{low}, {high}) asked for, but only "
                f"[{self.offset}, {self.offset + len(self.entries)}) are in memory"
            )
        return self.entries[low - self.offset : high - self.offset]
