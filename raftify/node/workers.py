"""The threads of one node, one per duty, and how they come to an end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Self

from raftify.node.worker import ThreadWorker, Worker


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does what may block.

    Attributes:
        storage: every write of the store.
        machine: the state machine's calls, where they are no coroutines.
        writer: the files of snapshots.
    """

    storage: Worker
    machine: Worker
    writer: Worker

    @classmethod
    def threads(cls) -> Self:
        """Return new ones, each a thread of the operating system."""
        return cls(
            ThreadWorker("raftify-storage"),
            ThreadWorker("raftify-state-machine"),
            ThreadWorker("raftify-snapshot"),
        )

    async def close(self, *, timeout: float, logger: logging.Logger) -> bool:
        """Let each finish what it has begun, for at most `timeout` seconds.

        Return whether the store may be closed: with one at the disk still, that would be to wait
        for the disk on the event loop.
        """
        closing = {
            asyncio.create_task(worker.close()): worker
            for worker in (self.storage, self.machine, self.writer)
        }
        _, late = await asyncio.wait(closing, timeout=timeout)
        for task in late:
            task.cancel()
        hanging = [closing[task] for task in late]
        if self.storage in hanging or self.writer in hanging:
            logger.warning("the disk hangs: the store stays locked until this process ends")
            return False
        if hanging:
            logger.warning("the state machine did not return before the node stopped")
        return True
