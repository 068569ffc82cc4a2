"""How many bytes of proposals a leader has waiting for their commit."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.core.types import NO_LIMIT, Entry


class UncommittedState:
    """Bounds the leader's uncommitted log: with no quorum it would grow until memory ends.

    Only payloads count, so that entries without one (a new leader's first, the end of a joint
    configuration) are never refused.
    """

    __slots__ = ("last_log_tail_index", "max_uncommitted_size", "uncommitted_size")

    def __init__(self, max_uncommitted_size: int) -> None:
        self.max_uncommitted_size = max_uncommitted_size
        self.uncommitted_size = 0
        #: Last index when this node became leader: entries up to it were never counted.
        self.last_log_tail_index = 0

    def begin_term(self, last_index: int) -> None:
        """Start counting anew, at the end of the log that a new leader begins with."""
        self.uncommitted_size = 0
        self.last_log_tail_index = last_index

    def maybe_increase_uncommitted_size(self, entries: Sequence[Entry]) -> bool:
        """Count `entries` and return True, or return False if that would be too much.

        One proposal is always let in when nothing waits, however large it is.
        """
        if self.max_uncommitted_size >= NO_LIMIT:
            return True
        size = sum([len(entry.data) for entry in entries])
        total = size + self.uncommitted_size
        if size and self.uncommitted_size and total > self.max_uncommitted_size:
            return False
        self.uncommitted_size = total
        return True

    def maybe_reduce_uncommitted_size(self, entries: Sequence[Entry]) -> bool:
        """Forget `entries`, which were committed; False if more were given than had been counted.

        A Ready made before this node became leader can hold entries of earlier terms.
        """
        if self.max_uncommitted_size >= NO_LIMIT or not entries:
            return True
        skipped = max(0, self.last_log_tail_index + 1 - entries[0].index)
        counted = entries[skipped:] if skipped else entries
        size = sum([len(entry.data) for entry in counted])
        if size > self.uncommitted_size:
            self.uncommitted_size = 0
            return False
        self.uncommitted_size -= size
        return True
