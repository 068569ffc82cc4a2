"""The node's clock: calls at even intervals, which a pause does not make up for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence


async def tick_for_ever(interval: float, calls: Sequence[Callable[[], None]]) -> None:
    """Call each of `calls` every `interval` seconds."""
    loop = asyncio.get_running_loop()
    due = loop.time() + interval
    while True:
        await asyncio.sleep(max(due - loop.time(), 0))
        for call in calls:
            call()
        # After a pause of the process ticks are not made up for: they would all be one moment.
        due = max(due + interval, loop.time())
