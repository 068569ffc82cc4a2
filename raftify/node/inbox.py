"""The one door to the task that owns the core.

Everything that wants something of the core leaves it here and wakes the task; the task takes
all of it in one turn. Nothing here touches the core, so a message handler can do no more than
enqueue (see hashicorp/raft#695 for what happens otherwise).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from raftify.core.types import Message
from raftify.errors import NodeStopped, Overloaded


class Proposal(NamedTuple):
    """An entry to be, its waiter, and the loop time at which the waiter gives up.

    With a `term` it is for the leader of that term and for no other.
    """

    data: bytes
    context: bytes
    future: asyncio.Future[bytes]
    deadline: float
    term: int = 0


class Inbox:
    """What waits for the core: messages, calls, proposals, a tick, word of finished writes.

    `limit` bounds messages and proposals, each; calls come in ones and twos and are not bounded.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._closed: BaseException | None = None
        self._forgotten = 0
        self.messages: deque[Message] = deque()
        self.calls: deque[Callable[[], None]] = deque()
        self.proposals: deque[Proposal] = deque()
        self.tick_due = False

    def __len__(self) -> int:
        return len(self.messages) + len(self.calls) + len(self.proposals)

    async def wait(self) -> None:
        """Return once something is there, and once others had their turn on the event loop."""
        if self._wake.is_set():
            # Waiting for what has happened already does not yield.
            await asyncio.sleep(0)
        else:
            await self._wake.wait()
        self._wake.clear()

    def wake(self) -> None:
        self._wake.set()

    async def put_messages(self, messages: Sequence[Message]) -> None:
        """Add messages from a peer; waits while the inbox is full, so that the peer feels it."""
        forgotten = self._forgotten
        while len(self.messages) >= self._limit and self._closed is None:
            self._space.clear()
            await self._space.wait()
        self.check_open()
        if forgotten == self._forgotten:
            self.messages.extend(messages)
            self._wake.set()

    def forget_messages(self) -> None:
        """Drop every message that has come in, also those that wait for space; Raft repeats."""
        self._forgotten += 1
        self.messages.clear()
        self.note_space()

    def put_call(self, call: Callable[[], None]) -> None:
        """Have `call` run by the task that owns the core.

        Raises:
            NodeStopped: the node runs no more.
        """
        self.check_open()
        self.calls.append(call)
        self._wake.set()

    def put_proposal(self, proposal: Proposal) -> None:
        """Add a proposal.

        Raises:
            Overloaded: too many wait already.
            NodeStopped: the node runs no more.
        """
        self.check_open()
        if len(self.proposals) >= self._limit:
            raise Overloaded(f"{self._limit} proposals wait already; slow down and repeat")
        self.proposals.append(proposal)
        self._wake.set()

    def put_tick(self) -> None:
        """Say that a tick is due. Ticks that nobody had time to take count as one."""
        self.tick_due = True
        self._wake.set()

    def note_space(self) -> None:
        """Let those who wait in `put_messages` look again."""
        if len(self.messages) < self._limit:
            self._space.set()

    def check_open(self) -> None:
        """Raise NodeStopped if the node runs no more."""
        if self._closed is not None:
            raise NodeStopped(str(self._closed)) from None

    def close(self, reason: BaseException) -> None:
        """Refuse everything from now on, and wake whoever waits for space."""
        self._closed = reason
        self._space.set()
        self._wake.set()
