"""Callers that are no members: what they must know, and how many of them are remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc
import pytest

from raftify.core.types import Message, MessageType
from raftify.errors import ConfigError, IncarnationMismatch, JoinRejected, PeerRefused
from raftify.node.local_state import LocalState
from raftify.node.whereabouts import Whereabouts
from raftify.peers import MOST_WAITING, Address, Membership, Peer
from raftify.raft import Raft
from raftify.storage.base import StoreIdentity
from raftify.transport.interface import Handshake, PeerService, RemoteNode, Transport
from raftify.transport.status import outcome_of, typed_error_in
from raftify.wire import codec
from tests.cluster.local_cluster import LocalCluster, LocalNode
from tests.port.noise import field
from tests.port.target import SERVICE, Target
from tests.ports import free_address


class RememberingTransport(Transport):
    """Remembers whom it was told of."""

    def __init__(self) -> None:
        self.peers: Mapping[int, Peer] = {}

    async def start(self, handshake: Handshake, service: PeerService) -> None: ...

    def update_peers(self, peers: Mapping[int, Peer]) -> None:
        self.peers = dict(peers)

    def send(self, messages: Sequence[Message]) -> None: ...

    def connect(self, address: str, *, to_id: int = 0) -> RemoteNode:
        raise NotImplementedError

    async def stop(self, *, grace: float) -> None: ...


async def refusal(node: LocalNode, from_id: int, incarnation: str, origin: str | None) -> object:
    on = await Target.look_up(node.address)
    async with on.channel() as channel:
        metadata = on.handshake(from_id, incarnation, origin=origin)
        call = on.stream(channel, "Messages", metadata)
        await call.done_writing()
        error = await outcome_of(call)
    return None if error is None else typed_error_in(error)


async def test_a_stranger_says_which_cluster_it_means(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        error = await refusal(node, 77, "store", "")
        assert isinstance(error, PeerRefused)
        assert "does not know its origin" in str(error)
        assert isinstance(await refusal(node, 77, "store", "another"), PeerRefused)
        assert await refusal(node, 77, "store", None) is None


async def test_a_member_need_not_say_it(tmp_path: Path) -> None:
    """One that joined has no membership yet when it first answers its leader."""
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        second = await cluster.join(node)
        known = second.raft._node.state.identity.incarnation
        assert await refusal(node, second.id, known, "") is None
        assert isinstance(await refusal(node, second.id, "wiped", ""), IncarnationMismatch)


async def test_a_ticket_tells_the_joiner_which_cluster_is_meant(tmp_path: Path) -> None:
    """Before, it took the first caller that had the right name for its cluster."""
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        address = free_address()
        ticket = await Raft.request_id(address, founder.address)
        assert ticket.origin == founder.raft._node.state.membership.origin != ""
        joiner = cluster.start(ticket.reserved_id, address)
        joining = asyncio.create_task(joiner.raft.join_cluster([ticket]))
        state = joiner.raft._node.state
        await state.wait_until(lambda: bool(state.origin), timeout=20, what="the ticket's origin")
        assert state.origin == ticket.origin
        error = await refusal(joiner, 1, "store-of-another-cluster", "another")
        assert isinstance(error, PeerRefused)
        assert "another cluster of the same name" in str(error)
        await joining


async def send(node: LocalNode, from_id: int, said: str | None) -> object:
    """Send an answer of member `from_id` by the call for tools; return how it was refused."""
    on = await Target.look_up(node.address)
    message = Message(
        MessageType.HEARTBEAT_RESPONSE, to=node.id, from_=from_id, term=node.raft._node.state.term
    )
    request = field(1, codec.message_to_wire(message).SerializeToString())
    metadata = on.names_itself() if said is None else on.handshake(from_id, said)
    async with on.channel() as channel:
        make: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        make = channel.unary_unary(SERVICE + "SendMessage")
        call = make(request, metadata=metadata)
        error = await outcome_of(call)
    return None if error is None else typed_error_in(error)


async def test_a_wiped_member_cannot_speak_by_send_message_either(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        await cluster.grow_to(2)
        leader = await cluster.leader()
        other = next(n for n in cluster.nodes.values() if n is not leader)
        known = other.raft._node.state.identity.incarnation
        assert isinstance(await send(leader, other.id, "wiped"), IncarnationMismatch)
        assert await send(leader, other.id, known) is None
        assert await send(leader, other.id, None) is None


class TestWhatAnybodyCanMakeAClusterKeep:
    def test_joiners_that_never_came_are_forgotten(self) -> None:
        membership = Membership.of({1: Peer(1, "a:1")}, index=1)
        for number in range(MOST_WAITING + 50):
            membership = membership.reserve(f"joiner-{number}", index=number + 2)
        assert len(membership.reservations) == MOST_WAITING
        assert f"joiner-{MOST_WAITING + 49}" in membership.reservations
        assert "joiner-0" not in membership.reservations
        assert membership.max_id == 1 + MOST_WAITING + 50, "ids are never handed out twice"

    def test_those_that_came_are_not(self) -> None:
        membership = Membership.of({1: Peer(1, "a:1")}, index=1).reserve("second", index=2)
        conf = Membership.of({1: Peer(1, "a:1"), 2: Peer(2, "b:1")}, index=3).conf_state
        membership = membership.with_configuration(conf, [Peer(2, "b:1")], index=3)
        for number in range(MOST_WAITING + 50):
            membership = membership.reserve(f"joiner-{number}", index=number + 4)
        assert membership.reservations["second"] == 2
        assert len(membership.reservations) == MOST_WAITING + 1

    async def test_the_name_of_a_joiner_has_an_end(self, tmp_path: Path) -> None:
        async with LocalCluster(tmp_path) as cluster:
            node = await cluster.found()
            with pytest.raises(JoinRejected, match="600 characters"):
                await Raft.request_id(free_address(), node.address, identity="x" * 600)

    def test_an_address_has_an_end(self) -> None:
        with pytest.raises(ConfigError, match="1001 characters"):
            Address.parse("h" * 999 + ":1")

    async def test_callers_are_called_back_but_not_all_of_them(self) -> None:
        state = LocalState(StoreIdentity("c", 1, "store"), "a:1", Membership())
        transport = RememberingTransport()
        whereabouts = Whereabouts(state, transport, None)
        for number in range(300):
            whereabouts.heard(100 + number, f"host:{1 + number}")
        assert set(transport.peers) == set(range(384, 400))


async def test_what_is_no_ticket_is_an_argument_that_is_wrong(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        for wrong in (None, 5, "ticket", [None]):
            with pytest.raises(ConfigError, match="tickets"):
                await node.raft.join_cluster(wrong)  # type: ignore[arg-type]  # that is the test
