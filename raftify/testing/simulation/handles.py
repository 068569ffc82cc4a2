"""The loop's own callbacks, timers and tasks: each knows the process that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from raftify.testing.simulation.process import CURRENT, Process

if TYPE_CHECKING:
    from raftify.testing.simulation.loop import SimulatedLoop


def _nothing() -> None:
    """Stands where a callback was that was cancelled, and must not keep anything alive."""


class SimulatedHandle(asyncio.Handle):
    """A callback that is due."""

    __slots__ = ("process",)

    def __init__(
        self,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        loop: SimulatedLoop,
        context: Context,
    ) -> None:
        # All that asyncio's own does, but for its questions about debugging.
        self._context = context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self.process: Process | None = context.get(CURRENT)

    def cancel(self) -> None:
        self._cancelled = True
        self._callback, self._args = _nothing, ()


class SimulatedTimer(asyncio.TimerHandle):
    """A callback that will be due. `when` is by the clock of its process, if `is_local`."""

    __slots__ = ("is_local", "is_scheduled", "process")

    def __init__(
        self,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        loop: SimulatedLoop,
        context: Context,
    ) -> None:
        self._context = context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when
        self._scheduled = False
        self.is_local = True
        self.is_scheduled = False
        self.process: Process | None = context.get(CURRENT)

    def cancel(self) -> None:
        if not self._cancelled:
            self._loop._timer_handle_cancelled(self)
            self._cancelled = True
            self._callback, self._args = _nothing, ()


class SimulatedTask(asyncio.Task[Any]):
    """A task; the loop that makes it sets its process, and whether it is of a call from outside."""

    process: Process | None = None
    of_call: bool = False


class SimulatedFuture(asyncio.Future[Any]):
    """A future of a process; nobody complains of it once that is dead."""

    def __init__(self, process: Process | None, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.process = process


def belongs_to_the_dead(future: object) -> bool:
    """Say whether the process that made `future` is dead, and so can look at it no more."""
    process = getattr(future, "process", None)
    return process is not None and not process.alive
