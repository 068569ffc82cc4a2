"""The generated stub and servicer of the service, with the types that their generator leaves out.

Whoever calls a node does it through `RaftStub`; what serves one is a `RaftServiceServicer`.
"""

from __future__ import annotations

from typing import Final, Protocol, TypeAlias, TypeVar

from grpc.aio import (
    Channel,
    Server,
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryUnaryMultiCallable,
)

from raftify.wire import raft_service_pb2 as pb
from raftify.wire.raft_service_pb2_grpc import (
    RaftServiceServicer,
    RaftServiceStub,
    add_RaftServiceServicer_to_server,
)

_Q = TypeVar("_Q")
_A = TypeVar("_A")

#: gRPC logs an answer that it cannot read, and gives None in its place.
Unary: TypeAlias = "UnaryUnaryMultiCallable[_Q, _A | None]"


#: The path of the call whose requests are packed by `raftify.wire.framing`, not by protobuf alone.
MESSAGES_METHOD: Final = "/raftify.RaftService/Messages"


class RaftStub(Protocol):
    """What `RaftServiceStub` has, one attribute a call; see protos/raft_service.proto.

    `Messages` takes batches as `framing.pack_batch` made them.
    """

    Messages: StreamUnaryMultiCallable[bytes, pb.MessagesClosed | None]
    InstallSnapshot: StreamUnaryMultiCallable[pb.SnapshotChunk, pb.SnapshotReceipt | None]
    SendMessage: Unary[pb.SendMessageRequest, pb.Empty]
    ProposeStream: StreamStreamMultiCallable[pb.ProposeBatch, pb.ProposeResults | None]
    Propose: Unary[pb.ProposeRequest, pb.ProposeResponse]
    ReadIndex: Unary[pb.ReadIndexRequest, pb.ReadIndexResponse]
    Query: Unary[pb.QueryRequest, pb.QueryResponse]
    Initialize: Unary[pb.InitializeRequest, pb.ChangeConfigResponse]
    RequestId: Unary[pb.RequestIdRequest, pb.RequestIdResponse]
    ChangeConfig: Unary[pb.ChangeConfigRequest, pb.ChangeConfigResponse]
    LeaveJoint: Unary[pb.Empty, pb.ChangeConfigResponse]
    AwaitCaughtUp: Unary[pb.AwaitCaughtUpRequest, pb.AwaitCaughtUpResponse]
    GetPeers: Unary[pb.Empty, pb.GetPeersResponse]
    SetPeers: Unary[pb.SetPeersRequest, pb.Empty]
    TransferLeader: Unary[pb.TransferLeaderRequest, pb.TransferLeaderResponse]
    DebugNode: Unary[pb.Empty, pb.DebugNodeResponse]
    ReadState: Unary[pb.Empty, pb.ReadStateResponse]
    CreateSnapshot: Unary[pb.Empty, pb.CreateSnapshotResponse]


def stub_of(channel: Channel) -> RaftStub:
    """Return the calls that can be made over `channel`."""
    stub: RaftStub = RaftServiceStub(channel)  # type: ignore[no-untyped-call]  # generated
    stub.Messages = channel.stream_unary(
        MESSAGES_METHOD, response_deserializer=pb.MessagesClosed.FromString
    )
    return stub


def register(servicer: RaftServiceServicer, server: Server) -> None:
    """Let `server` serve `servicer`."""
    add_RaftServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]  # generated
