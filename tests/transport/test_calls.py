"""Calls of one request and one answer: what goes in, what comes back, and every error."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
import pytest

from raftify import errors
from raftify.config import Config
from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    Message,
    MessageType,
)
from raftify.errors import (
    DeadlineExceeded,
    MalformedMessage,
    NotLeader,
    OutcomeUnknown,
    PeerRefused,
    PeerUnreachable,
    RaftifyError,
    StepLocalMessage,
    TransportError,
)
from raftify.peers import InitialRole, Peer, Peers, ReservedId
from raftify.transport import connect
from raftify.transport.interface import RemoteNode
from raftify.wire import codec
from raftify.wire import eraftpb_pb2 as epb
from raftify.wire import raft_service_pb2 as pb
from tests.ports import free_port
from tests.transport.fakes import CLUSTER, MEMBERSHIP, Machines, Running, message

CHANGE = ConfChangeV2(
    ConfChangeTransition.EXPLICIT,
    (
        ConfChangeSingle(ConfChangeType.ADD_NODE, 4),
        ConfChangeSingle(ConfChangeType.REMOVE_NODE, 2),
    ),
    b"context",
)
FOUNDERS = Peers(
    [
        Peer(1, "127.0.0.1:1", metadata=b"rack \xff", initial_role=InitialRole.LEADER),
        Peer(2, "127.0.0.1:2", initial_role=InitialRole.LEARNER),
        Peer(3, "127.0.0.1:3"),
    ]
)
Call = Callable[[RemoteNode, float], Awaitable[object]]
#: Every call, and whether it would change something.
CALLS: dict[str, tuple[Call, bool]] = {
    "change_config": (lambda n, t: n.change_config(CHANGE, timeout=t), True),
    "query": (lambda n, t: n.query(b"?", timeout=t), False),
    "await_caught_up": (lambda n, t: n.await_caught_up(4, timeout=t), False),
    "initialize": (lambda n, t: n.initialize(FOUNDERS, timeout=t), True),
    "read_state": (lambda n, t: n.read_state(timeout=t), False),
    "leave_joint": (lambda n, t: n.leave_joint(timeout=t), True),
    "read_index": (lambda n, t: n.read_index(timeout=t), False),
    "request_id": (lambda n, t: n.request_id("127.0.0.1:9", "me", timeout=t), True),
    "get_peers": (lambda n, t: n.get_peers(timeout=t), False),
    "set_peers": (lambda n, t: n.set_peers([Peer(2, "127.0.0.1:5")], timeout=t), True),
    "transfer_leader": (lambda n, t: n.transfer_leader(3, timeout=t), True),
    "create_snapshot": (lambda n, t: n.create_snapshot(timeout=t), True),
    "debug_node": (lambda n, t: n.debug_node(timeout=t), False),
    "send_message": (lambda n, t: n.send_message(message(1, 2, 3), timeout=t), True),
}


def _kinds() -> list[type[RaftifyError]]:
    return [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, RaftifyError)
    ]


@pytest.fixture
async def one(machines: Machines) -> Running:
    return await machines.start(1)


@pytest.fixture
async def remote(one: Running) -> AsyncIterator[RemoteNode]:
    node = connect(one.address, Config(), cluster_id=CLUSTER, to_id=1)
    yield node
    await node.close()


class TestWhatTravels:
    async def test_change_config(self, one: Running, remote: RemoteNode) -> None:
        assert await remote.change_config(CHANGE, timeout=5) == MEMBERSHIP
        assert one.node.calls == [("change_config", CHANGE)]

    async def test_a_forced_change(self, one: Running, remote: RemoteNode) -> None:
        assert await remote.change_config(CHANGE, timeout=5, force=True) == MEMBERSHIP
        assert one.node.calls == [("change_config", CHANGE, True)]

    async def test_query(self, one: Running, remote: RemoteNode) -> None:
        one.node.answer = b"\x00an answer"
        assert await remote.query(b"\xff?", timeout=5) == b"\x00an answer"
        assert await remote.query(b"", timeout=5, stale=True) == b"\x00an answer"
        assert one.node.calls == [("query", b"\xff?", False), ("query", b"", True)]

    async def test_an_answer_too_large_says_so(self, one: Running, remote: RemoteNode) -> None:
        one.node.answer = bytes(Config().max_grpc_message_bytes)
        with pytest.raises(errors.QueryFailed, match="does not fit into"):
            await remote.query(b"?", timeout=20)

    async def test_await_caught_up(self, remote: RemoteNode) -> None:
        assert await remote.await_caught_up(4, timeout=5) == 1004

    async def test_initialize(self, one: Running, remote: RemoteNode) -> None:
        assert await remote.initialize(FOUNDERS, timeout=5) == MEMBERSHIP
        assert one.node.calls == [("initialize", list(FOUNDERS.values()))]

    async def test_read_state(self, one: Running, remote: RemoteNode) -> None:
        one.node.answer = b"\x00the state"
        assert await remote.read_state(timeout=5) == b"\x00the state"
        one.node.answer = bytes(Config().max_grpc_message_bytes)
        with pytest.raises(errors.QueryFailed, match=r"state of \d+ bytes does not fit into"):
            await remote.read_state(timeout=20)

    async def test_leave_joint(self, one: Running, remote: RemoteNode) -> None:
        assert await remote.leave_joint(timeout=5) == MEMBERSHIP
        assert one.node.calls == [("leave_joint",)]

    async def test_read_index(self, remote: RemoteNode) -> None:
        assert await remote.read_index(timeout=5) == 77

    async def test_request_id(self, one: Running, remote: RemoteNode) -> None:
        ticket = await remote.request_id("127.0.0.1:9", "me", timeout=5)
        assert isinstance(ticket.reserved_id, ReservedId)
        assert (ticket.reserved_id, ticket.raft_addr) == (9, "127.0.0.1:9")
        assert (ticket.cluster_id, ticket.leader_id, ticket.leader_addr) == (
            CLUSTER,
            1,
            "127.0.0.1:1",
        )
        assert ticket.peers == MEMBERSHIP.peers
        assert one.node.calls == [("request_id", "127.0.0.1:9", "me")]

    async def test_get_peers(self, remote: RemoteNode) -> None:
        view = await remote.get_peers(timeout=5)
        assert (view.node_id, view.cluster_id, view.leader_id) == (1, CLUSTER, 1)
        assert (view.leader_address, view.membership) == ("127.0.0.1:1", MEMBERSHIP)

    async def test_set_peers(self, one: Running, remote: RemoteNode) -> None:
        await remote.set_peers([Peer(2, "127.0.0.1:5", "x", b"y")], timeout=5)
        assert one.node.calls == [("set_peers", (Peer(2, "127.0.0.1:5", "x", b"y"),))]

    async def test_transfer_leader(self, one: Running, remote: RemoteNode) -> None:
        assert await remote.transfer_leader(3, timeout=5) == 3
        assert await remote.transfer_leader(0, timeout=5) == 2
        assert one.node.calls == [("transfer_leader", 3), ("transfer_leader", 0)]

    async def test_create_snapshot(self, remote: RemoteNode) -> None:
        assert await remote.create_snapshot(timeout=5) == 55

    async def test_debug_node(self, remote: RemoteNode) -> None:
        assert await remote.debug_node(timeout=5) == '{"node_id": 1}'

    async def test_send_message(self, one: Running, remote: RemoteNode) -> None:
        m = message(1, 2, 3)
        m.entries = [Entry(term=1, index=4, data=b"d", context=b"c")]
        await remote.send_message(m, timeout=5)
        assert one.node.calls == [("send_message", m)]

    async def test_the_unary_propose(self, one: Running) -> None:
        request = pb.ProposeRequest(data=b"x", timeout_ms=700).SerializeToString()
        answer = pb.ProposeResponse.FromString(await _raw_call(one, "Propose", request))
        assert answer.result == b"re:x"
        assert one.node.timeouts == [0.7]


async def _raw_call(
    to: Running,
    name: str,
    request: bytes,
    metadata: tuple[tuple[str, str], ...] = (),
    timeout: float | None = None,
) -> bytes:
    async with grpc.aio.insecure_channel(to.address) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/raftify.RaftService/{name}"
        )
        return await method(request, metadata=metadata, timeout=timeout)


class TestErrors:
    @pytest.mark.parametrize("kind", _kinds())
    async def test_every_typed_error_comes_back_as_itself(
        self, one: Running, remote: RemoteNode, kind: type[RaftifyError]
    ) -> None:
        one.node.error = kind("the reason: ümläut\nand a second line")
        with pytest.raises(kind) as caught:
            await remote.read_index(timeout=5)
        assert type(caught.value) is kind
        assert str(caught.value) == "the reason: ümläut\nand a second line"

    @pytest.mark.parametrize("name", CALLS)
    async def test_every_call_passes_errors_on(
        self, one: Running, remote: RemoteNode, name: str
    ) -> None:
        one.node.error = NotLeader(leader_id=3, leader_address="10.0.0.3:60061")
        with pytest.raises(NotLeader) as caught:
            await CALLS[name][0](remote, 5)
        assert (caught.value.leader_id, caught.value.leader_address) == (3, "10.0.0.3:60061")

    async def test_a_text_beyond_what_metadata_carries_is_cut(
        self, one: Running, remote: RemoteNode
    ) -> None:
        one.node.error = errors.JoinRejected("long " * 10_000)
        with pytest.raises(errors.JoinRejected, match=r"^long long .*\.\.\.$"):
            await remote.read_index(timeout=5)

    async def test_a_foreign_exception_is_logged_here_and_not_told_there(
        self, one: Running, remote: RemoteNode, caplog: pytest.LogCaptureFixture
    ) -> None:
        one.node.error = ValueError("the password is swordfish")
        with pytest.raises(TransportError) as caught:
            await remote.read_index(timeout=5)
        assert "swordfish" not in str(caught.value)
        with pytest.raises(OutcomeUnknown):
            await remote.leave_joint(timeout=5)
        logged = [r for r in caplog.records if r.levelno >= logging.ERROR]
        assert len(logged) == 2
        assert "swordfish" in caplog.text

    @pytest.mark.parametrize("name", CALLS)
    async def test_nobody_there(self, name: str) -> None:
        """The request was not sent, so nothing was done: PeerUnreachable, and at once."""
        remote = connect(f"127.0.0.1:{free_port()}", Config())
        try:
            async with asyncio.timeout(5):
                with pytest.raises(PeerUnreachable):
                    await CALLS[name][0](remote, 60)
        finally:
            await remote.close()

    @pytest.mark.parametrize("name", CALLS)
    async def test_the_node_dies_under_the_call(
        self, one: Running, remote: RemoteNode, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whether it took effect is not known, unless there is nothing to take effect."""
        call, changes_something = CALLS[name]
        reached = asyncio.Event()

        async def never(*args: object, **kwargs: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(one.node, name, never)
        calling = asyncio.ensure_future(call(remote, 60))
        await reached.wait()
        assert one.transport._server is not None
        await one.transport._server.stop(None)
        expected = OutcomeUnknown if changes_something else PeerUnreachable
        with pytest.raises(expected):
            await calling

    async def test_a_node_that_comes_back_is_reached_by_the_next_call(
        self, machines: Machines, one: Running, remote: RemoteNode
    ) -> None:
        await remote.read_index(timeout=5)
        await one.transport.stop(grace=0)
        with pytest.raises(PeerUnreachable):
            await remote.read_index(timeout=5)
        await machines.start(1, port=one.port)
        assert await remote.read_index(timeout=5) == 77


class TestDeadlines:
    async def test_the_callers_timeout_is_the_nodes(self, one: Running, remote: RemoteNode) -> None:
        await remote.read_index(timeout=3)
        assert 2.5 < one.node.timeouts[0] < 3

    async def test_without_one_the_nodes_own_default_holds(self, one: Running) -> None:
        await _raw_call(one, "ReadIndex", b"")
        await _raw_call(one, "ChangeConfig", b"")
        await _raw_call(one, "DebugNode", b"")
        config = Config()
        assert one.node.timeouts == [
            config.proposal_timeout,
            config.conf_change_request_timeout,
            config.request_timeout,
        ]

    async def test_it_is_never_longer_than_grpcs(self, one: Running) -> None:
        request = pb.ReadIndexRequest(timeout_ms=60_000).SerializeToString()
        await _raw_call(one, "ReadIndex", request, timeout=2)
        assert one.node.timeouts[0] < 2

    async def test_a_node_that_does_not_answer_is_waited_for_no_longer(
        self, one: Running, remote: RemoteNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(**kwargs: object) -> int:
            return await asyncio.Future()

        monkeypatch.setattr(one.node, "read_index", never)
        with pytest.raises(DeadlineExceeded):
            await remote.read_index(timeout=0.1)

    async def test_an_address_that_swallows_everything(self, silent_address: str) -> None:
        """Something listens and says nothing: the connection is never made."""
        remote = connect(silent_address, Config())
        with pytest.raises(PeerUnreachable):
            await remote.read_index(timeout=0.2)
        await remote.close()


class TestWhoIsMeant:
    async def test_the_right_node_may_be_named_or_not(self, one: Running) -> None:
        for named in ({}, {"cluster_id": CLUSTER}, {"cluster_id": CLUSTER, "to_id": 1}):
            remote = connect(one.address, Config(), **named)
            assert await remote.read_index(timeout=5) == 77
            await remote.close()

    @pytest.mark.parametrize(("cluster_id", "to_id"), [("other", 0), (CLUSTER, 2)])
    async def test_another_one_refuses(self, one: Running, cluster_id: str, to_id: int) -> None:
        remote = connect(one.address, Config(), cluster_id=cluster_id, to_id=to_id)
        with pytest.raises(PeerRefused):
            await remote.read_index(timeout=5)
        with pytest.raises(PeerRefused):
            await remote.propose(b"x", timeout=5)
        await remote.close()
        assert one.node.calls == []

    async def test_a_transport_names_its_own_cluster(
        self, machines: Machines, one: Running
    ) -> None:
        stranger = await machines.start(2, cluster_id="other")
        with pytest.raises(PeerRefused, match="other"):
            await stranger.transport.connect(one.address).read_index(timeout=5)

    @pytest.mark.parametrize(
        "metadata",
        [
            (("raftify-to", "one"),),
            (("raftify-to", "1" * 50),),
            (("raftify-to", "99999999999999999999"),),
            (("raftify-protocol", "1"),),
        ],
    )
    async def test_nonsense_is_refused(
        self, one: Running, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _raw_call(one, "ReadIndex", b"", metadata)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


class TestMessagesByHand:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [(MessageType.HUP, StepLocalMessage), (MessageType.SNAPSHOT, MalformedMessage)],
    )
    async def test_what_may_not_come_alone_is_refused(
        self,
        one: Running,
        remote: RemoteNode,
        kind: MessageType,
        expected: type[RaftifyError],
    ) -> None:
        with pytest.raises(expected):
            await remote.send_message(Message(msg_type=kind, to=1, from_=2), timeout=5)
        assert one.node.calls == []

    @pytest.mark.parametrize(("to", "from_"), [(42, 2), (0, 2), (1, 0)])
    async def test_one_for_another_node_or_from_nobody_is_refused(
        self, one: Running, remote: RemoteNode, to: int, from_: int
    ) -> None:
        """Who is let in by its own word must at least have the right door."""
        with pytest.raises(PeerRefused):
            await remote.send_message(message(to, from_), timeout=5)
        assert one.node.calls == []

    async def test_a_caller_that_names_no_cluster_is_refused(self, one: Running) -> None:
        raw = codec.message_to_wire(message(1, 2)).SerializeToString()
        request = pb.SendMessageRequest(message=codec.parse(epb.Message, raw)).SerializeToString()
        with pytest.raises(grpc.aio.AioRpcError, match="names no cluster") as caught:
            await _raw_call(one, "SendMessage", request)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert one.node.calls == []

    async def test_a_connection_without_a_cluster_asks_for_it_first(self, one: Running) -> None:
        remote = connect(one.address, Config())
        await remote.send_message(message(1, 2), timeout=5)
        assert one.node.calls == [("get_peers",), ("send_message", message(1, 2))]
        await remote.close()

    async def test_a_node_of_another_cluster_refuses_it(self, one: Running) -> None:
        remote = connect(one.address, Config(), cluster_id="another")
        with pytest.raises(PeerRefused, match="another"):
            await remote.send_message(message(1, 2), timeout=5)
        assert one.node.calls == []
        await remote.close()


async def test_closing_ends_what_is_under_way(
    one: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()

    async def never(**kwargs: object) -> int:
        reached.set()
        return await asyncio.Future()

    monkeypatch.setattr(one.node, "leave_joint", never)
    remote = connect(one.address, Config())
    calling = asyncio.ensure_future(remote.leave_joint(timeout=60))
    await reached.wait()
    await remote.close()
    with pytest.raises(OutcomeUnknown):
        await calling
    with pytest.raises(PeerUnreachable):
        await remote.leave_joint(timeout=60)
    await remote.close()


async def test_cancelling_a_call_cancels_it(
    one: Running, remote: RemoteNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    async def never(**kwargs: object) -> int:
        reached.set()
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    monkeypatch.setattr(one.node, "read_index", never)
    calling = asyncio.ensure_future(remote.read_index(timeout=60))
    await reached.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await ended.wait()
