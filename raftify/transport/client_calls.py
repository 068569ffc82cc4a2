"""Calls of one request and one answer, for clients and tools: wire to NodeApi and back."""

from __future__ import annotations

from typing import Final

from raftify.config import Config
from raftify.core.types import ConfChangeV2
from raftify.errors import QueryFailed
from raftify.peers import ClusterJoinTicket, ClusterView
from raftify.records import (
    initial_peers_from_wire,
    membership_to_wire,
    peer_from_wire,
    peer_to_wire,
)
from raftify.transport.arrivals import check_single
from raftify.transport.channel_options import payload_limit
from raftify.transport.interface import NodeApi
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb

#: The node shall answer before gRPC gives up: its error says more than gRPC's.
_MARGIN: Final = 0.1


class ClientCalls:
    """Calls `node` for what arrived. Errors leave as they are.

    `left` is what the caller's deadline leaves, in seconds; None: it has none.
    """

    def __init__(self, node: NodeApi, node_id: int, config: Config) -> None:
        self._node = node
        self._node_id = node_id
        self._config = config

    async def propose(self, request: pb.ProposeRequest, left: float | None) -> pb.ProposeResponse:
        timeout = _timeout(request.timeout_ms, left, self._config.proposal_timeout)
        result = await self._node.propose(request.data, timeout=timeout)
        return pb.ProposeResponse(result=result)

    async def read_index(
        self, request: pb.ReadIndexRequest, left: float | None
    ) -> pb.ReadIndexResponse:
        timeout = _timeout(request.timeout_ms, left, self._config.proposal_timeout)
        index = await self._node.read_index(timeout=timeout)
        return pb.ReadIndexResponse(index=index)

    async def query(self, request: pb.QueryRequest, left: float | None) -> pb.QueryResponse:
        timeout = _timeout(request.timeout_ms, left, self._config.proposal_timeout)
        result = await self._node.query(request.data, timeout=timeout, stale=request.stale)
        self._check_fits("the answer", result)
        return pb.QueryResponse(result=result)

    async def read_state(self, request: pb.Empty, left: float | None) -> pb.ReadStateResponse:
        timeout = _timeout(0, left, self._config.request_timeout)
        state = await self._node.read_state(timeout=timeout)
        self._check_fits("the state", state)
        return pb.ReadStateResponse(state=state)

    def _check_fits(self, what: str, data: bytes) -> None:
        if len(data) > payload_limit(self._config):
            raise QueryFailed(
                f"{what} of {len(data)} bytes does not fit into "
                f"Config.max_grpc_message_bytes ({self._config.max_grpc_message_bytes})"
            )

    async def initialize(
        self, request: pb.InitializeRequest, left: float | None
    ) -> pb.ChangeConfigResponse:
        peers = initial_peers_from_wire(request.members)
        timeout = _timeout(request.timeout_ms, left, self._config.conf_change_request_timeout)
        membership = await self._node.initialize(peers, timeout=timeout)
        return pb.ChangeConfigResponse(membership=membership_to_wire(membership))

    async def request_id(
        self, request: pb.RequestIdRequest, left: float | None
    ) -> pb.RequestIdResponse:
        timeout = _timeout(request.timeout_ms, left, self._config.proposal_timeout)
        ticket = await self._node.request_id(request.raft_addr, request.identity, timeout=timeout)
        return ticket_to_wire(ticket)

    async def change_config(
        self, request: pb.ChangeConfigRequest, left: float | None
    ) -> pb.ChangeConfigResponse:
        change: ConfChangeV2 = codec.conf_change_from_wire(request.change)
        timeout = _timeout(request.timeout_ms, left, self._config.conf_change_request_timeout)
        membership = await self._node.change_config(change, timeout=timeout, force=request.force)
        return pb.ChangeConfigResponse(membership=membership_to_wire(membership))

    async def leave_joint(self, request: pb.Empty, left: float | None) -> pb.ChangeConfigResponse:
        timeout = _timeout(0, left, self._config.conf_change_request_timeout)
        membership = await self._node.leave_joint(timeout=timeout)
        return pb.ChangeConfigResponse(membership=membership_to_wire(membership))

    async def await_caught_up(
        self, request: pb.AwaitCaughtUpRequest, left: float | None
    ) -> pb.AwaitCaughtUpResponse:
        timeout = _timeout(request.timeout_ms, left, self._config.conf_change_request_timeout)
        matched = await self._node.await_caught_up(request.node_id, timeout=timeout)
        return pb.AwaitCaughtUpResponse(matched=matched)

    async def get_peers(self, request: pb.Empty, left: float | None) -> pb.GetPeersResponse:
        timeout = _timeout(0, left, self._config.request_timeout)
        view = await self._node.get_peers(timeout=timeout)
        return view_to_wire(view)

    async def set_peers(self, request: pb.SetPeersRequest, left: float | None) -> pb.Empty:
        timeout = _timeout(request.timeout_ms, left, self._config.conf_change_request_timeout)
        peers = [peer_from_wire(peer) for peer in request.peers]
        await self._node.set_peers(peers, timeout=timeout)
        return pb.Empty()

    async def transfer_leader(
        self, request: pb.TransferLeaderRequest, left: float | None
    ) -> pb.TransferLeaderResponse:
        timeout = _timeout(request.timeout_ms, left, self._config.request_timeout)
        leader_id = await self._node.transfer_leader(request.to, timeout=timeout)
        return pb.TransferLeaderResponse(leader_id=leader_id)

    async def create_snapshot(
        self, request: pb.Empty, left: float | None
    ) -> pb.CreateSnapshotResponse:
        timeout = _timeout(0, left, self._config.snapshot_timeout)
        index = await self._node.create_snapshot(timeout=timeout)
        return pb.CreateSnapshotResponse(index=index)

    async def debug_node(self, request: pb.Empty, left: float | None) -> pb.DebugNodeResponse:
        timeout = _timeout(0, left, self._config.request_timeout)
        text = await self._node.debug_node(timeout=timeout)
        return pb.DebugNodeResponse(json=text)

    async def send_message(self, request: pb.SendMessageRequest, left: float | None) -> pb.Empty:
        # The two forms of a message are the same on the wire, and only one has a decoder.
        raw = codec.parse(pb.RawMessage, request.message.SerializeToString())
        message = codec.message_from_wire(raw)
        check_single(message, to_id=self._node_id)
        timeout = _timeout(0, left, self._config.request_timeout)
        await self._node.send_message(message, timeout=timeout)
        return pb.Empty()


def _timeout(timeout_ms: int, left: float | None, default: float) -> float:
    """Return the seconds that a call may take here."""
    wanted = timeout_ms / 1000 if timeout_ms else default
    if left is None:
        return wanted
    return max(min(wanted, left - min(_MARGIN, left / 10)), 0.0)


def ticket_to_wire(ticket: ClusterJoinTicket) -> pb.RequestIdResponse:
    return pb.RequestIdResponse(
        reserved_id=ticket.reserved_id,
        cluster_id=ticket.cluster_id,
        leader_id=ticket.leader_id,
        leader_address=ticket.leader_addr,
        membership=pb.Membership(
            peers=[peer_to_wire(peer) for peer in ticket.peers.values()], origin=ticket.origin
        ),
    )


def view_to_wire(view: ClusterView) -> pb.GetPeersResponse:
    return pb.GetPeersResponse(
        node_id=view.node_id,
        cluster_id=view.cluster_id,
        leader_id=view.leader_id,
        leader_address=view.leader_address,
        membership=membership_to_wire(view.membership),
    )
