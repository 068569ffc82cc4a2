"""Tells followers of a new commit index when nothing else is about to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class CommitNotice:
    """Calls `tell` once commits have paused for `delay_seconds` and followers do not know the last.

    Every batch of entries carries the commit index, so under load nobody needs to be told.
    """

    def __init__(self, delay_seconds: float, tell: Callable[[], None]) -> None:
        self._delay = delay_seconds
        self._tell = tell
        self._committed = 0
        self._sent = 0
        self._last_commit = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def on_commit(self, index: int) -> None:
        """Note that everything up to `index` is committed."""
        if self._delay <= 0:
            return  # the core tells at once, by itself
        loop = asyncio.get_running_loop()
        self._committed = index
        self._last_commit = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._delay, self._look)

    def on_sent(self, index: int) -> None:
        """Note that entries went to all followers, and with them this commit index."""
        self._sent = index

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._committed <= self._sent:
            return
        loop = asyncio.get_running_loop()
        left = self._last_commit + self._delay - loop.time()
        # Timers are a hair early; a rest too small to move the clock would be waited for for ever.
        if left > self._delay / 100:
            self._timer = loop.call_later(left, self._look)
            return
        self._sent = self._committed
        self._tell()
