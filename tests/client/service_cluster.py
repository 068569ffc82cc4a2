"""Nodes without Raft behind real gRPC: one of them is declared the leader."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO

from raftify.config import Config
from raftify.core.types import ConfChangeV2, ConfState, Message, Snapshot
from raftify.errors import NotLeader, RaftifyError
from raftify.peers import ClusterJoinTicket, ClusterView, Membership, Peer, Peers, ReservedId
from raftify.records import SnapshotSink
from raftify.transport.grpc_transport import GrpcTransport
from raftify.transport.interface import Handshake

CLUSTER_ID = "loopback"


class ServedNode:
    """Implements PeerService. `answer` says what a proposal brings: a result, an error, or None
    for no answer at all."""

    def __init__(self, cluster: ServedCluster, node_id: int) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.transport = GrpcTransport(
            "127.0.0.1:0", cluster.config, logging.getLogger("tests.client")
        )
        self.applied: list[bytes] = []
        self.changes: list[ConfChangeV2] = []
        self.messages: list[Message] = []
        self.founded = Peers()
        self.answer: Callable[[bytes], bytes | RaftifyError | None] = lambda data: b"ok " + data
        self.reached = asyncio.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.transport.port}"

    async def start(self) -> None:
        handshake = Handshake(CLUSTER_ID, self.node_id, f"store-{self.node_id}", 0)
        await self.transport.start(handshake, self)

    def _check(self) -> None:
        leader_id = self.cluster.leader_id
        if leader_id != self.node_id:
            raise NotLeader(leader_id=leader_id, leader_address=self.cluster.address_of(leader_id))

    # -- NodeApi ----------------------------------------------------------------------------

    def propose(self, data: bytes, *, timeout: float) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.reached.set()
        try:
            self._check()
        except NotLeader as error:
            future.set_exception(error)
            return future
        answer = self.answer(data)
        if isinstance(answer, RaftifyError):
            future.set_exception(answer)
        elif answer is not None:
            self.applied.append(data)
            future.set_result(answer)
        return future

    async def query(self, data: bytes, *, timeout: float, stale: bool = False) -> bytes:
        if not stale:
            self._check()
        return b"%d answers %b" % (self.node_id, data)

    async def await_caught_up(self, node_id: int, *, timeout: float) -> int:
        self._check()
        return 1000 + node_id

    async def change_config(
        self, change: ConfChangeV2, *, timeout: float, force: bool = False
    ) -> Membership:
        self._check()
        self.changes.append(change)
        return self.cluster.membership()

    async def initialize(self, peers: Peers, *, timeout: float) -> Membership:
        self.founded = peers
        return self.cluster.membership()

    async def read_state(self, *, timeout: float) -> bytes:
        return b"state of %d" % self.node_id

    async def leave_joint(self, *, timeout: float) -> Membership:
        self._check()
        return self.cluster.membership()

    async def read_index(self, *, timeout: float) -> int:
        self._check()
        return len(self.applied)

    async def request_id(
        self, raft_addr: str, identity: str, *, timeout: float
    ) -> ClusterJoinTicket:
        self._check()
        peers = dict(self.cluster.membership().peers)
        return ClusterJoinTicket(
            ReservedId(7), raft_addr, CLUSTER_ID, self.node_id, self.address, peers
        )

    async def get_peers(self, *, timeout: float) -> ClusterView:
        leader_id = self.cluster.leader_id
        return ClusterView(
            self.node_id,
            CLUSTER_ID,
            leader_id,
            self.cluster.address_of(leader_id),
            self.cluster.membership(),
        )

    async def set_peers(self, peers: Sequence[Peer], *, timeout: float) -> None:
        self._check()
        self.cluster.moved = list(peers)

    async def transfer_leader(self, to: int, *, timeout: float) -> int:
        self._check()
        self.cluster.leader_id = to
        return to

    async def create_snapshot(self, *, timeout: float) -> int:
        return 100 + self.node_id

    async def debug_node(self, *, timeout: float) -> str:
        return json.dumps({"node_id": self.node_id, "role": "follower", "state_machine": "größe"})

    async def send_message(self, message: Message, *, timeout: float) -> None:
        self.messages.append(message)

    # -- the peers' side, which these nodes do not use ----------------------------------------

    def origin(self) -> str:
        return ""

    def is_member(self, node_id: int, incarnation: str) -> bool:
        return False

    def greet(self, handshake: Handshake) -> None:
        raise AssertionError("nobody calls as a peer here")

    async def receive(self, messages: Sequence[Message]) -> None:
        raise AssertionError("nobody calls as a peer here")

    def report_unreachable(self, node_id: int) -> None: ...

    def report_refused(self, node_id: int, error: RaftifyError) -> None: ...

    def report_snapshot(self, node_id: int, *, success: bool) -> None: ...

    def report_damaged_snapshot(self, snapshot: Snapshot, error: Exception) -> None: ...

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO | None:
        return None

    def create_snapshot_sink(self, snapshot: Snapshot) -> SnapshotSink | None:
        return None


class ServedCluster:
    def __init__(self) -> None:
        self.config = Config(cluster_id=CLUSTER_ID)
        self.nodes: dict[int, ServedNode] = {}
        self.leader_id = 1
        self.moved: list[Peer] = []

    def address_of(self, node_id: int) -> str:
        return self.nodes[node_id].address if node_id in self.nodes else ""

    def membership(self) -> Membership:
        return Membership(
            index=1,
            conf_state=ConfState(voters=tuple(self.nodes)),
            peers={i: Peer(i, node.address) for i, node in self.nodes.items()},
            max_id=max(self.nodes),
        )


@asynccontextmanager
async def served_cluster(size: int = 3) -> AsyncIterator[ServedCluster]:
    """Run a cluster on free ports of loopback."""
    cluster = ServedCluster()
    try:
        for node_id in range(1, size + 1):
            cluster.nodes[node_id] = ServedNode(cluster, node_id)
            await cluster.nodes[node_id].start()
        yield cluster
    finally:
        await asyncio.gather(*(node.transport.stop(grace=1.0) for node in cluster.nodes.values()))
