"""A node that is only what a transport sees of it, and ports to run it on."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from raftify.config import Config
from raftify.core.types import (
    ConfChangeV2,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import PeerRefused, RaftifyError
from raftify.peers import ClusterJoinTicket, ClusterView, Membership, Peer, Peers, ReservedId
from raftify.records import SnapshotDescriptor, SnapshotSink
from raftify.transport.grpc_transport import GrpcTransport
from raftify.transport.interface import Handshake
from tests.ports import free_port

CLUSTER = "test-cluster"
#: Long enough that only a bug reaches it.
PATIENCE = 20.0
LOGGER = logging.getLogger("raftify.test")


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def handshake_of(node_id: int, cluster_id: str = CLUSTER) -> Handshake:
    return Handshake(cluster_id, node_id, f"store-{node_id}", 0)


class RawRequest:
    """A request of any bytes, for channels that take no other: what a broken program might send."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        return self._data


class FileSink:
    """A sink with the contract's manners: nothing under `path` before `finish`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_suffix(".partial")
        self._file = self._partial.open("wb")
        self._size = 0
        self._crc32 = 0

    def write(self, data: bytes, /) -> int:
        self._crc32 = zlib.crc32(data, self._crc32)
        self._size += len(data)
        return self._file.write(data)

    def finish(self) -> tuple[str, int, int]:
        self._file.close()
        self._partial.rename(self._path)
        return self._path.stem, self._size, self._crc32

    def abort(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)


@dataclass
class FakeNode:
    """Implements PeerService and records what happens to it. Every wait is on `changed`."""

    node_id: int
    known: dict[int, str] = field(default_factory=dict)
    directory: Path | None = None
    #: What `propose` does with a proposal; it echoes if this is not set.
    on_propose: Callable[[bytes, asyncio.Future[bytes]], None] | None = None
    #: What every other call raises, if anything.
    error: Exception | None = None
    snapshot_bytes: bytes | None = None
    open_file: Callable[[], BinaryIO] | None = None
    #: What a query is answered with.
    answer: bytes = b""

    def __post_init__(self) -> None:
        self.cluster_origin = ""
        self.received: list[Message] = []
        self.batches = 0
        self.unreachable: list[int] = []
        self.refused: list[tuple[int, RaftifyError]] = []
        self.snapshots: list[tuple[int, bool]] = []
        self.damaged: list[tuple[Snapshot, Exception]] = []
        self.calls: list[tuple[object, ...]] = []
        self.timeouts: list[float] = []
        self.sink_created = threading.Event()
        self.may_receive = asyncio.Event()
        self.may_receive.set()
        self.changed = asyncio.Condition()
        self._notifying: set[asyncio.Task[None]] = set()

    async def until(self, condition: Callable[[], object], *, patience: float = PATIENCE) -> None:
        async with asyncio.timeout(patience), self.changed:
            await self.changed.wait_for(condition)

    def _notify(self) -> None:
        async def notify() -> None:
            async with self.changed:
                self.changed.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    # -- PeerService ------------------------------------------------------------------------

    def origin(self) -> str:
        return self.cluster_origin

    def is_member(self, node_id: int, incarnation: str) -> bool:
        return self.known.get(node_id) == incarnation

    def greet(self, handshake: Handshake) -> None:
        if handshake.cluster_id != CLUSTER:
            raise PeerRefused(f"this is {CLUSTER!r}, not {handshake.cluster_id!r}")
        if handshake.to_id != self.node_id:
            raise PeerRefused(f"this is node {self.node_id}, not node {handshake.to_id}")
        known = self.known.setdefault(handshake.from_id, handshake.from_incarnation)
        if known != handshake.from_incarnation:
            raise PeerRefused(f"node {handshake.from_id} came with another store")

    async def receive(self, messages: Sequence[Message]) -> None:
        await self.may_receive.wait()
        self.received += messages
        self.batches += 1
        self._notify()

    def report_unreachable(self, node_id: int) -> None:
        self.unreachable.append(node_id)
        self._notify()

    def report_refused(self, node_id: int, error: RaftifyError) -> None:
        self.refused.append((node_id, error))
        self._notify()

    def report_snapshot(self, node_id: int, *, success: bool) -> None:
        self.snapshots.append((node_id, success))
        self._notify()

    def report_damaged_snapshot(self, snapshot: Snapshot, error: Exception) -> None:
        self.damaged.append((snapshot, error))
        self._notify()

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO | None:
        if self.open_file is not None:
            return self.open_file()
        return None if self.snapshot_bytes is None else io.BytesIO(self.snapshot_bytes)

    def create_snapshot_sink(self, snapshot: Snapshot) -> SnapshotSink | None:
        file_id = SnapshotDescriptor.decode(snapshot.data).file_id
        if not file_id:
            return None
        assert self.directory is not None
        sink = FileSink(self.directory / f"{file_id}.snapshot")
        self.sink_created.set()
        return sink

    # -- NodeApi ----------------------------------------------------------------------------

    def propose(self, data: bytes, *, timeout: float) -> asyncio.Future[bytes]:
        self.timeouts.append(timeout)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self.on_propose is not None:
            self.on_propose(data, future)
        else:
            future.set_result(b"re:" + data)
        return future

    def _called(self, *call: object, timeout: float) -> None:
        self.calls.append(call)
        self.timeouts.append(timeout)
        self._notify()
        if self.error is not None:
            raise self.error

    async def query(self, data: bytes, *, timeout: float, stale: bool = False) -> bytes:
        self._called("query", data, stale, timeout=timeout)
        return self.answer

    async def await_caught_up(self, node_id: int, *, timeout: float) -> int:
        self._called("await_caught_up", node_id, timeout=timeout)
        return 1000 + node_id

    async def change_config(
        self, change: ConfChangeV2, *, timeout: float, force: bool = False
    ) -> Membership:
        self._called("change_config", change, *([force] if force else []), timeout=timeout)
        return MEMBERSHIP

    async def initialize(self, peers: Peers, *, timeout: float) -> Membership:
        self._called("initialize", list(peers.values()), timeout=timeout)
        return MEMBERSHIP

    async def read_state(self, *, timeout: float) -> bytes:
        self._called("read_state", timeout=timeout)
        return self.answer

    async def leave_joint(self, *, timeout: float) -> Membership:
        self._called("leave_joint", timeout=timeout)
        return MEMBERSHIP

    async def read_index(self, *, timeout: float) -> int:
        self._called("read_index", timeout=timeout)
        return 77

    async def request_id(
        self, raft_addr: str, identity: str, *, timeout: float
    ) -> ClusterJoinTicket:
        self._called("request_id", raft_addr, identity, timeout=timeout)
        return ClusterJoinTicket(
            ReservedId(9), raft_addr, CLUSTER, 1, "127.0.0.1:1", dict(MEMBERSHIP.peers)
        )

    async def get_peers(self, *, timeout: float) -> ClusterView:
        self._called("get_peers", timeout=timeout)
        return ClusterView(self.node_id, CLUSTER, 1, "127.0.0.1:1", MEMBERSHIP)

    async def set_peers(self, peers: Sequence[Peer], *, timeout: float) -> None:
        self._called("set_peers", tuple(peers), timeout=timeout)

    async def transfer_leader(self, to: int, *, timeout: float) -> int:
        self._called("transfer_leader", to, timeout=timeout)
        return to or 2

    async def create_snapshot(self, *, timeout: float) -> int:
        self._called("create_snapshot", timeout=timeout)
        return 55

    async def debug_node(self, *, timeout: float) -> str:
        self._called("debug_node", timeout=timeout)
        return '{"node_id": 1}'

    async def send_message(self, message: Message, *, timeout: float) -> None:
        self._called("send_message", message, timeout=timeout)


MEMBERSHIP = Membership(
    index=4,
    peers={1: Peer(1, "127.0.0.1:1", "store-1", b"meta"), 2: Peer(2, "127.0.0.1:2")},
    reservations={"joiner": 9},
    max_id=9,
)


@dataclass
class Running:
    """A transport with its fake node."""

    node: FakeNode
    transport: GrpcTransport
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def knows(self, *others: Running) -> None:
        self.transport.update_peers(
            {o.node.node_id: Peer(o.node.node_id, o.address) for o in (self, *others)}
        )


class Machines:
    """Starts transports and stops all of them at the end of a test."""

    def __init__(self) -> None:
        self._running: list[Running] = []

    async def start(
        self,
        node_id: int,
        *,
        port: int = 0,
        config: Config | None = None,
        cluster_id: str = CLUSTER,
        node: FakeNode | None = None,
        handshake: Handshake | None = None,
    ) -> Running:
        port = port or free_port()
        node = node if node is not None else FakeNode(node_id)
        transport = GrpcTransport(f"127.0.0.1:{port}", config or Config(), LOGGER)
        await transport.start(handshake or handshake_of(node_id, cluster_id), node)
        running = Running(node, transport, port)
        self._running.append(running)
        return running

    async def stop(self) -> None:
        await asyncio.gather(*(r.transport.stop(grace=0) for r in self._running))


def message(
    to: int, from_: int, index: int = 0, msg_type: MessageType = MessageType.APPEND
) -> Message:
    return Message(msg_type=msg_type, to=to, from_=from_, term=3, index=index)


def snapshot_message(to: int, from_: int, data: bytes | None, *, index: int = 10) -> Message:
    """Return a MsgSnapshot for a file of `data`; None: one without a file."""
    descriptor = SnapshotDescriptor()
    if data is not None:
        descriptor = SnapshotDescriptor(f"file{index}", len(data), zlib.crc32(data))
    snapshot = Snapshot(descriptor.encode(), SnapshotMetadata(index=index, term=2))
    return Message(msg_type=MessageType.SNAPSHOT, to=to, from_=from_, term=3, snapshot=snapshot)
