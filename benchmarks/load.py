"""Load with a fixed number of proposals in flight, and what it measured."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter

Propose = Callable[[bytes], Awaitable[bytes]]

PAYLOAD = bytes(range(100))


@dataclass(frozen=True, slots=True)
class Round:
    """One round of load. Times are from the call of `propose` to its return.

    `acknowledged` counts every write that returned, those after the end of the round included.
    """

    writes_per_second: float
    p50_ms: float
    p99_ms: float
    acknowledged: int

    def as_json(self) -> dict[str, int | float]:
        return asdict(self)

    @classmethod
    def median(cls, rounds: Sequence[Round]) -> Round:
        """Return the median of each figure, and the sum of what was acknowledged."""
        return cls(
            statistics.median(r.writes_per_second for r in rounds),
            statistics.median(r.p50_ms for r in rounds),
            statistics.median(r.p99_ms for r in rounds),
            sum(r.acknowledged for r in rounds),
        )


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Return the smallest value that at least `fraction` of the ordered values do not exceed."""
    return ordered[max(0, -(-round(fraction * 1000) * len(ordered) // 1000) - 1)]


async def run_round(
    propose: Propose,
    *,
    in_flight: int,
    seconds: float,
    clock: Callable[[], float] = perf_counter,
) -> Round:
    """Keep `in_flight` proposals of 100 bytes under way for `seconds`.

    Only those that returned within that time make the figures; each must have succeeded.
    """
    latencies: list[float] = []
    late = 0
    end = clock() + seconds

    async def keep_one_in_flight() -> None:
        nonlocal late
        started = clock()
        while started < end:
            await propose(PAYLOAD)
            returned = clock()
            if returned <= end:
                latencies.append(returned - started)
            else:
                late += 1
            started = returned

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(keep_one_in_flight())
    if not latencies:
        raise RuntimeError(f"no write returned within {seconds:g} s; is the cluster alive?")
    latencies.sort()
    return Round(
        len(latencies) / seconds,
        1000 * percentile(latencies, 0.50),
        1000 * percentile(latencies, 0.99),
        len(latencies) + late,
    )
