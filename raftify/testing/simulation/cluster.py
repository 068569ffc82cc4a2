"""A whole cluster under virtual time: real nodes, a simulated network, disks and clocks, one seed.

async def scenario(cluster: SimulatedCluster[MyMachine]) -> None:
    await cluster.start(3)
    leader = await cluster.leader()
    await leader.raft.propose(b"...")
    leader.crash()
    await cluster.converge()

simulate(scenario, seed=7, machine=MyMachine)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Generic

from raftify.client import create_client
from raftify.client.service_client import RaftServiceClient
from raftify.config import Config
from raftify.errors import ConfigError, RaftifyError
from raftify.peers import ClusterJoinTicket, InitialRole, Peer, Peers
from raftify.state_machine import Machine_co
from raftify.testing.simulation.exchange import Host
from raftify.testing.simulation.loop import SimulatedLoop
from raftify.testing.simulation.network import SimulatedNetwork
from raftify.testing.simulation.node import CRASH, STOP, SimulatedNode
from raftify.testing.simulation.notices import Notices
from raftify.testing.simulation.observer import Observer
from raftify.testing.simulation.remote import SimulatedRemote
from raftify.testing.simulation.trace import (
    Trace,
)

#: How often what has no event is looked at, in seconds of virtual time.
LOOK_EVERY = 0.05


class SimulatedCluster(Notices, Generic[Machine_co]):
    """Nodes, what connects them, and the source of everything that is left to chance.

    Attributes:
        nodes: by Raft id, in the order in which they came.
        network: where links are cut, and made slow and bad.
        random: for whoever writes the scenario; drawing from it is part of the run.
        founders: what `place` told the first nodes, with their roles; nobody before that.
        config: what every node gets; addresses of the first members are filled in. A node whose own
            `config` is set starts with that instead.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        seed: int | str,
        machine: Callable[[], Machine_co],
        *,
        config: Config | None = None,
        observers: Iterable[Observer] = (),
        trace: Trace | None = None,
        logger: logging.Logger | None = None,
        beside: SimulatedCluster | None = None,
    ) -> None:
        """Make a cluster without nodes; `beside` is another one, to be on the same network."""
        super().__init__(loop, trace, observers)
        self.seed = seed
        self.random = Random(f"{seed}/nodes")
        self.network: SimulatedNetwork = (
            SimulatedNetwork(loop, Random(f"{seed}/network"), self.trace)
            if beside is None
            else beside.network
        )
        self._beside = beside
        self.nodes: dict[int, SimulatedNode[Machine_co]] = {}
        self.founders = Peers()
        self.config = Config() if config is None else config
        self.make_machine = machine
        self.logger = _silent() if logger is None else logger
        self._machines = 0
        self._clients = 0

    # -- members ----------------------------------------------------------------------------

    async def start(
        self, size: int, *, learners: int = 0, first_leader: int = 0
    ) -> list[SimulatedNode[Machine_co]]:
        """Start a static cluster; return its nodes once one of them leads.

        Args:
            size: voters; their ids are 1 and so on.
            learners: static learners, whose ids follow.
            first_leader: the voter that campaigns at once, see `InitialRole.LEADER`; 0: nobody.

        Raises:
            ConfigError: there would be no voter, or no such first leader.
            TimeoutError: nobody led within a minute.
        """
        peers = self.place(size, learners=learners, first_leader=first_leader)
        for node_id in peers:
            node = self.nodes[node_id]
            node.config = replace(self.config, initial_peers=peers)
            node.start()
            node.config = None
        await self.leader()
        return list(self.nodes.values())

    async def initialize(self, size: int, *, learners: int = 0) -> list[SimulatedNode[Machine_co]]:
        """Start nodes that wait, and found a cluster of them by `Raft.initialize` on the first;
        return them once one leads and all know each other.

        What `start` does in one go may be had step by step, to let something go wrong in between:

            peers = cluster.place(3)
            for node_id in peers:
                cluster.nodes[node_id].start(node_id)  # under an id that was handed out: it waits
            await cluster.nodes[1].raft.initialize(peers)
        """
        peers = self.place(size, learners=learners)
        for node_id in peers:
            self.nodes[node_id].start(node_id)
        await self.nodes[1].raft.initialize(peers)
        await self.leader()
        for node in self.running():
            await node.raft.wait(60).until(lambda metrics: bool(metrics.membership.peers))
        return list(self.nodes.values())

    def place(self, size: int, *, learners: int = 0, first_leader: int = 0) -> Peers:
        """Put up the machines of a cluster, whose nodes are the first of `nodes` and do not run
        yet; return what each of them is to be told. Arguments as those of `start`."""
        if size < 1 or learners < 0:
            raise ConfigError(f"a cluster needs a voter: size is {size}, learners {learners}")
        if not 0 <= first_leader <= size:
            raise ConfigError(
                f"node {first_leader} cannot lead first: the voters are 1 to {size}; give one of "
                "them, or 0 to let them elect one"
            )
        names = [self._new_name() for _ in range(size + learners)]
        peers = []
        for node_id, name in enumerate(names, 1):
            address = f"{name}:7000"
            role = InitialRole.VOTER if node_id <= size else InitialRole.LEARNER
            role = InitialRole.LEADER if node_id == first_leader else role
            self.nodes[node_id] = SimulatedNode(self, node_id, name, address)
            peers.append(Peer(node_id, address, initial_role=role))
        self.founders = Peers(peers)
        return self.founders

    async def join(self, through: SimulatedNode | None = None) -> SimulatedNode[Machine_co]:
        """Let a new machine join by way of a member, by default the leader; return it."""
        node = self.new_machine()
        await self.rejoin(node, through)
        return node

    def new_machine(self, node_id: int = 0) -> SimulatedNode[Machine_co]:
        """Return a machine with an empty disk, which does not run and is not one of `nodes` yet."""
        name = self._new_name()
        return SimulatedNode(self, node_id, name, f"{name}:7000")

    async def rejoin(
        self, node: SimulatedNode[Machine_co], through: SimulatedNode | None = None
    ) -> None:
        """Let `node`, whose disk is empty, join under a new id."""
        through = through or await self.leader()
        ticket = await self.ticket(node, through)
        self.nodes.pop(node.id, None)
        node.start(ticket.reserved_id)
        self.nodes[node.id] = node
        await node.raft.join_cluster([ticket])

    async def ticket(self, node: SimulatedNode, through: SimulatedNode) -> ClusterJoinTicket:
        """Ask `through` for an id for `node`, as `Raft.request_id` does."""
        async with self.client(through.address, name=node.name) as client:
            return await client.request_id(node.address)

    def config_of(self, node: SimulatedNode) -> Config:
        """Return what `node` is to be started with."""
        return self.config if node.config is None else node.config

    def running(self) -> list[SimulatedNode[Machine_co]]:
        """Return the nodes that run, paused ones too."""
        return [node for node in self.nodes.values() if node.running]

    def client(self, *addresses: str, name: str = "", timeout: float = 10.0) -> RaftServiceClient:
        """Return a client outside any node; without addresses it knows those of all nodes."""
        if not name:
            self._clients += 1
            name = f"client{self._clients}"
        host = Host(name, None)
        self.network.know(name)

        def connect(
            address: str,
            config: Config,  # noqa: ARG001 - the signature is the client's
            *,
            cluster_id: str = "",
            to_id: int = 0,
        ) -> SimulatedRemote:
            return SimulatedRemote(self.network, host, address, cluster_id=cluster_id, to_id=to_id)

        return create_client(
            addresses or [node.address for node in self.nodes.values()],
            timeout=timeout,
            config=self.config,
            connect=connect,
            source=Random(f"{self.seed}/{name}"),
        )

    # -- waiting ----------------------------------------------------------------------------

    async def leader(self, timeout: float = 60.0) -> SimulatedNode[Machine_co]:
        """Return the node that leads and can commit.

        Raises:
            TimeoutError: nobody did within `timeout` seconds.
        """
        async with self._within(timeout, "no node that runs leads and can commit"):
            while True:
                for node in self.running():
                    if node.leads:
                        with suppress(RaftifyError):
                            await node.raft.read_index(timeout=2)
                            return node
                await asyncio.sleep(LOOK_EVERY)

    async def converge(self, timeout: float = 120.0) -> int:
        """Wait until one node leads, in no joint configuration, and all members that run follow it
        and have applied the same; return the index.

        Raises:
            TimeoutError: it did not happen within `timeout` seconds.
        """
        async with self._within(timeout, "the members that run do not agree"):
            while True:
                leader = await self.leader(timeout)
                index = leader.runtime.state.committed
                if self._agree(leader, index):
                    return index
                await asyncio.sleep(LOOK_EVERY)

    async def settle(self, timeout: float = 120.0) -> int:
        """Wait until all that run have applied what is committed now; return its index.

        Raises:
            TimeoutError, DeadlineExceeded: it did not happen within `timeout` seconds.
        """
        leader = await self.leader(timeout)
        index = leader.runtime.state.committed
        await asyncio.gather(*(node.applied(index, timeout) for node in self.running()))
        return index

    def _agree(self, leader: SimulatedNode, index: int) -> bool:
        membership = leader.runtime.state.membership
        if membership.conf_state.voters_outgoing:
            return False
        states = [node.runtime.state for node in self.running() if membership.is_member(node.id)]
        return all(
            state.applied == index and state.leader_id == leader.id and not state.has_ended()
            for state in states
        )

    async def until(self, holds: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait until `holds()`; it is looked at often.

        Raises:
            TimeoutError: it did not within `timeout` seconds.
        """
        async with self._within(timeout, f"it does not hold: {_called(holds)}"):
            while not holds():  # noqa: ASYNC110 - for what has no event; time is virtual
                await asyncio.sleep(0.0005)

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float, otherwise: str) -> AsyncIterator[None]:
        """Let what is awaited take `seconds`; `otherwise` says what is wrong if it takes longer."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired() or str(error):
                raise
            raise TimeoutError(f"{otherwise}, after {seconds:g} s: {self.describe()}") from None

    def describe(self) -> str:
        """Return how each node is doing, for whoever waits in vain."""
        return "; ".join(node.describe() for node in self.nodes.values()) or "there are no nodes"

    def abandon(self) -> None:
        """Let every process be dead and nothing be told any more: the simulation is over."""
        for node in self.nodes.values():
            node.abandon()

    def heal(self) -> None:
        """End every fault of network, clocks, pauses and stalls. What is down stays down."""
        self.network.heal()
        for node in self.running():
            node.defuse()
            node.resume()
            node.unstall()
            node.set_clock()

    def _new_name(self) -> str:
        if self._beside is not None:
            return self._beside._new_name()
        self._machines += 1
        self.network.know(name := f"n{self._machines}")
        return name


def _called(holds: Callable[[], bool]) -> str:
    """Return where `holds` was written."""
    code = getattr(holds, "__code__", None)
    if code is None:
        return type(holds).__name__
    return f"{holds.__qualname__} in {Path(code.co_filename).name}, line {code.co_firstlineno}"


def _silent() -> logging.Logger:
    logger = logging.Logger("raftify.simulation")  # noqa: LOG001 - one that nobody else has
    logger.addHandler(logging.NullHandler())
    logger.setLevel(logging.CRITICAL + 1)
    return logger


__all__ = ["CRASH", "STOP", "SimulatedCluster", "SimulatedNode"]
