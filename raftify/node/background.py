"""Work that goes on beside the node's own tasks, and ends with the node."""

from __future__ import annotations

import asyncio
import logging
from typing import Any


class Background:
    """Keeps what was begun, so that it is not forgotten, and logs what goes wrong with it."""

    def __init__(self, node_id: int, logger: logging.Logger) -> None:
        self._node_id = node_id
        self._logger = logger
        # A dict keeps the order in which they were begun: the same run ends them in the same one.
        self._under_way: dict[asyncio.Future[Any], str] = {}

    def keep(self, work: asyncio.Future[Any], what: str = "") -> None:
        """Watch over `work`, to `what`. It is nothing that Raft relies on: the node goes on.

        Of work without a `what` nobody wants to know how it ended.
        """
        self._under_way[work] = what
        work.add_done_callback(self._on_done)

    def _on_done(self, done: asyncio.Future[Any]) -> None:
        what = self._under_way.pop(done)
        if not done.cancelled() and (error := done.exception()) is not None and what:
            self._logger.warning("node %d failed to %s: %s", self._node_id, what, error)

    async def end(self, *, timeout: float) -> None:
        """Cancel everything, and wait until it has ended, at most `timeout` seconds."""
        under_way = list(self._under_way.items())
        if not under_way:
            return
        for work, _ in under_way:
            work.cancel()
        _, late = await asyncio.wait(self._under_way, timeout=timeout)
        for work, what in under_way:
            if work in late:
                self._logger.warning(
                    "node %d did not wait for the end of what was to %s", self._node_id, what
                )
