"""Attacks by requests that are well formed, and that a node must refuse for what they ask."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import grpc
from google.protobuf.message import Message as ProtobufMessage

from raftify.config import Config
from raftify.transport.handshake import caller_metadata
from raftify.wire import eraftpb_pb2 as raftpb
from raftify.wire import raft_service_pb2 as pb
from tests.port.attacks_by_content import FAR
from tests.port.machines import MEANT_FOR_OTHERS
from tests.port.target import Target

ADD, REMOVE, LEARNER = raftpb.AddNode, raftpb.RemoveNode, raftpb.AddLearnerNode
#: Milliseconds; whoever is refused is so at once.
SOON = 2_000
Request = tuple[str, ProtobufMessage]
#: What says that nothing was done. Not that a deadline passed or that nobody was there: what was
#: asked for may have been done then, or never been looked at.
NOT_MEANT = grpc.StatusCode.FAILED_PRECONDITION
IMPOSSIBLE = (grpc.StatusCode.INVALID_ARGUMENT, NOT_MEANT)


def change(
    *changes: tuple[raftpb.ConfChangeType, int],
    context: bytes = b"",
    transition: raftpb.ConfChangeTransition = raftpb.Auto,
    force: bool = False,
) -> pb.ChangeConfigRequest:
    """Return a request for a change of members."""
    wanted = raftpb.ConfChangeV2(transition=transition, context=context)
    for kind, node_id in changes:
        wanted.changes.add(change_type=kind, node_id=node_id)
    return pb.ChangeConfigRequest(change=wanted, timeout_ms=SOON, force=force)


def bad_changes(on: Target, random: Random) -> Iterator[Request]:
    """Changes to nobody, of strangers, of all, with an addition that makes no sense."""
    members = [on.node_id, *on.others()]
    stranger = random.choice((900_001, FAR, (1 << 64) - 1))
    for force in (False, True):
        yield "ChangeConfig", change((ADD, 0), force=force)
        yield "ChangeConfig", change((ADD, stranger), force=force)
        yield "ChangeConfig", change((LEARNER, stranger), context=b"\xff" * 50, force=force)
        yield "ChangeConfig", change(*((REMOVE, i) for i in members), force=force)
        yield "ChangeConfig", change((ADD, stranger), (REMOVE, members[0]), force=force)
        yield (
            "ChangeConfig",
            change(
                *((ADD, 910_000 + i) for i in range(200)),
                transition=raftpb.Explicit,
                force=force,
            ),
        )


def bad_transfers_and_addresses(on: Target, random: Random) -> Iterator[Request]:
    """Leaders that are no members; addresses of strangers, and such as cannot be."""
    for to in (900_001, FAR, (1 << 64) - 1):
        yield "TransferLeader", pb.TransferLeaderRequest(to=to, timeout_ms=SOON)
    member = on.others()[0]
    for node_id, address in (
        (900_001, "10.0.0.1:1"), (0, "10.0.0.1:1"), (member, ""), (member, "no address"),
        (member, "10.0.0.1:99999"), (member, "x" * 10_000 + ":1"),
    ):  # fmt: skip
        peers = [pb.Peer(node_id=node_id, address=address)]
        yield "SetPeers", pb.SetPeersRequest(peers=peers, timeout_ms=SOON)


def bad_proposals(on: Target, random: Random) -> Iterator[Request]:
    """Proposals that are larger than one may be."""
    yield (
        "Propose",
        pb.ProposeRequest(data=bytes(Config().max_proposal_bytes + 1), timeout_ms=SOON),
    )


async def requests_to_be_refused(on: Target, random: Random) -> None:
    """Well-formed requests that ask for what cannot be."""
    async with on.channel() as channel:
        for make in (bad_changes, bad_transfers_and_addresses, bad_proposals):
            for name, request in make(on, random):
                data = request.SerializeToString()
                code = await on.unary(channel, name, data, on.names_itself())
                assert code in IMPOSSIBLE, (code, name, str(request)[:200])


def good_requests(on: Target) -> Iterator[Request]:
    """Requests that would be granted to whoever means this node and this cluster."""
    yield "Propose", pb.ProposeRequest(data=MEANT_FOR_OTHERS, timeout_ms=SOON)
    yield "ChangeConfig", change((REMOVE, on.others()[0]))
    yield "LeaveJoint", pb.Empty()
    moved = pb.Peer(node_id=on.others()[0], address="10.0.0.1:1")
    yield "SetPeers", pb.SetPeersRequest(peers=[moved], timeout_ms=SOON)
    yield "TransferLeader", pb.TransferLeaderRequest(timeout_ms=SOON)


async def requests_for_others(on: Target, random: Random) -> None:
    """Good requests of callers that mean another cluster, another node, or another founding."""
    for said in (
        caller_metadata("another-cluster", on.node_id),
        caller_metadata(on.cluster_id, on.node_id + 1),
        caller_metadata(on.cluster_id, FAR),
        caller_metadata(on.cluster_id, on.node_id, "another-origin"),
    ):
        async with on.channel() as channel:
            for name, request in good_requests(on):
                code = await on.unary(channel, name, request.SerializeToString(), said)
                assert code is NOT_MEANT, (code, name, said)
            item = pb.ProposeItem(request_id=1, data=MEANT_FOR_OTHERS, timeout_ms=SOON)
            batch = pb.ProposeBatch(items=[item]).SerializeToString()
            code = await on.stream_all(channel, "ProposeStream", said, [batch])
            assert code is NOT_MEANT, (code, said)


BY_REQUEST = (requests_to_be_refused, requests_for_others)
