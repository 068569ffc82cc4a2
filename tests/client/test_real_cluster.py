"""The client against real nodes: leaders come and go, and no proposal takes effect twice."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import pytest

from raftify.client import RaftServiceClient, create_client
from raftify.config import Config
from raftify.errors import OutcomeUnknown
from raftify.peers import Peers
from raftify.raft import Raft
from raftify.state_machine import AbstractStateMachine
from raftify.storage import MemStorage
from tests.ports import free_ports

pytestmark = pytest.mark.slow


class Journal(AbstractStateMachine):
    """Keeps every entry in the order in which it was applied."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    async def apply(self, data: bytes) -> bytes:
        self.entries.append(data)
        return data

    async def snapshot(self) -> bytes:
        return b"\n".join(self.entries)

    async def restore(self, data: bytes) -> None:
        self.entries = data.split(b"\n") if data else []

    def encode(self) -> bytes:
        return b"\n".join(self.entries)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        journal = cls()
        journal.entries = data.split(b"\n")
        return journal


@asynccontextmanager
async def three_nodes() -> AsyncIterator[dict[int, Raft[Journal]]]:
    peers = Peers({i: f"127.0.0.1:{port}" for i, port in enumerate(free_ports(3), start=1)})
    async with AsyncExitStack() as stack:
        nodes = {}
        for node_id, peer in peers.items():
            config = Config(initial_peers=peers, tick_interval=0.05)
            nodes[node_id] = Raft.bootstrap(
                node_id,
                peer.address,
                MemStorage.create(),
                Journal(),
                config,
                logging.getLogger("tests.client"),
            )
        for node in nodes.values():
            await stack.enter_async_context(node)
        yield nodes


class Writers:
    """Several writers that propose one entry after the other until they are told to stop."""

    def __init__(self, client: RaftServiceClient, count: int) -> None:
        self.acknowledged: list[bytes] = []
        self.unknown: list[bytes] = []
        self._client = client
        self._stopping = False
        self._progress = asyncio.Event()
        self._tasks = [asyncio.create_task(self._write(i)) for i in range(count)]

    async def _write(self, writer: int) -> None:
        sequence = 0
        while not self._stopping:
            entry = b"%d/%d" % (writer, sequence)
            sequence += 1
            try:
                assert await self._client.propose(entry, timeout=20) == entry
                self.acknowledged.append(entry)
            except OutcomeUnknown:
                self.unknown.append(entry)
            self._progress.set()

    async def until(self, count: int) -> None:
        """Wait until `count` more entries were acknowledged."""
        wanted = len(self.acknowledged) + count
        while len(self.acknowledged) < wanted:
            self._progress.clear()
            await self._progress.wait()

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)


def check(writers: Writers, journal: Journal) -> None:
    applied = Counter(journal.entries)
    assert {entry: applied[entry] for entry in writers.acknowledged if applied[entry] != 1} == {}
    assert {entry: applied[entry] for entry in writers.unknown if applied[entry] > 1} == {}


async def test_writes_go_on_while_leadership_is_handed_round() -> None:
    async with three_nodes() as nodes, create_client(nodes[1].get_peers()[1].address) as client:
        await client.propose(b"first")
        writers = Writers(client, 32)
        for _ in range(3):
            await writers.until(200)
            leader_id = await nodes[1].wait_for_leader()
            await client.transfer_leader(leader_id % 3 + 1)
        await writers.until(200)
        await writers.stop()
        await nodes[1].read_index()
        check(writers, nodes[1].state_machine())


async def test_writes_go_on_after_the_leader_left_and_none_takes_effect_twice() -> None:
    async with three_nodes() as nodes, create_client(nodes[1].get_peers()[1].address) as client:
        await client.propose(b"first")
        writers = Writers(client, 32)
        await writers.until(200)
        leader_id = await nodes[1].wait_for_leader()
        await nodes[leader_id].quit()
        await writers.until(200)
        await writers.stop()
        survivor = nodes[leader_id % 3 + 1]
        await survivor.read_index()
        check(writers, survivor.state_machine())
        assert len(writers.unknown) <= 32
