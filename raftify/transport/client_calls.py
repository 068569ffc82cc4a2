"""Calls of one request and one answer, for clients and tools: bytes to NodeApi and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from raftify.config import Config
from raftify.core.types import ConfChangeV2
from raftify.peers import ClusterJoinTicket, ClusterView
from raftify.records import membership_to_wire, peer_from_wire, peer_to_wire
from raftify.transport.arrivals import check_type
from raftify.transport.interface import NodeApi
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb

_Handler = Callable[[bytes, float | None], Awaitable[bytes]]
#: The node shall answer before gRPC gives up: its error says more than gRPC's.
_MARGIN: Final = 0.1
_EMPTY: Final = b""


class ClientCalls:
    """Calls `node` for what arrived. Errors leave as they are."""

    def __init__(self, node: NodeApi, config: Config) -> None:
        self._node = node
        self._config = config
        self._handlers: dict[str, _Handler] = {
            "Propose": self._propose,
            "ReadIndex": self._read_index,
            "RequestId": self._request_id,
            "ChangeConfig": self._change_config,
            "LeaveJoint": self._leave_joint,
            "GetPeers": self._get_peers,
            "SetPeers": self._set_peers,
            "TransferLeader": self._transfer_leader,
            "CreateSnapshot": self._create_snapshot,
            "DebugNode": self._debug_node,
            "SendMessage": self._send_message,
        }
        self.names = tuple(self._handlers)

    async def call(self, name: str, request: bytes, time_left: float | None) -> bytes:
        """Return the answer to `request`. `time_left` is the caller's, in seconds, None: no end."""
        return await self._handlers[name](request, time_left)

    async def _propose(self, data: bytes, left: float | None) -> bytes:
        request = codec.parse(pb.ProposeRequest, data)
        timeout = _timeout(request.timeout_ms, left, self._config.proposal_timeout)
        result = await self._node.propose(request.data, timeout=timeout)
        return pb.ProposeResponse(result=result).SerializeToString()

    async def _read_index(self, data: bytes, left: float | None) -> bytes:
        request = codec.parse(pb.ReadIndexRequest, data)
        timeout = _timeout(request.timeout_ms, left, self._config.proposal_timeout)
        index = await self._node.read_index(timeout=timeout)
        return pb.ReadIndexResponse(index=index).SerializeToString()

    async def _request_id(self, data: bytes, left: float | None) -> bytes:
        request = codec.parse(pb.RequestIdRequest, data)
        timeout = _timeout(request.timeout_ms, left, self._config.proposal_timeout)
        ticket = await self._node.request_id(request.raft_addr, request.identity, timeout=timeout)
        return ticket_to_wire(ticket).SerializeToString()

    async def _change_config(self, data: bytes, left: float | None) -> bytes:
        request = codec.parse(pb.ChangeConfigRequest, data)
        change: ConfChangeV2 = codec.conf_change_from_wire(request.change)
        timeout = _timeout(request.timeout_ms, left, self._config.conf_change_request_timeout)
        membership = await self._node.change_config(change, timeout=timeout)
        return pb.ChangeConfigResponse(
            membership=membership_to_wire(membership)
        ).SerializeToString()

    async def _leave_joint(self, data: bytes, left: float | None) -> bytes:
        codec.parse(pb.Empty, data)
        timeout = _timeout(0, left, self._config.conf_change_request_timeout)
        membership = await self._node.leave_joint(timeout=timeout)
        return pb.ChangeConfigResponse(
            membership=membership_to_wire(membership)
        ).SerializeToString()

    async def _get_peers(self, data: bytes, left: float | None) -> bytes:
        codec.parse(pb.Empty, data)
        timeout = _timeout(0, left, self._config.request_timeout)
        view = await self._node.get_peers(timeout=timeout)
        return view_to_wire(view).SerializeToString()

    async def _set_peers(self, data: bytes, left: float | None) -> bytes:
        request = codec.parse(pb.SetPeersRequest, data)
        timeout = _timeout(request.timeout_ms, left, self._config.conf_change_request_timeout)
        peers = [peer_from_wire(peer) for peer in request.peers]
        await self._node.set_peers(peers, timeout=timeout)
        return _EMPTY

    async def _transfer_leader(self, data: bytes, left: float | None) -> bytes:
        request = codec.parse(pb.TransferLeaderRequest, data)
        timeout = _timeout(request.timeout_ms, left, self._config.request_timeout)
        await self._node.transfer_leader(request.to, timeout=timeout)
        return _EMPTY

    async def _create_snapshot(self, data: bytes, left: float | None) -> bytes:
        codec.parse(pb.Empty, data)
        timeout = _timeout(0, left, self._config.snapshot_timeout)
        index = await self._node.create_snapshot(timeout=timeout)
        return pb.CreateSnapshotResponse(index=index).SerializeToString()

    async def _debug_node(self, data: bytes, left: float | None) -> bytes:
        codec.parse(pb.Empty, data)
        timeout = _timeout(0, left, self._config.request_timeout)
        text = await self._node.debug_node(timeout=timeout)
        return pb.DebugNodeResponse(json=text).SerializeToString()

    async def _send_message(self, data: bytes, left: float | None) -> bytes:
        request = codec.parse(pb.SendMessageRequest, data)
        # The two forms of a message are the same on the wire, and only one has a decoder.
        raw = codec.parse(pb.RawMessage, request.message.SerializeToString())
        message = codec.message_from_wire(raw)
        check_type(message)
        timeout = _timeout(0, left, self._config.request_timeout)
        await self._node.send_message(message, timeout=timeout)
        return _EMPTY


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
        membership=pb.Membership(peers=[peer_to_wire(peer) for peer in ticket.peers.values()]),
    )


def view_to_wire(view: ClusterView) -> pb.GetPeersResponse:
    return pb.GetPeersResponse(
        node_id=view.node_id,
        cluster_id=view.cluster_id,
        leader_id=view.leader_id,
        leader_address=view.leader_address,
        membership=membership_to_wire(view.membership),
    )
