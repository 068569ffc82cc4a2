"""Whole nodes under virtual time: real runtime, memory transport, disks that survive a crash.

Every run with the same seed is the same run. Time jumps, so a minute of a cluster's life takes
about a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, ParamSpec, TypeVar

from raftify.config import Config
from raftify.core.config import RaftConfig
from raftify.core.types import Message
from raftify.errors import RaftifyError, StorageFull
from raftify.node.founding import prepare_store
from raftify.node.raft_node import RaftNode
from raftify.peers import Address, ClusterJoinTicket, Peers
from raftify.raft import Raft
from raftify.storage.base import WriteBatch
from raftify.storage.mem_storage import MemStorage
from raftify.testing.memory_transport import MemoryNetwork, MemoryTransport
from tests.cluster.machines import Tally

P = ParamSpec("P")
T = TypeVar("T")

QUIET = logging.getLogger("tests.simulated")
QUIET.setLevel(logging.CRITICAL)


async def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until `holds()`, looking often: the state of a node has no event for everything."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - there is no event, and time is virtual
            await asyncio.sleep(0.0005)


class Disk(MemStorage):
    """What it holds outlives the node that closes it. While `full` it takes nothing more."""

    full = False

    def write(self, batch: WriteBatch) -> None:
        if self.full and batch.entries:
            raise StorageFull("no space left on this disk; nothing of the write was kept")
        super().write(batch)

    def close(self) -> None:
        """Keep everything, as a disk does."""


class SimulatedWorker:
    """Runs calls in order, each after `delay()` seconds; after a crash none is run any more."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self._delay = delay
        self._last: asyncio.Task[Any] | None = None
        self.dead = False

    def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        before = self._last

        async def work() -> T:
            if before is not None:
                await asyncio.wait([before])
            await asyncio.sleep(self._delay())
            if self.dead:
                raise asyncio.CancelledError
            return call(*args, **kwargs)

        self._last = asyncio.get_running_loop().create_task(work())
        return self._last

    def clock(self) -> float:
        return asyncio.get_running_loop().time()

    async def close(self) -> None:
        if self._last is not None and not self.dead:
            await asyncio.wait([self._last])
        elif self._last is not None:
            self._last.cancel()
            await asyncio.wait([self._last])


class CrashingTransport(MemoryTransport):
    """Says nothing more once `dead`."""

    dead = False

    def send(self, messages: Sequence[Message]) -> None:
        if not self.dead:
            super().send(messages)


class SimulatedNode:
    """One node: its disk, and the process that may be running on it."""

    def __init__(self, node_id: int, address: str, cluster: SimulatedCluster) -> None:
        self.id = node_id
        self.address = address
        self.disk = Disk()
        self.cluster = cluster
        self.disk_delay = 0.001
        self.apply_delay = 0.0001
        self.raft: Raft
        self.machine = Tally()
        self.task: asyncio.Task[None] | None = None

    def start(self, node_id: int | None = None, address: str | None = None) -> None:
        cluster = self.cluster
        self.address = address or self.address
        config = cluster.config(self)
        self.machine = cluster.make_machine()
        prepare_store(
            self.disk,
            node_id=node_id or self.id,
            address=Address.parse(self.address),
            config=config,
            logger=QUIET,
        )
        random = cluster.random
        self._transport = CrashingTransport(self.address, cluster.network)
        self._workers = [
            SimulatedWorker(lambda: random.uniform(0.5, 1.5) * self.disk_delay),
            SimulatedWorker(lambda: random.uniform(0.5, 1.5) * self.apply_delay),
            SimulatedWorker(lambda: random.uniform(0.5, 1.5) * self.disk_delay),
        ]
        node = RaftNode(
            address=self.address,
            config=config,
            storage=self.disk,
            state_machine=self.machine,
            transport=self._transport,
            random=Random(random.random()),
            logger=cluster.logger,
            workers=self._workers,
        )
        self.raft = Raft(node)
        self.task = asyncio.create_task(self.raft.run(), name=f"run-{self.id}")
        self.task.add_done_callback(_look_at)

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()

    async def crash(self) -> None:
        """End as kill -9 does: nothing more is sent, written or applied."""
        self._transport.dead = True
        for worker in self._workers:
            worker.dead = True
        await self._cancel()

    async def _cancel(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with suppress(asyncio.CancelledError, RaftifyError):
            await self.task

    async def stop(self) -> None:
        await self.raft.quit()
        assert self.task is not None
        await self.task

    async def applied(self, index: int, timeout: float = 60.0) -> None:
        state = self.raft._node.state
        await state.wait_until(
            lambda: state.applied >= index, timeout=timeout, what=f"applying {index} on {self.id}"
        )


def _look_at(task: asyncio.Task[None]) -> None:
    """Tests ask for it where it matters; nobody shall be told that nobody asked."""
    if not task.cancelled():
        task.exception()


class SimulatedCluster:
    """Nodes, the network between them, and the source of everything that is left to chance."""

    def __init__(
        self,
        seed: int = 0,
        make_machine: Callable[[], Tally] = Tally,
        logger: logging.Logger = QUIET,
        **settings: Any,
    ) -> None:
        self.random = Random(seed)
        self.network = MemoryNetwork()
        self.nodes: dict[int, SimulatedNode] = {}
        self.make_machine = make_machine
        self.logger = logger
        self.settings = settings
        self._initial: Peers | None = None
        self._next_port = 7001

    def config(self, node: SimulatedNode) -> Config:
        settings: dict[str, Any] = {
            "raft_config": RaftConfig(election_tick=10, heartbeat_tick=2),
            "tick_interval": 0.1,
        }
        return Config(initial_peers=self._initial, **{**settings, **self.settings})

    def new_address(self) -> str:
        self._next_port += 1
        return f"10.0.0.1:{self._next_port}"

    async def static(self, size: int) -> None:
        addresses = {i: self.new_address() for i in range(1, size + 1)}
        self._initial = Peers(addresses)
        for node_id, address in addresses.items():
            node = self.nodes[node_id] = SimulatedNode(node_id, address, self)
            node.start()
        self._initial = None
        await self.leader()

    def move_all(self) -> None:
        """Give every node a new address, and every node's configuration the new addresses."""
        for node in self.nodes.values():
            node.address = self.new_address()
        self._initial = Peers({node.id: node.address for node in self.nodes.values()})

    async def ticket(self, through: SimulatedNode, address: str) -> ClusterJoinTicket:
        return await through.raft._node.leader.call(
            lambda node, left: node.request_id(address, "", timeout=left),
            timeout=10,
            what="an id",
        )

    async def join(self, through: SimulatedNode, address: str | None = None) -> SimulatedNode:
        address = address or self.new_address()
        ticket = await self.ticket(through, address)
        node = SimulatedNode(ticket.reserved_id, address, self)
        node.start(ticket.reserved_id)
        self.nodes[node.id] = node
        await node.raft.join_cluster([ticket])
        return node

    def running(self) -> list[SimulatedNode]:
        return [node for node in self.nodes.values() if node.running]

    async def leader(self, timeout: float = 60.0) -> SimulatedNode:
        """Return the node that leads and can commit."""
        async with asyncio.timeout(timeout):
            while True:
                for node in self.running():
                    if node.raft.is_leader():
                        with suppress(RaftifyError):
                            await node.raft.read_index(timeout=2)
                            return node
                await asyncio.sleep(0.1)

    async def settle(self, timeout: float = 120.0) -> int:
        """Wait until all running nodes applied the same; return the index."""
        leader = await self.leader(timeout)
        index = leader.raft._node.state.committed
        await asyncio.gather(*(node.applied(index, timeout) for node in self.running()))
        return index

    async def close(self) -> None:
        for node in self.nodes.values():
            if node.running:
                node.disk_delay = node.apply_delay = 0.0
                with suppress(RaftifyError):
                    await node.stop()
