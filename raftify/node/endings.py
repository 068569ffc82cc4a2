"""Ends tasks: completely where that is possible, and never waiting for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any


async def uninterrupted(work: Coroutine[object, object, None]) -> None:
    """Finish `work` even if the waiting for it is cancelled; then be cancelled."""
    task = asyncio.create_task(work)
    interruption: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            interruption = error
    task.result()
    if interruption is not None:
        raise interruption


async def settle(
    tasks: Sequence[asyncio.Task[Any]], *, timeout: float, logger: logging.Logger
) -> None:
    """Cancel `tasks` and wait until they have ended, at most `timeout` seconds.

    One may hang with the disk. What they end with is nobody's concern any more.
    """
    for task in tasks:
        task.cancel()
    done, late = await asyncio.wait(tasks, timeout=timeout)
    for task in done:
        if not task.cancelled():
            task.exception()
    for task in late:
        logger.warning("%s did not end in time", task.get_name())
