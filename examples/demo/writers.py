"""A stream of writes from clients that note what they were told about each one."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from raftify import create_client
from raftify.client import RaftServiceClient
from raftify.errors import OutcomeUnknown, RaftifyError

WRITE_TIMEOUT_SECONDS = 5.0


@dataclass(slots=True)
class History:
    """What the writers know. Times are the event loop's, in seconds, in the order of the acks."""

    acknowledged: list[str] = field(default_factory=list)
    acknowledged_at: list[float] = field(default_factory=list)
    #: Writes whose outcome nobody told us: they may have been applied once, or not at all.
    unknown: list[str] = field(default_factory=list)
    #: How often a write was refused with nothing done, and was sent again under the same id.
    refused: int = 0
    #: Writes that were acknowledged as applied more than once.
    repeated: list[str] = field(default_factory=list)

    def acknowledge(self, write_id: str, times: bytes, now: float) -> None:
        self.acknowledged.append(write_id)
        self.acknowledged_at.append(now)
        if times != b"1":
            self.repeated.append(write_id)

    def longest_silence_after(self, moment: float) -> float:
        """Return the longest time without an acknowledgement that ended after `moment`."""
        return max(
            (b - a for a, b in itertools.pairwise(self.acknowledged_at) if b > moment), default=0.0
        )


class Writers:
    """Concurrent writers over one client, each sending its next write once it knows of the last.

    Entering starts them, leaving stops them once each knows of its last write.
    """

    def __init__(self, addresses: list[str], history: History, *, count: int) -> None:
        self._addresses = addresses
        self._history = history
        self._count = count
        self._numbers = itertools.count(1)
        self._stopping = False
        self._progress = asyncio.Condition()

    async def run(self) -> None:
        """Write until `stop` is called."""
        async with create_client(self._addresses) as client, asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._write(client))

    def stop(self) -> None:
        self._stopping = True

    async def acknowledged_after(self, moment: float, *, timeout: float) -> None:
        """Wait for a write to be acknowledged after `moment`; TimeoutError if none is."""
        times = self._history.acknowledged_at
        async with asyncio.timeout(timeout), self._progress:
            await self._progress.wait_for(lambda: times and times[-1] > moment)

    async def _write(self, client: RaftServiceClient) -> None:
        now = asyncio.get_running_loop().time
        history = self._history
        while not self._stopping:
            write_id = f"write-{next(self._numbers)}"
            while True:
                try:
                    times = await client.propose(write_id.encode(), timeout=WRITE_TIMEOUT_SECONDS)
                except OutcomeUnknown:
                    history.unknown.append(write_id)
                except RaftifyError:
                    # Nothing happened, so the same write may be sent again.
                    history.refused += 1
                    await asyncio.sleep(0.02)
                    continue
                else:
                    history.acknowledge(write_id, times, now())
                    async with self._progress:
                        self._progress.notify_all()
                break
