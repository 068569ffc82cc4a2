"""An event loop whose time jumps to the next timer, and whose callbacks belong to processes.

A process can be killed between any two of its callbacks, that is at every `await`: none of its
code runs after that, no `finally` and no `except`, as after kill -9. It can be paused, as by
SIGSTOP, and its clock may run fast, slow, or jump. Nothing here depends on real time, on hashes or
on addresses: what runs next follows from what was asked for, in the order in which it was.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple

from raftify.testing.simulation.graveyard import bury
from raftify.testing.simulation.handles import (
    SimulatedFuture,
    SimulatedHandle,
    SimulatedTask,
    SimulatedTimer,
    belongs_to_the_dead,
)
from raftify.testing.simulation.pacing import collected_here
from raftify.testing.simulation.process import CURRENT, IN_CALL, Process

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: So many callbacks at one moment are an endless loop.
MAX_AT_ONE_MOMENT = 500_000
#: Cancelled timers are thrown out when there are more than so many, and more than others.
_MANY_CANCELLED = 200


class Deadlock(RuntimeError):
    """Nothing is ready and no timer is set: what is waited for will never happen."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs callbacks in virtual time, on the thread that calls it, without input or output.

    `failure`, once set by `fail`, ends the run: the error leaves `run_until_complete`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, SimulatedTimer]] = []
        self._timer_number = 0
        self._cancelled = 0
        self._at_this_moment = 0
        self._running = False
        self._stopping = False
        self._closed = False
        self._failure: BaseException | None = None
        self._exception_handler: Callable[[Any, dict[str, Any]], object] | None = None
        self._tasks_made = 0
        self._graveyard: list[SimulatedTask] = []
        #: Errors that nobody took, as texts: each is a bug of somebody.
        self.complaints: list[str] = []
        #: How many callbacks have run.
        self.steps = 0

    # -- processes --------------------------------------------------------------------------

    def process(self, name: str) -> Process:
        """Return a new process. What is begun by `process.run` belongs to it."""
        return Process(name)

    def kill(self, process: Process) -> None:
        """Let nothing of `process` run any more, from the end of the callback that runs now."""
        if not process.alive:
            return
        process.alive = False
        process.on_fuse = None
        # Freed, their coroutines would run what they have in `finally`.
        self._graveyard += self.tasks_of(process)
        process.held.clear()
        process.look()

    def tasks_of(self, process: Process) -> list[SimulatedTask]:
        """Return what tasks of `process` have not ended, in no order."""
        tasks = asyncio.all_tasks(self)
        return [t for t in tasks if isinstance(t, SimulatedTask) and t.process is process]

    def crash_after(self, process: Process, callbacks: int, then: Callable[[], None]) -> None:
        """Call `then`, which is to kill it, instead of its callback number `callbacks` from now."""
        process.fuse, process.on_fuse = callbacks, then
        process.look()

    def pause(self, process: Process) -> None:
        """Hold back all that `process` would do, until `resume`. Its clock goes on."""
        process.paused = True
        process.look()

    def resume(self, process: Process) -> None:
        """Let a paused process go on: what was held back comes first, in its order."""
        process.paused = False
        process.look()
        self._ready.extend(process.held)
        process.held.clear()

    def set_clock(self, process: Process, *, rate: float = 1.0, jump: float = 0.0) -> None:
        """Let the clock of `process` run at `rate` from now, after a jump of `jump` seconds.

        Its timers fire by its clock, those that are set already too.
        """
        process.set_clock(self.now, rate=rate, jump=jump)
        for at, (_, number, timer) in enumerate(self._timers):
            if timer.process is process and timer.is_local:
                self._timers[at] = (process.virtual_time(timer.when()), number, timer)
        heapq.heapify(self._timers)

    def fail(self, error: BaseException) -> None:
        """End the whole run with `error` once the callback that runs now has returned."""
        if self._failure is None:
            self._failure = error

    # -- time and callbacks -----------------------------------------------------------------

    def time(self) -> float:
        """Return the time in seconds as the calling process sees it."""
        process = CURRENT.get()
        if process is None or not process.has_own_clock:
            return self.now
        return process.local_time(self.now)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = SimulatedHandle(
            callback, args, self, copy_context() if context is None else context
        )
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = SimulatedTimer(
            when, callback, args, self, copy_context() if context is None else context
        )
        process = timer.process
        if process is not None and process.has_own_clock:
            when = process.virtual_time(when)
        self._add_timer(when, timer)
        return timer

    def arrange(
        self, process: Process | None, delay: float, callback: Callable[[*Ts], object], *args: *Ts
    ) -> asyncio.TimerHandle:
        """Call as a part of `process` after `delay` seconds of virtual time, whatever its clock.

        So the world outside reaches it: a message that arrives, a disk that is done.
        """
        context = _NOBODY if process is None else process.context
        timer = SimulatedTimer(self.now + delay, callback, args, self, context.copy())
        timer.is_local = False
        self._add_timer(self.now + delay, timer)
        return timer

    def _add_timer(self, when: float, timer: SimulatedTimer) -> None:
        if self._closed:
            return
        self._timer_number += 1
        timer.is_scheduled = True
        heapq.heappush(self._timers, (when, self._timer_number, timer))

    def _timer_handle_cancelled(self, timer: SimulatedTimer) -> None:
        if not timer.is_scheduled:
            return
        self._cancelled += 1
        if self._cancelled > _MANY_CANCELLED and 2 * self._cancelled > len(self._timers):
            self._timers = [item for item in self._timers if not item[2].cancelled()]
            heapq.heapify(self._timers)
            self._cancelled = 0

    # -- futures and tasks ------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return SimulatedFuture(CURRENT.get(), self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        if name is None:
            # asyncio counts through the whole life of the interpreter.
            self._tasks_made += 1
            name = f"task-{self._tasks_made}"
        task = SimulatedTask(coro, loop=self, name=str(name), context=context, **options)
        task.process = CURRENT.get() if context is None else context.get(CURRENT)
        task.of_call = IN_CALL.get()
        return task

    def run_in_executor(
        self, executor: Any, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call `func` on the loop itself: threads have no place in virtual time."""
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - it is the caller's
                future.set_exception(error)

        self.call_soon(work)
        return future

    # -- running ----------------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:
        """Run until `future` is done; return its result.

        Raises:
            Deadlock: it never will be.
        """
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(self._stop_with)
        try:
            self.run_forever()
        finally:
            task.remove_done_callback(self._stop_with)
        return task.result()

    def _stop_with(self, _future: Any) -> None:
        self._stopping = True

    def run_forever(self) -> None:
        if self._running or self._closed:
            raise RuntimeError("this loop runs already, or is closed")
        before = sys.get_asyncgen_hooks()
        self._running, self._stopping = True, False
        sys.set_asyncgen_hooks(firstiter=None, finalizer=self._finish_generator)
        outer = events._get_running_loop()
        events._set_running_loop(self)
        try:
            with collected_here() as collect:
                self._run(collect)
        finally:
            self._running = False
            events._set_running_loop(outer)
            sys.set_asyncgen_hooks(*before)

    def _run(self, collect: Callable[[int], None]) -> None:
        ready = self._ready
        while not self._stopping:
            if not ready:
                self._advance()
                continue
            handle: Any = ready.popleft()
            if handle._cancelled:
                continue
            process = handle.process
            if process is not None and process.unusual and not self._admit(handle, process):
                continue
            self.steps += 1
            self._at_this_moment += 1
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio does
                what = {"message": f"exception in {handle!r}", "exception": error}
                self.call_exception_handler(what)
            if self._failure is not None:
                raise self._failure
            if not self.steps & 0xFFFF:
                collect(self.steps)
                if self._at_this_moment > MAX_AT_ONE_MOMENT:
                    raise Deadlock(
                        f"{self._at_this_moment} callbacks ran at {self.now} s, the last was "
                        f"{handle!r}: it never ends"
                    )

    def _admit(self, handle: asyncio.Handle, process: Process) -> bool:
        """Say whether a callback of an unusual process may run now."""
        if not process.alive:
            return False
        if process.paused:
            process.held.append(handle)
            return False
        if process.fuse is not None:
            if process.fuse > 0:
                process.fuse -= 1
                return True
            burn, process.fuse, process.on_fuse = process.on_fuse, None, None
            process.look()
            if burn is not None:
                _NOBODY.copy().run(burn)
            return process.alive
        return True

    def _advance(self) -> None:
        """Go to the next timer's time, and make ready all that is due then."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            self._cancelled -= 1
            heapq.heappop(timers)
        if not timers:
            raise Deadlock("nothing is ready and no timer is set: what is waited for never comes")
        when = timers[0][0]
        if when > self.now:
            self.now = when
            self._at_this_moment = 0
        while timers and timers[0][0] <= self.now:
            _, _, timer = heapq.heappop(timers)
            timer.is_scheduled = False
            if timer.cancelled():
                self._cancelled -= 1
                continue
            if timer.process is not None and timer.is_local:
                timer.process.note_time(timer.when())
            self._ready.append(timer)

    def _finish_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        process = CURRENT.get()
        if self._running and (process is None or process.alive):
            self.call_soon(lambda: self.create_task(generator.aclose()))

    # -- the rest of an event loop ----------------------------------------------------------

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Bury all that is left: nothing of it is heard any more. Harmless the second time."""
        if self._closed:
            return
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        bury(self)
        self._graveyard.clear()

    async def shutdown_asyncgens(self) -> None:
        """Nothing is to be done: `close` buries them."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - asyncio's signature
        """Debugging would measure real time; there is none."""

    def set_exception_handler(self, handler: Any) -> None:
        self._exception_handler = handler

    def get_exception_handler(self) -> Any:
        return self._exception_handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        detail = f": {type(error).__name__}: {error}" if error is not None else ""
        self.complaints.append(f"at {self.now:.6f} s: {context.get('message')}{detail}")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed and not belongs_to_the_dead(context.get("future")):
            super().call_exception_handler(context)


#: The context of what belongs to no process.
_NOBODY: Context = Context()
