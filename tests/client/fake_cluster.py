"""Nodes that answer as a script says, behind the client's `connect`."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence

from raftify.client import RaftServiceClient, create_client
from raftify.config import Config
from raftify.core.types import ConfChangeV2, ConfState, Message
from raftify.errors import DeadlineExceeded, NotLeader, PeerRefused, PeerUnreachable, RaftifyError
from raftify.peers import ClusterJoinTicket, ClusterView, Membership, Peer, Peers, ReservedId

Script = deque[RaftifyError | Callable[[], None]]


def address_of(node_id: int) -> str:
    return f"10.0.0.{node_id}:60061"


class FakeNode:
    """One node. `believes` is the leader's id in its opinion; `script` overrides single answers.

    A node that is not `up` refuses connections, one that `vanished` lets them hang, and one that is
    `silent` takes the request and does not answer.
    """

    def __init__(self, cluster: FakeCluster, node_id: int) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.believes = 0
        self.up = True
        self.silent = False
        self.vanished = False
        self.refuses = False
        self.hides_addresses = False
        self.script: Script = deque()
        self.calls: list[str] = []
        self.applied: list[bytes] = []
        self.timeouts: list[float] = []
        self.membership: Membership | None = None

    async def enter(self, call: str, timeout: float, *, leader_only: bool = True) -> None:
        self.calls.append(call)
        self.timeouts.append(timeout)
        await asyncio.sleep(0.001)
        if not self.up:
            raise PeerUnreachable(f"connection to {address_of(self.node_id)} refused")
        if self.vanished:
            await asyncio.sleep(min(timeout, 5.0))
            raise PeerUnreachable(f"no route to {address_of(self.node_id)}")
        if self.refuses:
            raise PeerRefused("this is cluster 'other'")
        if self.silent:
            await asyncio.sleep(timeout)
            raise DeadlineExceeded(f"node {self.node_id} did not answer")
        if call != "get_peers" and self.script:
            step = self.script.popleft()
            if isinstance(step, RaftifyError):
                raise step
            step()
        if leader_only and self.believes != self.node_id:
            raise NotLeader(leader_id=self.believes, leader_address=self._leader_address())

    def _leader_address(self) -> str:
        return "" if self.hides_addresses or not self.believes else address_of(self.believes)

    def view(self) -> ClusterView:
        return ClusterView(
            node_id=self.node_id,
            cluster_id=self.cluster.cluster_id,
            leader_id=self.believes,
            leader_address=self._leader_address(),
            membership=self.membership or self.cluster.membership,
        )


class FakeRemote:
    """A connection to a FakeNode. Implements RemoteNode."""

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.closed = False

    def propose(self, data: bytes, *, timeout: float) -> asyncio.Future[bytes]:
        return asyncio.ensure_future(self._propose(data, timeout))

    async def _propose(self, data: bytes, timeout: float) -> bytes:
        await self.node.enter("propose", timeout)
        self.node.applied.append(data)
        return b"applied " + data

    async def query(self, data: bytes, *, timeout: float, stale: bool = False) -> bytes:
        await self.node.enter("query", timeout, leader_only=not stale)
        return b"answer to " + data

    async def await_caught_up(self, node_id: int, *, timeout: float) -> int:
        await self.node.enter("await_caught_up", timeout)
        return len(self.node.applied)

    async def change_config(
        self, change: ConfChangeV2, *, timeout: float, force: bool = False
    ) -> Membership:
        await self.node.enter("change_config", timeout)
        self.node.cluster.changes.append(change)
        return self.node.cluster.membership

    async def initialize(self, peers: Peers, *, timeout: float) -> Membership:
        await self.node.enter("initialize", timeout, leader_only=False)
        return self.node.cluster.membership_of(list(peers), index=1)

    async def read_state(self, *, timeout: float) -> bytes:
        await self.node.enter("read_state", timeout, leader_only=False)
        return b"".join(self.node.applied)

    async def leave_joint(self, *, timeout: float) -> Membership:
        await self.node.enter("leave_joint", timeout)
        return self.node.cluster.membership

    async def read_index(self, *, timeout: float) -> int:
        await self.node.enter("read_index", timeout)
        return len(self.node.applied)

    async def request_id(
        self, raft_addr: str, identity: str, *, timeout: float
    ) -> ClusterJoinTicket:
        await self.node.enter("request_id", timeout)
        return ClusterJoinTicket(
            ReservedId(9), raft_addr, self.node.cluster.cluster_id, self.node.node_id, identity
        )

    async def get_peers(self, *, timeout: float) -> ClusterView:
        await self.node.enter("get_peers", timeout, leader_only=False)
        return self.node.view()

    async def set_peers(self, peers: Sequence[Peer], *, timeout: float) -> None:
        await self.node.enter("set_peers", timeout)
        self.node.cluster.moved = list(peers)

    async def transfer_leader(self, to: int, *, timeout: float) -> int:
        await self.node.enter("transfer_leader", timeout)
        self.node.cluster.elect(to or 2)
        return to or 2

    async def create_snapshot(self, *, timeout: float) -> int:
        await self.node.enter("create_snapshot", timeout, leader_only=False)
        return 77

    async def debug_node(self, *, timeout: float) -> str:
        await self.node.enter("debug_node", timeout, leader_only=False)
        return self.node.cluster.debug_text

    async def send_message(self, message: Message, *, timeout: float) -> None:
        await self.node.enter("send_message", timeout, leader_only=False)

    async def close(self) -> None:
        self.closed = True


class FakeCluster:
    """Nodes 1 to `size` with node 1 as leader."""

    def __init__(self, size: int = 3, *, cluster_id: str = "test") -> None:
        self.cluster_id = cluster_id
        self.nodes = {node_id: FakeNode(self, node_id) for node_id in range(1, size + 1)}
        self.membership = self.membership_of(self.nodes, index=1)
        self.remotes: list[FakeRemote] = []
        self.connections: list[tuple[str, str]] = []
        self.changes: list[ConfChangeV2] = []
        self.moved: list[Peer] = []
        self.debug_text = '{"node_id": 1}'
        self.elect(1)

    @staticmethod
    def membership_of(ids: Sequence[int] | dict[int, FakeNode], *, index: int) -> Membership:
        return Membership(
            index=index,
            conf_state=ConfState(voters=tuple(ids)),
            peers={i: Peer(i, address_of(i)) for i in ids},
            max_id=max(ids),
        )

    def elect(self, leader_id: int) -> None:
        for node in self.nodes.values():
            node.believes = leader_id

    def calls(self, name: str) -> list[int]:
        """Return how often each node was asked for `name`, by node."""
        return [node.calls.count(name) for node in self.nodes.values()]

    def connect(
        self, address: str, config: Config, *, cluster_id: str = "", to_id: int = 0
    ) -> FakeRemote:
        self.connections.append((address, cluster_id))
        by_address = {address_of(i): node for i, node in self.nodes.items()}
        remote = FakeRemote(by_address[address])
        self.remotes.append(remote)
        return remote

    def client(self, *seeds: int, timeout: float = 10.0, cluster_id: str = "") -> RaftServiceClient:
        return create_client(
            [address_of(i) for i in seeds or (1,)],
            timeout=timeout,
            cluster_id=cluster_id,
            connect=self.connect,
            source=random.Random(1),
        )


def now() -> float:
    """Return the time that the running loop shows."""
    return asyncio.get_running_loop().time()
