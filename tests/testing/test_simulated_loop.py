"""Virtual time, processes that are killed and paused, and clocks of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from raftify.testing.simulation import Deadlock, SimulatedLoop


def run(make: Callable[[SimulatedLoop], Coroutine[Any, Any, None]]) -> SimulatedLoop:
    loop = SimulatedLoop()
    try:
        loop.run_until_complete(make(loop))
    finally:
        loop.close()
    return loop


def test_time_jumps_to_the_next_timer() -> None:
    seen: list[float] = []

    async def main(loop: SimulatedLoop) -> None:
        await asyncio.sleep(86_400)
        seen.append(loop.time())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        seen.append(loop.time())

    began = time.monotonic()
    run(main)
    assert seen == [86_400, 86_405]
    assert time.monotonic() - began < 60


def test_waiting_for_what_never_comes_is_told() -> None:
    async def main(_: SimulatedLoop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="never comes"):
        run(main)


def test_an_endless_moment_is_told() -> None:
    async def main(_: SimulatedLoop) -> None:
        while True:  # noqa: ASYNC110 - that is the point
            await asyncio.sleep(0)

    with pytest.raises(Deadlock, match="never ends"):
        run(main)


@asynccontextmanager
async def noting(log: list[str]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        log.append("the context was left")


async def careful(log: list[str]) -> None:
    """Would notice every way of being ended but one."""
    try:
        async with noting(log):
            while True:
                log.append("step")
                await asyncio.sleep(1)
    except BaseException as error:
        log.append(f"caught {type(error).__name__}")
        raise
    finally:
        log.append("finally")


def test_killing_runs_no_finally_and_no_except() -> None:
    log: list[str] = []
    at_the_end: list[str] = []

    async def main(loop: SimulatedLoop) -> None:
        process = loop.process("p")
        process.run(lambda: loop.create_task(careful(log)))
        await asyncio.sleep(2.5)
        loop.kill(process)
        await asyncio.sleep(10)
        at_the_end.extend(log)

    run(main)
    assert at_the_end == ["step"] * 3


def test_who_kills_itself_runs_to_its_next_await_and_no_further() -> None:
    log: list[str] = []
    at_the_end: list[str] = []

    async def main(loop: SimulatedLoop) -> None:
        process = loop.process("p")

        async def suicidal() -> None:
            try:
                loop.kill(process)
                log.append("still here")
                await asyncio.sleep(0)
                log.append("and here")
            finally:
                log.append("finally")

        process.run(lambda: loop.create_task(suicidal()))
        await asyncio.sleep(1)
        at_the_end.extend(log)

    run(main)
    assert at_the_end == ["still here"]


@pytest.mark.parametrize("callbacks", range(8))
def test_a_crash_can_fall_on_every_await(callbacks: int) -> None:
    log: list[int] = []

    async def main(loop: SimulatedLoop) -> None:
        process = loop.process("p")

        async def count() -> None:
            for at in range(100):
                log.append(at)
                await asyncio.sleep(0)

        loop.crash_after(process, callbacks, lambda: loop.kill(process))
        process.run(lambda: loop.create_task(count()))
        await asyncio.sleep(1)

    run(main)
    assert log == list(range(callbacks))


def test_pausing_holds_everything_back_in_its_order() -> None:
    log: list[tuple[str, float]] = []

    async def main(loop: SimulatedLoop) -> None:
        process = loop.process("p")

        async def tick(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            log.append((name, loop.time()))

        for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 9.0)):
            process.run(lambda n=name, s=seconds: loop.create_task(tick(n, s)))
        await asyncio.sleep(0)  # they begin to wait
        loop.pause(process)
        await asyncio.sleep(5)
        assert log == []
        loop.resume(process)
        await asyncio.sleep(5)

    run(main)
    # The clock went on meanwhile, as it does for a process that is stopped by a signal.
    assert log == [("a", 5.0), ("b", 5.0), ("c", 5.0), ("d", 9.0)]


def test_a_process_has_a_clock_of_its_own() -> None:
    log: list[tuple[float, float]] = []

    async def main(loop: SimulatedLoop) -> None:
        process = loop.process("p")

        async def tick() -> None:
            while True:
                await asyncio.sleep(1)
                log.append((loop.now, loop.time()))

        process.run(lambda: loop.create_task(tick()))
        await asyncio.sleep(1.5)
        loop.set_clock(process, rate=2.0)  # twice as fast; the timer that is set fires earlier
        await asyncio.sleep(1)
        loop.set_clock(process, rate=0.5, jump=10)  # what is due by then fires at once
        await asyncio.sleep(2)

    run(main)
    assert log == [(1.0, 1.0), (1.75, 2.0), (2.25, 3.0), (2.5, 13.5), (4.5, 14.5)]


def test_what_nobody_asked_about_is_a_complaint() -> None:
    async def main(loop: SimulatedLoop) -> None:
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    loop = run(main)
    assert len(loop.complaints) == 1
    assert "ZeroDivisionError" in loop.complaints[0]


def test_work_for_threads_is_done_on_the_loop() -> None:
    seen: list[int] = []

    async def main(_: SimulatedLoop) -> None:
        seen.append(await asyncio.to_thread(lambda: 5))
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    run(main)
    assert seen == [5]
