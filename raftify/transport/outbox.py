"""What waits for one peer: bounded in bytes and in number, taken out in batches."""

from __future__ import annotations

import asyncio
from collections import deque

from raftify.core.types import Message


class Outbox:
    """A queue of messages. Filling it never waits; who empties it waits on `filled`.

    Args:
        max_bytes: what may wait. One message always may, however large.
        max_messages: likewise in number.
    """

    def __init__(self, *, max_bytes: int, max_messages: int) -> None:
        self.filled = asyncio.Event()
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._waiting: deque[tuple[Message, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message, size: int) -> bool:
        """Add `message` of that `message_size`; return whether there was room."""
        if self._waiting and (
            len(self._waiting) >= self._max_messages or self._bytes + size > self._max_bytes
        ):
            return False
        self._waiting.append((message, size))
        self._bytes += size
        self.filled.set()
        return True

    def take(self, max_bytes: int) -> list[Message]:
        """Take what fits into `max_bytes`, in order, and at least one message if there is one."""
        taken: list[Message] = []
        waiting, room = self._waiting, max_bytes
        while waiting:
            message, size = waiting[0]
            if taken and size > room:
                break
            waiting.popleft()
            room -= size
            self._bytes -= size
            taken.append(message)
        if not waiting:
            self.filled.clear()
        return taken

    def clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0
        self.filled.clear()
