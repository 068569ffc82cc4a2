"""What the core reads from a log: raft-rs's Storage, and its closed list of expected conditions.

The core never writes. Entries, hard state and snapshots leave it in a Ready; whoever drives it
makes them durable and reports back.
"""

from __future__ import annotations

from typing import Protocol

from raftify.core.types import Entry, RaftState, Snapshot


class Storage(Protocol):
    """Read access to the durable log. No method may block for long or change anything."""

    def initial_state(self) -> RaftState:
        """Return the durable hard state and the configuration as of what was applied."""
        ...

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        """Return the entries of the half-open range `[low, high)`, as many as fit.

        At least one entry is returned when the range is not empty, however large it is.

        Raises:
            Compacted: `low` is below `first_index()`.
            Unavailable: `high` is above `last_index() + 1`.
            LogTemporarilyUnavailable: the entries are being fetched; the driver will call
                `RawNode.on_entries_fetched`.
        """
        ...

    def term(self, index: int) -> int:
        """Return the term of the entry at `index`, which may be `first_index() - 1`.

        Raises:
            Compacted: `index` is below `first_index() - 1`.
            Unavailable: `index` is above `last_index()`.
        """
        ...

    def first_index(self) -> int:
        """Return the index of the first entry that is still there (snapshot index + 1 if none)."""
        ...

    def last_index(self) -> int:
        """Return the index of the last entry (the snapshot's index if there are none)."""
        ...

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        """Return a snapshot that covers at least `request_index` and whose configuration has `to`.

        Raises:
            SnapshotTemporarilyUnavailable: there is none yet; the core asks again later.
        """
        ...
