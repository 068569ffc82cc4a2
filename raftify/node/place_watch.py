"""Looks after the log directory, which somebody may take from under a running node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from raftify.node.worker import Worker

#: Seconds between two looks, of two calls to the system each.
INTERVAL = 2.0


async def watch_place(check: Callable[[], None], worker: Worker) -> None:
    """Call `check` now and then, on the storage thread; raise the StorageError that it raises."""
    while True:
        await asyncio.sleep(INTERVAL)
        await worker.run(check)
