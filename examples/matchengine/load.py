"""A fixed number of commands, in batches of which some are under way at once."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import NamedTuple

from examples.matchengine.answers import Reason, Refused, decode_answer
from examples.matchengine.flow import order_flow
from raftify.errors import RaftifyError

ProposeMany = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes | RaftifyError]]]

#: A cancellation may come too late, or before an order that is under way beside it.
_EXPECTED = {Reason.NOT_OPEN, Reason.UNKNOWN_ORDER}


class Load(NamedTuple):
    """`commands` in all, `batch` of them in one call, `in_flight` calls at once."""

    seed: int
    commands: int
    batch: int
    in_flight: int


class Done(NamedTuple):
    per_second: float
    #: The median of what one call took, in milliseconds.
    call_ms: float


class LoadFailed(Exception):
    """An answer is none that the flow can get."""


async def run_load(propose_many: ProposeMany, load: Load) -> Done:
    """Send the commands; making and encoding them is not measured.

    Raises:
        LoadFailed: a command failed, or was refused for no good reason.
    """
    # Not on the event loop: a leader that sends itself load has to send heartbeats, too.
    encoded = await asyncio.to_thread(_encoded, load)
    batches = (encoded[at : at + load.batch] for at in range(0, len(encoded), load.batch))
    answers: list[bytes | RaftifyError] = []
    times: list[float] = []

    async def send_one_after_the_other() -> None:
        for batch in batches:
            started = perf_counter()
            answers.extend(await propose_many(batch))
            times.append(perf_counter() - started)

    started = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(load.in_flight):
            group.create_task(send_one_after_the_other())
    seconds = perf_counter() - started
    await asyncio.to_thread(_check, answers, load)
    return Done(load.commands / seconds, statistics.median(times) * 1000)


def _encoded(load: Load) -> list[bytes]:
    flow = itertools.islice(order_flow(load.seed, f"s{load.seed}"), load.commands)
    return [command.encode() for command in flow]


def _check(answers: Sequence[bytes | RaftifyError], load: Load) -> None:
    if len(answers) != load.commands:
        raise LoadFailed(f"{load.commands} commands got {len(answers)} answers")
    for one in answers:
        if isinstance(one, RaftifyError):
            raise LoadFailed(f"a command failed: {type(one).__name__}: {one}")
        answer = decode_answer(one)
        if isinstance(answer, Refused) and answer.reason not in _EXPECTED:
            raise LoadFailed(f"a command was refused: {answer}")
