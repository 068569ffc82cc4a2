"""Running one simulation from its seed to its end."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec

from raftify.config import Config
from raftify.state_machine import Machine
from raftify.testing.simulation.cluster import SimulatedCluster
from raftify.testing.simulation.loop import Deadlock, SimulatedLoop
from raftify.testing.simulation.observer import Observer
from raftify.testing.simulation.trace import Failed, Trace

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation was like.

    Attributes:
        seconds: of virtual time that it took.
        steps: callbacks that ran.
        trace: what happened.
    """

    seconds: float
    steps: int
    trace: Trace


def virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a loop of its own under virtual time, without any cluster.

    Errors in callbacks and tasks that nobody asked for fail the test.
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        loop = SimulatedLoop()
        try:
            loop.run_until_complete(test(*args, **kwargs))
            assert not loop.complaints, "; ".join(loop.complaints)
        finally:
            loop.close()

    return run


def simulate(
    scenario: Callable[[SimulatedCluster[Machine]], Awaitable[None]],
    *,
    machine: Callable[[], Machine],
    seed: int | str = 0,
    config: Config | None = None,
    observers: Iterable[Observer] = (),
    trace: Trace | None = None,
    logger: logging.Logger | None = None,
    timeout: float = 3600.0,
) -> Outcome:
    """Run `scenario` on a cluster under virtual time; the same seed gives the same run.

    Args:
        machine: makes a new, empty state machine; called at each start of a node.
        seed: decides everything that is left to chance.
        config: of every node; the addresses of the first members are filled in.
        observers: called at every step; one that raises ends the simulation.
        trace: where events go; one that keeps only its digest if not given.
        logger: where the nodes log; nowhere if not given.
        timeout: seconds of virtual time after which the scenario counts as stuck.

    Raises:
        What the scenario or an observer raised, with the seed and the virtual time in its notes; an
        AssertionError if a callback or a task failed and nobody asked, or a node that ended left
        something behind.
    """
    trace = Trace(keep=0) if trace is None else trace
    trace.title = f"seed {seed}"
    loop = SimulatedLoop()
    cluster: SimulatedCluster[Machine] | None = None

    async def run() -> None:
        nonlocal cluster
        cluster = SimulatedCluster(
            loop, seed, machine, config=config, observers=observers, trace=trace, logger=logger
        )
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                await scenario(cluster)
        except TimeoutError as error:
            if not limit.expired() or str(error):
                raise
            raise TimeoutError(
                f"the scenario is not over after {timeout:g} s of virtual time; the traceback "
                "above shows where it waits"
            ) from error

    try:
        loop.run_until_complete(run())
        complaints = [*loop.complaints, *(cluster.left_over if cluster is not None else ())]
        assert not complaints, "; ".join(complaints)
    except BaseException as error:
        trace.add(Failed(loop.now, _in_words(error)))
        error.add_note(f"seed {seed!r}, at {loop.now:.6f} s of virtual time")
        if cluster is not None and isinstance(error, TimeoutError | Deadlock):
            error.add_note(cluster.describe())
        raise
    finally:
        if cluster is not None:
            cluster.abandon()
        loop.close()
    return Outcome(loop.now, loop.steps, trace)


def _in_words(error: BaseException) -> str:
    """Return an error on one line, the same in every run: without the addresses of objects."""
    text = " ".join(str(error).split())
    return re.sub(r"0x[0-9a-f]{6,}", "0x...", f"{type(error).__name__}: {text}".rstrip(": "))
