"""Several nodes in one process: real storage, real gRPC on loopback, the tests' own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from raftify.config import Config
from raftify.core.config import RaftConfig
from raftify.errors import RaftifyError
from raftify.node.local_state import RunningState
from raftify.peers import Peers, ReservedId
from raftify.raft import Raft
from raftify.storage.base import StableStorage
from raftify.storage.lmdb_storage import LmdbStorage
from tests.cluster.machines import Tally
from tests.ports import free_address

#: Short enough for tests, long enough for a busy machine: elections take 0.5 to 1 s.
TICK_SECONDS = 0.05


def make_config(**settings: Any) -> Config:
    raft = settings.pop("raft_config", RaftConfig(election_tick=10, heartbeat_tick=2))
    defaults: dict[str, Any] = {"tick_interval": TICK_SECONDS, "lmdb_map_size": 1 << 30}
    return Config(raft_config=raft, **{**defaults, **settings})


class LocalNode:
    """One node and what it needs to be started again."""

    def __init__(self, raft: Raft[Tally], address: str, log_dir: Path) -> None:
        self.raft = raft
        self.address = address
        self.log_dir = log_dir
        self.task = asyncio.create_task(raft.run(), name=f"run-{raft.get_id()}")

    @property
    def id(self) -> int:
        return self.raft.get_id()

    @property
    def machine(self) -> Tally:
        return self.raft.state_machine()

    async def applied(self, index: int, timeout: float = 20.0) -> None:
        state = self.raft._node.state
        await state.wait_until(
            lambda: state.applied >= index, timeout=timeout, what=f"applying {index} on {self.id}"
        )

    async def stop(self) -> None:
        await self.raft.quit()
        await self.task


class LocalCluster:
    """Starts nodes, stops them, and tidies up. `make_machine` makes each node's state machine."""

    def __init__(
        self, directory: Path, make_machine: Callable[[], Tally] = Tally, **settings: Any
    ) -> None:
        self.directory = directory
        self.settings = settings
        self.make_machine = make_machine
        self.nodes: dict[int, LocalNode] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for node in list(self.nodes.values()):
            with suppress(RaftifyError):
                await node.stop()
        self.nodes.clear()

    def storage(self, log_dir: Path) -> StableStorage:
        return LmdbStorage.create(log_dir, make_config(**self.settings))

    def start(
        self, node_id: int, address: str, log_dir: Path | None = None, **settings: Any
    ) -> LocalNode:
        log_dir = log_dir or self.directory / f"{address.rpartition(':')[2]}"
        config = make_config(**{**self.settings, **settings})
        raft = Raft.bootstrap(node_id, address, self.storage(log_dir), self.make_machine(), config)
        node = LocalNode(raft, address, log_dir)
        self.nodes[node_id] = node
        return node

    async def waiting(self, node_id: int) -> LocalNode:
        """Start a node that waits for its cluster; return it once it listens."""
        node = self.start(ReservedId(node_id), free_address())
        await node.raft.wait(20).until(
            lambda metrics: metrics.running_state is RunningState.RUNNING, "its start"
        )
        return node

    async def found(self) -> LocalNode:
        node = self.start(1, free_address())
        await node.raft.wait_for_leader()
        return node

    async def join(self, peer: LocalNode, address: str | None = None) -> LocalNode:
        address = address or free_address()
        ticket = await Raft.request_id(address, peer.address)
        node = self.start(ticket.reserved_id, address)
        await node.raft.join_cluster([ticket])
        return node

    async def grow_to(self, size: int) -> LocalNode:
        """Found a cluster and let others join; return the founder."""
        founder = await self.found()
        for _ in range(size - 1):
            await self.join(founder)
        return founder

    async def static(self, size: int) -> None:
        addresses = {i: free_address() for i in range(1, size + 1)}
        for node_id, address in addresses.items():
            self.start(node_id, address, initial_peers=Peers(addresses))
        await self.leader()

    async def stop(self, node: LocalNode) -> None:
        await node.stop()
        del self.nodes[node.id]

    def restart(self, node: LocalNode) -> LocalNode:
        return self.start(node.id, node.address, node.log_dir)

    async def leader(self, among: Iterable[LocalNode] | None = None) -> LocalNode:
        """Return the node that leads, once the running ones agree that it does."""
        nodes = list(among or self.nodes.values())

        def agreed() -> bool:
            known = {n.raft.get_leader_id() for n in nodes}
            leader_id = next(iter(known))
            return (
                len(known) == 1
                and leader_id in self.nodes
                and self.nodes[leader_id].raft.is_leader()
            )

        async with asyncio.timeout(20):
            while not agreed():
                waits = [asyncio.create_task(_change(n)) for n in nodes]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=0.2)
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
        return self.nodes[nodes[0].raft.get_leader_id()]

    async def settle(self) -> int:
        """Wait until every node has applied what the leader has committed; return that index."""
        leader = await self.leader()
        index = await leader.raft.read_index()
        await asyncio.gather(*(node.applied(index) for node in self.nodes.values()))
        return index


async def _change(node: LocalNode) -> None:
    state = node.raft._node.state
    seen = (state.leader_id, state.role)
    await state.wait_until(
        lambda: (state.leader_id, state.role) != seen, timeout=20, what="a change"
    )
