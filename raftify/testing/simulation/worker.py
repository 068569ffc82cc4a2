"""What the runtime has threads for, at virtual times: disk writes, the state machine, snapshots."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from raftify.errors import NodeStopped
from raftify.testing.simulation.loop import SimulatedLoop
from raftify.testing.simulation.process import Process

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Pace:
    """How long calls take. `draw` returns the seconds before the effect, and those after it.

    While `stalled` no call begins.
    """

    draw: Callable[[], tuple[float, float]]
    stalled: bool = False


class SimulatedWorker:
    """Implements `Worker`: runs calls in their order, one at a time.

    Between the beginning of a call and its effect time passes, and again until its caller hears of
    it: a crash may fall before, between, and after.
    """

    def __init__(self, loop: SimulatedLoop, process: Process, pace: Pace) -> None:
        self._loop = loop
        self._process = process
        self._pace = pace
        self._waiting: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = deque()
        self._busy = False
        self._closed = False

    def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            future.set_exception(NodeStopped("this worker is closed"))
            return future
        self._waiting.append((future, lambda: call(*args, **kwargs)))
        self.poke()
        return future

    def clock(self) -> float:
        return self._loop.time()

    async def close(self) -> None:
        if self._closed:
            return
        await self.run(lambda: None)
        self._closed = True

    def poke(self) -> None:
        """Begin the next call, unless one is under way or the worker stalls."""
        if self._busy or not self._waiting or self._pace.stalled:
            return
        self._busy = True
        before, after = self._pace.draw()
        self._loop.arrange(self._process, before, self._have_effect, after)

    def _have_effect(self, after: float) -> None:
        future, call = self._waiting.popleft()
        result: Any = None
        failure: Exception | None = None
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
            failure = error
        self._loop.arrange(self._process, after, self._answer, future, result, failure)

    def _answer(self, future: asyncio.Future[Any], result: Any, failure: Exception | None) -> None:
        self._busy = False
        if future.done():
            pass  # nobody waits for it any more
        elif failure is not None:
            future.set_exception(failure)
        else:
            future.set_result(result)
        self.poke()
