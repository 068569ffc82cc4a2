"""Writes and reads at a fixed rate, however long each takes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from benchmarks.load import percentile
from examples.children import Child, ChildFailed
from raftify.client import RaftServiceClient
from raftify.errors import RaftifyError
from tests.chaos.machine import Write
from tests.soak.expected import Expected

KEYS = 1000
VALUE_CHARACTERS = (50, 800)
#: More than this under way at once, and what would come next is left out, and counted.
MOST_UNDER_WAY = 2000
READ_SECONDS = 10.0
#: Until when in the end every key must have been read, however often that takes.
LAST_READ_SECONDS = 120.0
LAST_READ_PAUSE = 0.1


class Traffic:
    """Open-loop load: every slot of time brings its operations, answered or not."""

    def __init__(
        self,
        client: RaftServiceClient,
        nodes: Callable[[], list[Child]],
        *,
        writes: int,
        reads: int,
        source: random.Random,
    ) -> None:
        """`writes` and `reads` per second; `nodes` are those that answer reads just now."""
        self.latencies: list[float] = []
        self.done: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.expected = Expected()
        #: What nobody told in the end, so that writes to it may be lost.
        self.unread: list[str] = []
        self._client = client
        self._nodes = nodes
        self._rates = {"write": writes, "read": reads}
        self._random = source
        self._under_way: set[asyncio.Task[None]] = set()
        self._begun = 0

    async def run(self) -> None:
        """Go on until cancelled; what is under way then is waited for."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        begun = dict.fromkeys(self._rates, 0)
        try:
            while True:
                passed = loop.time() - start
                for kind, rate in self._rates.items():
                    while begun[kind] < rate * passed:
                        begun[kind] += 1
                        self._begin(kind)
                await asyncio.sleep(0.01)
        finally:
            await asyncio.gather(*self._under_way)

    def under_way(self) -> int:
        """Return how many operations have not ended yet, each a task."""
        # Those that have ended are no tasks any more, and are not yet discarded here.
        return sum(not task.done() for task in self._under_way)

    def _begin(self, kind: str) -> None:
        if len(self._under_way) >= MOST_UNDER_WAY:
            self.errors["left out: too many under way"] += 1
            return
        task = asyncio.create_task(self._write() if kind == "write" else self._read())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _key(self) -> str:
        return f"key-{self._random.randrange(KEYS)}"

    async def _write(self) -> None:
        # Not the loop's time: uvloop counts whole milliseconds.
        began = perf_counter()
        self._begun += 1
        key, length = self._key(), self._random.randint(*VALUE_CHARACTERS)
        value = f"{self._begun}-".ljust(length, "v")
        self.expected.begin(key, value)
        try:
            await self._client.propose(Write.put(key, value))
        except RaftifyError as error:
            self.errors[f"write: {type(error).__name__}"] += 1
        else:
            ended = perf_counter()
            self.expected.acknowledge(key, value, began, ended)
            self.done["write"] += 1
            self.latencies.append(1000 * (ended - began))

    async def _read(self) -> None:
        if await self._read_key(self._key()):
            self.done["read"] += 1

    async def _read_key(self, key: str) -> bool:
        """Read by whichever node, and look at what it found; say whether there was an answer."""
        node = self._random.choice(self._nodes())
        with self.expected.reading(key) as read:
            try:
                found = await node.call("get", key, READ_SECONDS, timeout=2 * READ_SECONDS)
            except ChildFailed as error:
                self.errors[f"read: {error.kind}"] += 1
                return False
            read.found(found)
            return True

    async def read_all(self, timeout: float = LAST_READ_SECONDS) -> None:
        """Read every key once more, again until there is an answer; note as unread what is not read
        within `timeout` seconds. These reads are no part of the load."""
        keys = self.expected.known()
        self.unread = list(keys)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for key in keys:
                    while True:
                        if await self._read_key(key):
                            break
                        await asyncio.sleep(LAST_READ_PAUSE)
                    self.unread.remove(key)

    def take_latencies(self) -> tuple[float, float]:
        """Return median and 99th percentile in ms since the last call; 0 if nothing came."""
        taken, self.latencies = sorted(self.latencies), []
        if not taken:
            return 0.0, 0.0
        return percentile(taken, 0.5), percentile(taken, 0.99)
