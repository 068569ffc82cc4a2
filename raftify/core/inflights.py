"""How many appends are on their way to one follower, and up to which index each reaches."""

from __future__ import annotations

from collections import deque

from raftify.errors import InvariantViolation


class Inflights:
    """A window of the last indices of appends that were sent and not yet acknowledged.

    Invariant: the indices never fall, from the oldest to the newest. `capacity` is a number of
    messages, at which no more may be sent. A capacity lowered while messages are on their way
    takes full effect when the last of them is acknowledged, as in raft-rs.
    """

    __slots__ = ("_indices", "_lowered_capacity", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lowered_capacity: int | None = None
        self._indices: deque[int] = deque()

    def count(self) -> int:
        """Return how many messages are on their way."""
        return len(self._indices)

    def full(self) -> bool:
        """Return whether no more messages may be sent."""
        count = len(self._indices)
        return count >= self.capacity or (
            self._lowered_capacity is not None and count >= self._lowered_capacity
        )

    def add(self, last_index: int) -> None:
        """Record a message whose last entry is at `last_index`.

        Raises:
            InvariantViolation: the window is full; ask `full()` before sending.
        """
        if self.full():
            raise InvariantViolation(
                f"cannot add a message up to index {last_index}: all {self.capacity} places for "
                "messages in flight are taken"
            )
        self._indices.append(last_index)

    def free_to(self, index: int) -> None:
        """Forget the messages that reach no further than `index`."""
        indices = self._indices
        while indices and indices[0] <= index:
            indices.popleft()
        if not indices:
            self._take_lowered_capacity()

    def free_first_one(self) -> None:
        """Forget the oldest message, and any other that reaches exactly as far."""
        if self._indices:
            self.free_to(self._indices[0])

    def reset(self) -> None:
        """Forget all messages."""
        self._indices.clear()
        self._take_lowered_capacity()

    def set_cap(self, capacity: int) -> None:
        """Change how many messages may be in flight; 0 stops sending."""
        if capacity < self.capacity and self._indices:
            self._lowered_capacity = capacity
            return
        self.capacity = capacity
        self._lowered_capacity = None

    def _take_lowered_capacity(self) -> None:
        if self._lowered_capacity is not None:
            self.capacity = self._lowered_capacity
            self._lowered_capacity = None
