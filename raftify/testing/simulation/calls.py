"""Calls from outside into a node's process: they end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from raftify.errors import RaftifyError
from raftify.testing.simulation.process import IN_CALL

if TYPE_CHECKING:
    from raftify.testing.simulation.loop import SimulatedLoop
    from raftify.testing.simulation.process import Process

T = TypeVar("T")


class Calls:
    """The calls that wait for one node's process."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._open: dict[asyncio.Future[Any], None] = {}

    async def make(self, process: Process, begin: Callable[[], Awaitable[T]]) -> T:
        """Return what `begin()` brings, which runs in `process`."""
        loop = self._loop
        outer: asyncio.Future[T] = loop.create_future()
        self._open[outer] = None

        async def work() -> None:
            try:
                result = await begin()
            except Exception as error:  # noqa: BLE001 - it is the caller's
                if not outer.done():
                    outer.set_exception(error)
            else:
                if not outer.done():
                    outer.set_result(result)

        def start() -> asyncio.Task[None]:
            IN_CALL.set(True)
            return loop.create_task(work(), name="call")

        task = process.run(start)
        try:
            return await outer
        finally:
            self._open.pop(outer, None)
            if not task.done():
                task.cancel()

    def fail(self, make_error: Callable[[], RaftifyError]) -> None:
        """Let every call that waits raise: its process has ended."""
        calls, self._open = self._open, {}
        for call in calls:
            if not call.done():
                call.set_exception(make_error())
