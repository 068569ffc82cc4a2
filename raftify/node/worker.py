"""Where blocking work runs: one thread per duty, so that the event loop never waits for it.

The simulator puts its own `Worker` here, which runs the work at a virtual time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Worker(Protocol):
    """Runs blocking calls one after the other, in the order in which they were given."""

    def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Begin, and return the future of what `call` returns.

        Cancelling it stops the waiting, not the call.
        """
        ...

    def clock(self) -> float:
        """Return the time in seconds, for the work itself to measure how long it takes."""
        ...

    async def close(self) -> None:
        """Wait for what was begun, and end."""
        ...


class ThreadWorker:
    """A worker on one operating-system thread of its own.

    One thread, always the same: an LMDB write transaction must begin, put and commit on one.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._executor, lambda: call(*args, **kwargs))

    def clock(self) -> float:
        return time.monotonic()

    async def close(self) -> None:
        try:
            # Behind everything else: once it has run the thread is idle, and ends at once.
            await self.run(lambda: None)
        except asyncio.CancelledError:
            self._executor.shutdown(wait=False, cancel_futures=True)
            raise
        self._executor.shutdown(wait=True)
