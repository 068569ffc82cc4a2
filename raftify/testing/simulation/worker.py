"""What the runtime has threads for, at virtual times: disk writes, the state machine, snapshots."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, ParamSpec, TypeVar

from raftify.errors import NodeStopped
from raftify.testing.simulation.loop import SimulatedLoop
from raftify.testing.simulation.process import Process

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds. About as long as a step of the core and the next message are apart.
_PATIENCE: Final = 0.0005
#: How often what a thread writes is seen in the middle of the core's next step, and before which of
#: its reads at the latest: a search for where two logs part takes some ten.
_IN_A_STEP: Final = 0.25
_MOST_READS: Final = 12


@dataclass(slots=True)
class Pace:
    """How long calls take. `draw` returns the seconds before the effect, and those after it.

    While `stalled` no call begins.
    """

    draw: Callable[[], tuple[float, float]]
    stalled: bool = False


@dataclass(slots=True)
class _Done:
    future: asyncio.Future[Any]
    result: Any
    failure: Exception | None


class SimulatedWorker:
    """Implements `Worker`: runs calls in their order, one at a time.

    Between the beginning of a call and its effect time passes, and again until its caller hears of
    it: a crash may fall before, between, and after. And since it stands for a thread, a call may
    have its effect in the middle of what the event loop does: `reads` says before which of the next
    reads there, from 1 on, or 0 for at once. It waits `_PATIENCE` seconds for that read at most.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        process: Process,
        pace: Pace,
        reads: Callable[[], int] = lambda: 0,
    ) -> None:
        self._loop = loop
        self._process = process
        self._pace = pace
        self._reads = reads
        self._reads_left = 0
        #: What became of the call that has had its effect.
        self._done: _Done | None = None
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
        self._loop.arrange(self._process, before, self._meet, after)

    def before_read(self) -> None:
        """Let the call that waits for this read have its effect before it."""
        if self._reads_left:
            self._reads_left -= 1
            if not self._reads_left:
                self._have_effect()

    def _meet(self, after: float) -> None:
        self._reads_left = self._reads()
        if self._reads_left:
            self._loop.arrange(self._process, _PATIENCE, self._finish, after)
        else:
            self._finish(after)

    def _finish(self, after: float) -> None:
        self._reads_left = 0
        done, self._done = self._done or self._have_effect(), None
        self._loop.arrange(self._process, after, self._answer, done)

    def _have_effect(self) -> _Done:
        future, call = self._waiting.popleft()
        result: Any = None
        failure: Exception | None = None
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
            failure = error
        self._done = _Done(future, result, failure)
        return self._done

    def _answer(self, done: _Done) -> None:
        self._busy = False
        if done.future.done():
            pass  # nobody waits for it any more
        elif done.failure is not None:
            done.future.set_exception(done.failure)
        else:
            done.future.set_result(done.result)
        self.poke()


def draw_reads(random: Random) -> Callable[[], int]:
    """Return what draws before which read of the core a write is seen; most are between steps."""
    return lambda: random.randint(1, _MOST_READS) if random.random() < _IN_A_STEP else 0


def draw_pace(random: Random, mean: Callable[[], float]) -> Callable[[], tuple[float, float]]:
    """Return a pace: about `mean()` seconds, a part of them before the effect."""

    def draw() -> tuple[float, float]:
        seconds = random.uniform(0.5, 1.5) * mean()
        before = random.random() * seconds
        return before, seconds - before

    return draw
