"""What each RPC answers to the empty, to what is no request, to the oversized and to the hostile.

`REQUESTS` is the table; whoever adds an RPC adds its rows. `tests/port` attacks the same port at
random and by weight; here it can be read what comes of what.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc

from raftify import MemStorage, Raft
from raftify.transport.status import outcome_of, typed_error_in
from raftify.wire import eraftpb_pb2 as epb
from raftify.wire import raft_service_pb2 as pb
from tests.cluster.local_cluster import make_config
from tests.cluster.machines import Tally
from tests.port.target import OPTIONS, SERVICE, Target
from tests.ports import free_address

Stream = grpc.aio.StreamStreamCall[bytes, bytes]
Call = grpc.aio.UnaryUnaryCall[bytes, bytes]
METHODS: Final = {m.name: m for m in pb.DESCRIPTOR.services_by_name["RaftService"].methods}
MOST_PROPOSAL: Final = 1 << 16
FAR: Final = (1 << 64) - 1
NO_REQUEST: Final = b"\x0a\x7f\x00"
#: Above Config.max_grpc_message_bytes.
OVERSIZED: Final = b"\x0a\x85\x80\x80\x04" + b"x" * (8 << 20)


def change(*singles: epb.ConfChangeSingle, context: bytes = b"") -> bytes:
    wanted = epb.ConfChangeV2(changes=singles, context=context)
    return pb.ChangeConfigRequest(change=wanted, timeout_ms=500).SerializeToString()


def adding(node_id: int) -> epb.ConfChangeSingle:
    return epb.ConfChangeSingle(change_type=epb.AddNode, node_id=node_id)


def peers(*named: pb.Peer) -> bytes:
    return pb.PeerList(peers=named).SerializeToString()


def member(node_id: int, address: str, *, role: str = "") -> pb.InitialMember:
    return pb.InitialMember(peer=pb.Peer(node_id=node_id, address=address), role=role)


def founding(*members: pb.InitialMember) -> bytes:
    return pb.InitializeRequest(members=members, timeout_ms=500).SerializeToString()


def message(**fields: int) -> bytes:
    given = {"from": 2, "to": 1, "term": 1, **fields}
    return pb.SendMessageRequest(message=epb.Message(**given)).SerializeToString()  # type: ignore[arg-type]


#: Of each call: what is sent, and the kind of error that has to come of it ("OK": it is a request).
#: Beside these, each gets NO_REQUEST and OVERSIZED.
REQUESTS: Final[Mapping[str, Mapping[str, tuple[bytes, str]]]] = {
    "Messages": {"empty": (b"", "MalformedMessage")},
    "InstallSnapshot": {"empty": (b"", "MalformedMessage")},
    "ProposeStream": {"empty": (b"", "OK")},
    "SendMessage": {
        "empty": (b"", "PeerRefused"),
        "for another node": (message(to=999), "PeerRefused"),
        "from nobody": (message(**{"from": 0}), "PeerRefused"),
        "what a node tells itself": (message(msg_type=epb.MsgHup), "StepLocalMessage"),
        "a snapshot without its file": (message(msg_type=epb.MsgSnapshot), "MalformedMessage"),
    },
    "Propose": {
        "empty": (b"", "OK"),
        "too large": (
            pb.ProposeRequest(data=b"x" * (MOST_PROPOSAL + 1)).SerializeToString(),
            "ProposalTooLarge",
        ),
    },
    "ReadIndex": {"empty": (b"", "OK")},
    "Query": {"empty": (b"", "QueryFailed")},
    "Initialize": {
        "empty": (b"", "ConfigError"),
        "a member of nothing": (founding(pb.InitialMember()), "ConfigError"),
        "node 0": (founding(member(0, "a:1")), "ConfigError"),
        "an address that is none": (founding(member(1, "nowhere")), "ConfigError"),
        "escapes": (founding(member(1, "\x1b[2J:1")), "ConfigError"),
        "a role that is none": (founding(member(1, "a:1", role="king")), "ConfigError"),
        "one twice": (founding(member(1, "a:1"), member(1, "a:2")), "ConfigError"),
        "one address twice": (founding(member(1, "a:1"), member(2, "a:1")), "ConfigError"),
        "not that node": (founding(member(2, "a:1")), "ConfigError"),
        "elsewhere": (founding(member(1, "a:1"), member(2, "a:2")), "ConfigError"),
        "learners only": (founding(member(1, "a:1", role="learner")), "ConfigError"),
        "much metadata": (
            founding(
                pb.InitialMember(peer=pb.Peer(node_id=1, address="a:1", metadata=b"x" * 100_000))
            ),
            "ConfigError",
        ),
        "members without end": (
            founding(*(member(i, f"a:{i}") for i in range(1, 20_000))),
            "MalformedMessage",
        ),
    },
    "RequestId": {
        "empty": (b"", "ConfigError"),
        "no address": (pb.RequestIdRequest(raft_addr="nowhere").SerializeToString(), "ConfigError"),
        "escapes": (pb.RequestIdRequest(raft_addr="\x1b[2J:1").SerializeToString(), "ConfigError"),
        "a long name": (
            pb.RequestIdRequest(raft_addr="a:1", identity="x" * 10_000).SerializeToString(),
            "JoinRejected",
        ),
    },
    "ChangeConfig": {
        "empty": (b"", "OK"),
        "node 0": (change(adding(0)), "ConfigError"),
        "a node far away": (change(adding(FAR)), "ConfigError"),
        "no address": (change(adding(7)), "ConfChangeRejected"),
        "a context that is none": (change(adding(7), context=NO_REQUEST), "MalformedMessage"),
        "an address that is none": (
            change(adding(7), context=peers(pb.Peer(node_id=7, address="nowhere"))),
            "ConfigError",
        ),
        "much metadata": (
            change(
                adding(7),
                context=peers(pb.Peer(node_id=7, address="a:1", metadata=b"x" * (1 << 20))),
            ),
            "MalformedMessage",
        ),
        "no voter left": (
            change(epb.ConfChangeSingle(change_type=epb.RemoveNode, node_id=1)),
            "ConfChangeRejected",
        ),
    },
    "LeaveJoint": {"empty": (b"", "OK")},
    "AwaitCaughtUp": {
        "empty": (b"", "ConfChangeRejected"),
        "a stranger": (
            pb.AwaitCaughtUpRequest(node_id=FAR).SerializeToString(),
            "ConfChangeRejected",
        ),
    },
    "GetPeers": {"empty": (b"", "OK")},
    "SetPeers": {
        "empty": (b"", "OK"),
        "a stranger": (
            pb.SetPeersRequest(peers=[pb.Peer(node_id=7, address="a:1")]).SerializeToString(),
            "ConfigError",
        ),
        "an address that is none": (
            pb.SetPeersRequest(peers=[pb.Peer(node_id=1, address="a b")]).SerializeToString(),
            "ConfigError",
        ),
    },
    "TransferLeader": {
        "empty": (b"", "TransferRejected"),
        "to a stranger": (
            pb.TransferLeaderRequest(to=FAR).SerializeToString(),
            "TransferRejected",
        ),
    },
    "DebugNode": {"empty": (b"", "OK")},
    "ReadState": {"empty": (b"", "OK")},
    "CreateSnapshot": {"empty": (b"", "OK")},
}
CASES: Final = [(name, what, *row) for name, rows in REQUESTS.items() for what, row in rows.items()]


@asynccontextmanager
async def one_node() -> AsyncIterator[tuple[Raft, Target]]:
    address = free_address()
    config = make_config(
        max_proposal_bytes=MOST_PROPOSAL, max_grpc_message_bytes=4 << 20, proposal_timeout=5.0
    )
    async with Raft.bootstrap(1, address, MemStorage.create(), Tally(), config) as raft:
        await raft.wait_for_leader(timeout=30)
        yield raft, await Target.look_up(address)


async def answer(on: Target, name: str, request: bytes) -> str:
    """Send one request; return "OK", the class of the typed error, or gRPC's status."""
    method, path = METHODS[name], SERVICE + name
    call: Stream | Call
    async with grpc.aio.insecure_channel(on.address, options=OPTIONS) as channel:
        if method.client_streaming:
            kind: Any = channel.stream_stream if method.server_streaming else channel.stream_unary
            make: Callable[..., Stream | Call] = kind(path)
            said = on.names_itself() if method.server_streaming else on.stranger()
            call = make(iter([request]), metadata=said, timeout=20)
        else:
            one: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            call = one(request, metadata=on.names_itself(), timeout=20)
        error = await outcome_of(call)
    if error is None:
        return "OK"
    typed = typed_error_in(error)
    return error.code().name if typed is None else type(typed).__name__


def test_the_table_has_every_rpc() -> None:
    assert set(REQUESTS) == set(METHODS)
    assert all("empty" in rows for rows in REQUESTS.values())


async def test_bad_requests() -> None:
    """One node gets all of them, and serves on."""
    async with one_node() as (raft, target):
        wrong = []
        for name, what, request, expected in CASES:
            came = await answer(target, name, request)
            if came != expected:
                wrong.append(f"{name}, {what}: {came}, and not {expected}")
        for name in METHODS:
            came = await answer(target, name, NO_REQUEST)
            if came not in ("MalformedMessage", "INVALID_ARGUMENT"):
                wrong.append(f"{name}, no request: {came}")
            came = await answer(target, name, OVERSIZED)
            if came not in ("RESOURCE_EXHAUSTED", "MalformedMessage", "INVALID_ARGUMENT"):
                wrong.append(f"{name}, oversized: {came}")
        assert "\n".join(wrong) == ""
        assert await raft.propose(b"still") == b"still:1"
        assert sorted(raft.get_peers()) == [1]
