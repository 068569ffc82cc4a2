"""A node elsewhere, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import grpc

from raftify.config import Config
from raftify.core.types import ConfChangeV2, Message
from raftify.errors import MalformedMessage, OutcomeUnknown, PeerUnreachable, RaftifyError
from raftify.peers import (
    ClusterJoinTicket,
    ClusterView,
    Membership,
    Peer,
    Peers,
    ReservedId,
)
from raftify.records import (
    initial_peers_to_wire,
    membership_from_wire,
    peer_from_wire,
    peer_to_wire,
)
from raftify.transport.dialer import Dialer
from raftify.transport.handshake import Metadata, caller_metadata
from raftify.transport.interface import Handshake
from raftify.transport.proposal_stream import ProposalStream
from raftify.transport.status import error_of_call, is_being_cancelled
from raftify.transport.stubs import RaftStub, Unary
from raftify.wire import codec
from raftify.wire import eraftpb_pb2 as epb
from raftify.wire import raft_service_pb2 as pb

_Q = TypeVar("_Q")
_A = TypeVar("_A")


class GrpcRemoteNode:
    """Implements `RemoteNode`. Any number of calls share one connection and one proposal stream."""

    def __init__(
        self,
        address: str,
        config: Config,
        *,
        cluster_id: str = "",
        to_id: int = 0,
        origin: str = "",
        caller: Handshake | None = None,
        on_closed: Callable[[GrpcRemoteNode], None] | None = None,
    ) -> None:
        self.address = address
        self._config = config
        self._cluster_id = cluster_id
        self._to_id = to_id
        self._origin = origin
        self._caller = caller
        self._metadata = self._say()
        self._dialer = Dialer(address, config, to_id=to_id)
        self._proposals = ProposalStream(address, config, self._dialer, self._metadata)
        self._on_closed = on_closed

    async def close(self) -> None:
        """End everything; calls under way fail. Harmless the second time."""
        await self._proposals.close()
        await self._dialer.close()
        if self._on_closed is not None:
            self._on_closed(self)

    # -- NodeApi ----------------------------------------------------------------------------

    def propose(self, data: bytes, *, timeout: float) -> asyncio.Future[bytes]:
        return self._proposals.propose(data, timeout=timeout)

    async def query(self, data: bytes, *, timeout: float, stale: bool = False) -> bytes:
        answer = await self._call(
            lambda stub: stub.Query,
            pb.QueryRequest(data=data, timeout_ms=_milliseconds(timeout), stale=stale),
            timeout=timeout,
            changes_something=False,
        )
        return answer.result

    async def change_config(
        self, change: ConfChangeV2, *, timeout: float, force: bool = False
    ) -> Membership:
        answer = await self._call(
            lambda stub: stub.ChangeConfig,
            pb.ChangeConfigRequest(
                change=codec.conf_change_to_wire(change),
                timeout_ms=_milliseconds(timeout),
                force=force,
            ),
            timeout=timeout,
        )
        return membership_from_wire(answer.membership)

    async def leave_joint(self, *, timeout: float) -> Membership:
        answer = await self._call(lambda stub: stub.LeaveJoint, pb.Empty(), timeout=timeout)
        return membership_from_wire(answer.membership)

    async def initialize(self, peers: Peers, *, timeout: float) -> Membership:
        request = pb.InitializeRequest(
            members=initial_peers_to_wire(peers), timeout_ms=_milliseconds(timeout)
        )
        answer = await self._call(lambda stub: stub.Initialize, request, timeout=timeout)
        return membership_from_wire(answer.membership)

    async def read_index(self, *, timeout: float) -> int:
        answer = await self._call(
            lambda stub: stub.ReadIndex,
            pb.ReadIndexRequest(timeout_ms=_milliseconds(timeout)),
            timeout=timeout,
            changes_something=False,
        )
        return answer.index

    async def request_id(
        self, raft_addr: str, identity: str, *, timeout: float
    ) -> ClusterJoinTicket:
        answer = await self._call(
            lambda stub: stub.RequestId,
            pb.RequestIdRequest(
                raft_addr=raft_addr, identity=identity, timeout_ms=_milliseconds(timeout)
            ),
            timeout=timeout,
        )
        return ClusterJoinTicket(
            reserved_id=ReservedId(answer.reserved_id),
            raft_addr=raft_addr,
            cluster_id=answer.cluster_id,
            leader_id=answer.leader_id,
            leader_addr=answer.leader_address,
            peers={p.node_id: peer_from_wire(p) for p in answer.membership.peers},
            origin=answer.membership.origin,
        )

    async def await_caught_up(self, node_id: int, *, timeout: float) -> int:
        answer = await self._call(
            lambda stub: stub.AwaitCaughtUp,
            pb.AwaitCaughtUpRequest(node_id=node_id, timeout_ms=_milliseconds(timeout)),
            timeout=timeout,
            changes_something=False,
        )
        return answer.matched

    async def get_peers(self, *, timeout: float) -> ClusterView:
        answer = await self._call(
            lambda stub: stub.GetPeers, pb.Empty(), timeout=timeout, changes_something=False
        )
        return ClusterView(
            node_id=answer.node_id,
            cluster_id=answer.cluster_id,
            leader_id=answer.leader_id,
            leader_address=answer.leader_address,
            membership=membership_from_wire(answer.membership),
        )

    async def set_peers(self, peers: Sequence[Peer], *, timeout: float) -> None:
        request = pb.SetPeersRequest(
            peers=[peer_to_wire(peer) for peer in peers], timeout_ms=_milliseconds(timeout)
        )
        await self._call(lambda stub: stub.SetPeers, request, timeout=timeout)

    async def transfer_leader(self, to: int, *, timeout: float) -> int:
        request = pb.TransferLeaderRequest(to=to, timeout_ms=_milliseconds(timeout))
        answer = await self._call(lambda stub: stub.TransferLeader, request, timeout=timeout)
        return answer.leader_id or to

    async def create_snapshot(self, *, timeout: float) -> int:
        answer = await self._call(lambda stub: stub.CreateSnapshot, pb.Empty(), timeout=timeout)
        return answer.index

    async def debug_node(self, *, timeout: float) -> str:
        answer = await self._call(
            lambda stub: stub.DebugNode, pb.Empty(), timeout=timeout, changes_something=False
        )
        return answer.json

    async def read_state(self, *, timeout: float) -> bytes:
        answer = await self._call(
            lambda stub: stub.ReadState, pb.Empty(), timeout=timeout, changes_something=False
        )
        return answer.state

    async def send_message(self, message: Message, *, timeout: float) -> None:
        """See `NodeApi.send_message`. Given no cluster id, asks the node for its own first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        if not self._cluster_id:
            self._cluster_id = (await self.get_peers(timeout=timeout)).cluster_id
            self._metadata = self._say()
        # RawMessage and eraftpb.Message are the same bytes.
        raw = codec.message_to_wire(message).SerializeToString()
        request = pb.SendMessageRequest(message=codec.parse(epb.Message, raw))
        left = max(deadline - loop.time(), 0)
        await self._call(lambda stub: stub.SendMessage, request, timeout=left)

    def _say(self) -> Metadata:
        return caller_metadata(self._cluster_id, self._to_id, self._origin, self._caller)

    # -- one call ---------------------------------------------------------------------------

    async def _call(
        self,
        method: Callable[[RaftStub], Unary[_Q, _A]],
        request: _Q,
        *,
        timeout: float,
        changes_something: bool = True,
    ) -> _A:
        """Make one call.

        Raises:
            PeerUnreachable: it was not sent; or it was, and would have changed nothing.
            OutcomeUnknown: it may have been sent, and no answer came that can be read.
            MalformedMessage: the answer cannot be read, and the call changed nothing.
            RaftifyError: what the node answered.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        stub = await self._dialer.stub(timeout=timeout)
        left = max(deadline - loop.time(), 0)
        failure: RaftifyError
        # What is raised must not remember the call, which holds the connection after `close`.
        try:
            answer = await method(stub)(request, timeout=left, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            failure = error_of_call(error, self.address, changes_something=changes_something)
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise error.with_traceback(None) from None
            failure = self._closed_meanwhile(changes_something)
        else:
            if answer is not None:
                return answer
            kind = OutcomeUnknown if changes_something else MalformedMessage
            failure = kind(f"the answer of {self.address} cannot be read")
        raise failure

    def _closed_meanwhile(self, changes_something: bool) -> RaftifyError:  # noqa: FBT001 - private
        kind = OutcomeUnknown if changes_something else PeerUnreachable
        return kind(f"the connection to {self.address} was closed on this side meanwhile")


def _milliseconds(timeout: float) -> int:
    """Return what goes into timeout_ms, where 0 would mean the node's default."""
    return max(1, min(int(timeout * 1000), 0xFFFFFFFF))
