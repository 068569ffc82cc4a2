"""Who waits for what: proposals by (term, index), reads by token, each with a deadline.

A waiter is matched to its entry by term and index, never by something carried in the entry: only
those two tell an entry from another that took its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from raftify.errors import DeadlineExceeded, ProposalDropped, RaftifyError

T = TypeVar("T")


class _Waiter(NamedTuple, Generic[T]):
    term: int
    future: asyncio.Future[T]
    deadline: float


class EntryWaiters(Generic[T]):
    """Futures that wait until the entry at their index is applied."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._waiting: dict[int, _Waiter[T]] = {}
        self._next_deadline = float("inf")

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, *, term: int, index: int, future: asyncio.Future[T], deadline: float) -> None:
        self._waiting[index] = _Waiter(term, future, deadline)
        self._next_deadline = min(self._next_deadline, deadline)

    def take(self, *, term: int, index: int) -> asyncio.Future[T] | None:
        """Return the future that waits for this entry, if there is one and it still waits.

        One that waited for another entry at this index is failed: its own will never be applied.
        """
        waiter = self._waiting.pop(index, None)
        if waiter is None or waiter.future.done():
            return None
        if waiter.term == term:
            return waiter.future
        waiter.future.set_exception(
            ProposalDropped(
                f"the {self._what} at index {index} of term {waiter.term} was replaced by an "
                f"entry of term {term}; it will never take effect"
            )
        )
        return None

    def fail_all(self, make_error: Callable[[], RaftifyError]) -> None:
        waiting, self._waiting = self._waiting, {}
        self._next_deadline = float("inf")
        for waiter in waiting.values():
            if not waiter.future.done():
                waiter.future.set_exception(make_error())

    def expire(self, now: float) -> None:
        """Fail those whose deadline has passed."""
        if now < self._next_deadline:
            return
        self._next_deadline = float("inf")
        for index, waiter in list(self._waiting.items()):
            if waiter.deadline > now and not waiter.future.done():
                self._next_deadline = min(self._next_deadline, waiter.deadline)
                continue
            del self._waiting[index]
            if not waiter.future.done():
                waiter.future.set_exception(
                    DeadlineExceeded(
                        f"the {self._what} at index {index} was appended but not applied before "
                        "its deadline; it may still take effect"
                    )
                )


class ReadWaiters:
    """Futures that wait for a read index. All reads of one turn share one round, and its token."""

    def __init__(self) -> None:
        self._sequence = 0
        self._rounds: dict[bytes, list[tuple[asyncio.Future[int], float]]] = {}

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._rounds.values())

    def open_round(self, waiting: list[tuple[asyncio.Future[int], float]]) -> bytes:
        """Return the new round's token."""
        self._sequence += 1
        token = self._sequence.to_bytes(8, "big")
        self._rounds[token] = waiting
        return token

    def resolve(self, token: bytes, index: int) -> None:
        for future, _ in self._rounds.pop(token, ()):
            if not future.done():
                future.set_result(index)

    def drop(self, token: bytes, make_error: Callable[[], RaftifyError]) -> None:
        """Fail a round that the core gave up."""
        for future, _ in self._rounds.pop(token, ()):
            if not future.done():
                future.set_exception(make_error())

    def fail_all(self, make_error: Callable[[], RaftifyError]) -> None:
        rounds, self._rounds = self._rounds, {}
        for waiting in rounds.values():
            for future, _ in waiting:
                if not future.done():
                    future.set_exception(make_error())

    def expire(self, now: float) -> None:
        for token, waiting in list(self._rounds.items()):
            left = []
            for future, deadline in waiting:
                if future.done():
                    continue
                if deadline > now:
                    left.append((future, deadline))
                else:
                    future.set_exception(
                        DeadlineExceeded("no quorum confirmed the leader before the deadline")
                    )
            if left:
                self._rounds[token] = left
            else:
                del self._rounds[token]
