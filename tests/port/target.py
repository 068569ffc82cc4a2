"""The node under attack, as an attacker knows it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import grpc

from raftify.config import Config
from raftify.peers import Membership
from raftify.transport import connect
from raftify.transport.handshake import Metadata, caller_metadata, is_accepted, peer_metadata
from raftify.transport.interface import Handshake
from raftify.transport.status import StreamEnded, outcome_of, write

#: Seconds that an attacker waits for an answer; some calls would never end.
CALL_SECONDS = 20.0
SERVICE = "/raftify.RaftService/"
OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_metadata_size", 1 << 24),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)

Call = grpc.aio.StreamUnaryCall[bytes, bytes]
Attack = Callable[["Target", Random], Awaitable[None]]


@dataclass(frozen=True)
class Target:
    """One node: where it is, and what any caller can ask it about itself and its cluster.

    `hold` is for how many seconds attacks hold what they hold.
    """

    address: str
    node_id: int
    cluster_id: str
    membership: Membership = field(default_factory=Membership)
    hold: float = 2.0

    @classmethod
    async def look_up(cls, address: str, hold: float = 2.0) -> Target:
        # Not by a client, which may ask another node.
        remote = connect(address, Config())
        try:
            view = await remote.get_peers(timeout=30)
        finally:
            await remote.close()
        return cls(address, view.node_id, view.cluster_id, view.membership, hold)

    def others(self) -> list[int]:
        return [i for i in self.membership.peers if i != self.node_id]

    def stranger(self, *, knows_origin: bool = True) -> Metadata:
        """Return the handshake of a node that says it is none of the members."""
        return self.handshake(900_001, "somebody", origin=None if knows_origin else "")

    def names_itself(self) -> Metadata:
        """Return what a tool says: which cluster and which node it means."""
        return caller_metadata(self.cluster_id, self.node_id)

    def handshake(self, from_id: int, incarnation: str, *, origin: str | None = None) -> Metadata:
        return peer_metadata(
            Handshake(
                self.cluster_id,
                from_id,
                incarnation,
                self.node_id,
                origin=self.membership.origin if origin is None else origin,
            )
        )

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """Open a connection of its own."""
        async with grpc.aio.insecure_channel(self.address, options=OPTIONS) as channel:
            yield channel

    async def unary(
        self, channel: grpc.aio.Channel, method: str, request: bytes, metadata: Metadata = ()
    ) -> grpc.StatusCode:
        """Make a call of one request; return how it ended."""
        make: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        make = channel.unary_unary(SERVICE + method)
        return await make(request, metadata=metadata, timeout=CALL_SECONDS).code()

    def stream(self, channel: grpc.aio.Channel, method: str, metadata: Metadata = ()) -> Call:
        make: grpc.aio.StreamUnaryMultiCallable[bytes, bytes]
        make = channel.stream_unary(SERVICE + method)
        # Whoever holds a call wants to see the node end it, not his own deadline.
        return make(metadata=metadata, timeout=max(CALL_SECONDS, 2 * self.hold))

    async def stream_all(
        self, channel: grpc.aio.Channel, method: str, metadata: Metadata, chunks: list[bytes]
    ) -> grpc.StatusCode:
        """Make a call of many requests; return how it ended."""
        call = self.stream(channel, method, metadata)
        try:
            if is_accepted(await call.initial_metadata()):
                for chunk in chunks:
                    await write(call, chunk)
            await call.done_writing()
        except (StreamEnded, grpc.aio.AioRpcError, grpc.aio.InternalError):
            pass
        error = await outcome_of(call)
        return grpc.StatusCode.OK if error is None else error.code()
