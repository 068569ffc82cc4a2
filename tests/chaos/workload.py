"""Clients that write and read without a pause, and remember what they were told."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Awaitable

from examples.children import ChildFailed
from raftify.client import RaftServiceClient
from raftify.errors import PeerUnreachable, RaftifyError, Rejected
from raftify.testing.history import Call, History, KeyValue, Outcome, Recorder
from tests.chaos.cluster import Cluster, Machine
from tests.chaos.machine import Write

CLIENTS = 10
KEYS = 5
#: A client gives up on an operation after this, and does not know what became of it.
PATIENCE = 1.0
#: What an operation that goes through a node's own process may take beyond its deadline there.
GRACE = 0.5
PAUSE_SECONDS = (0.0, 0.05)


class Refused(Exception):
    """The operation had no effect, and never will."""


class Epoch:
    """One stretch of history, with keys of its own, so that it can be checked by itself."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.recorder = Recorder(time.monotonic, nothing_happened=(Refused,))

    def key(self, source: random.Random) -> str:
        return f"{self.number}-{source.randrange(KEYS)}"


class Workload:
    """`CLIENTS` tasks in this process; each does one operation after the other.

    Each pair of clients has a machine of its own, so that one which does not answer holds up only
    those two. There it reads, linearizably, whether the node leads or not. One of the two writes
    there as well, by a call of the facade; the other one by `RaftServiceClient`. While the machine
    is down the first does nothing, and the second writes.

    A write is known by client and number for ever, and never repeated.
    """

    def __init__(self, cluster: Cluster, client: RaftServiceClient, source: random.Random) -> None:
        self.epoch = Epoch(0)
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        self.counts: Counter[str] = Counter()
        #: When writes were acknowledged, by `time.monotonic`, in order.
        self.acknowledged: list[float] = []
        self._cluster = cluster
        self._client = client
        self._random = source
        self._seen: dict[tuple[str, str], str | None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._another = asyncio.Event()
        self._stop = False

    def begin(self) -> None:
        for number in range(CLIENTS):
            self._tasks.append(asyncio.create_task(self._run(number)))

    async def end(self) -> None:
        """Return when every operation under way has ended."""
        self._stop = True
        await asyncio.gather(*self._tasks)

    def next_epoch(self) -> History:
        """Begin another epoch; return the history of the one that ends.

        What is under way counts as of unknown outcome: nobody will ever see more of its key.
        """
        old, self.epoch = self.epoch, Epoch(self.epoch.number + 1)
        self._seen.clear()
        return old.recorder.history()

    def longest_gap(self, begin: float, end: float) -> float:
        """Return the longest time between acknowledged writes from `begin` to `end`."""
        times = self.acknowledged
        first, last = bisect_left(times, begin), bisect_right(times, end)
        inside = [begin, *times[first:last], end]
        return max(b - a for a, b in itertools.pairwise(inside))

    async def progress(self, count: int, timeout: float) -> None:
        """Return when `count` more writes were acknowledged than now.

        Raises:
            TimeoutError: not within `timeout` seconds.
        """
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(timeout):
            while len(self.acknowledged) < wanted:
                self._another.clear()
                await self._another.wait()

    async def _run(self, number: int) -> None:
        name = f"c{number}"
        over_client = number % 2 == 1
        writes = 0
        while not self._stop:
            machine = self._machine_of(number // 2)
            key = self.epoch.key(self._random)
            if self._random.random() < 0.4:
                if machine.running:
                    await self._read(name, machine, key)
            elif over_client or machine.running:
                writes += 1
                await self._write(name, writes, None if over_client else machine, key)
            await asyncio.sleep(self._random.uniform(*PAUSE_SECONDS))

    def _machine_of(self, pair: int) -> Machine:
        machines = list(self._cluster.machines.values())
        return machines[pair % len(machines)]

    async def _read(self, name: str, machine: Machine, key: str) -> None:
        call = self.epoch.recorder.call(name, KeyValue.get(key))
        try:
            value = await _ask(machine, "get", key)
        except (Refused, ChildFailed):
            # A read without an answer shows nothing and changes nothing.
            call.failed()
            self.counts["reads without answer"] += 1
        else:
            call.ok(value)
            self._seen[name, key] = value
            self.counts["reads"] += 1

    async def _write(self, name: str, number: int, machine: Machine | None, key: str) -> None:
        """Write at `machine`; None: by the client's own ways."""
        value = f"{name}/{number}"
        if self._random.random() < 0.3:
            expected = self._seen.get((name, key))
            entry = Write.cas(key, expected, value, client=name, number=number)
            call = self.epoch.recorder.call(name, KeyValue.cas(key, expected, value))
        else:
            entry = Write.put(key, value, client=name, number=number)
            call = self.epoch.recorder.call(name, KeyValue.put(key, value))
        answering = _ask(machine, "propose", entry.decode()) if machine else self._propose(entry)
        self.outcomes[name, number] = await self._note(call, answering)

    async def _note(self, call: Call, answering: Awaitable[str | None]) -> Outcome:
        try:
            answer = await answering
        except Refused:
            call.failed()
            self.counts["writes refused"] += 1
            return Outcome.FAILED
        except (ChildFailed, RaftifyError):
            call.unknown()
            self.counts["writes of unknown outcome"] += 1
            return Outcome.UNKNOWN
        call.ok(answer == "true" if call.input[0] == "cas" else None)
        self.acknowledged.append(time.monotonic())
        self._another.set()
        self.counts["writes acknowledged"] += 1
        return Outcome.OK

    async def _propose(self, entry: bytes) -> str:
        try:
            return (await self._client.propose(entry, timeout=PATIENCE)).decode()
        except (Rejected, PeerUnreachable) as error:
            raise Refused(str(error)) from error


async def _ask(machine: Machine, command: str, text: str) -> str | None:
    try:
        answer: str | None = await machine.node.call(
            command, text, PATIENCE, timeout=PATIENCE + GRACE
        )
    except ChildFailed as error:
        if error.rejected:
            raise Refused(str(error)) from error
        raise
    return answer
