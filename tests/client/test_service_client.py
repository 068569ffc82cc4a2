"""What each call of the client takes, sends and returns."""

from __future__ import annotations

import asyncio
from typing import Self

import pytest

from raftify.client import create_client
from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Message,
)
from raftify.errors import (
    ConfigError,
    DeadlineExceeded,
    MalformedMessage,
    PeerUnreachable,
    RaftifyError,
)
from raftify.peers import Peer, Peers
from raftify.records import decode_peers
from raftify.state_machine import AbstractLogEntry
from raftify.testing.simulation import virtual_time
from tests.client.fake_cluster import FakeCluster, address_of, now


class Greeting(AbstractLogEntry):
    def __init__(self, text: str) -> None:
        self.text = text

    def encode(self) -> bytes:
        return self.text.encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls(data.decode())


@virtual_time
async def test_bytes_empty_bytes_buffers_and_entries_can_be_proposed() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        for data in (b"plain", b"", bytearray(b"array"), memoryview(b"view"), Greeting("hello")):
            await client.propose(data)  # type: ignore[arg-type]  # buffers are taken, not promised
    assert cluster.nodes[1].applied == [b"plain", b"", b"array", b"view", b"hello"]
    assert {type(data) for data in cluster.nodes[1].applied} == {bytes}


@pytest.mark.parametrize("data", ["text", 5, None, ["x"]])
def test_a_proposal_of_another_type_is_refused_in_clear_words(data: object) -> None:
    @virtual_time
    async def scenario() -> None:
        async with FakeCluster().client() as client:
            with pytest.raises(ConfigError, match=f"not {type(data).__name__}: encode it first"):
                await client.propose(data)  # type: ignore[arg-type]  # that is the point

    scenario()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True, "5"])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        create_client("10.0.0.1:1", timeout=timeout)

    @virtual_time
    async def scenario() -> None:
        async with FakeCluster().client() as client:
            with pytest.raises(ConfigError, match="timeout"):
                await client.propose(b"x", timeout=timeout)
            with pytest.raises(ConfigError, match="timeout"):
                await client.read_index(timeout=timeout)
            with pytest.raises(ConfigError, match="timeout"):
                await client.debug_node(timeout=timeout)

    scenario()


@pytest.mark.parametrize("address", ["", "host", "host:0", "http://host:1", "a b:1", "::1:5"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        create_client(address)


def test_no_address_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        create_client([])


def test_a_client_can_be_made_without_a_running_loop() -> None:
    cluster = FakeCluster()
    client = cluster.client()

    @virtual_time
    async def scenario() -> None:
        async with client as entered:
            assert entered is client
            assert await client.propose(b"x") == b"applied x"

    scenario()


@virtual_time
async def test_a_change_in_words_becomes_the_change_and_names_the_peers() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        membership = await client.change_config(
            add={4: "10.0.0.4:60061"},
            add_learners=[Peer(5, "10.0.0.5:60061", metadata=b"rack 2"), 3],
            remove=[2],
            transition=ConfChangeTransition.EXPLICIT,
        )
    assert membership == cluster.membership
    (change,) = cluster.changes
    assert change.transition is ConfChangeTransition.EXPLICIT
    assert change.changes == (
        ConfChangeSingle(ConfChangeType.ADD_NODE, 4),
        ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, 5),
        ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, 3),
        ConfChangeSingle(ConfChangeType.REMOVE_NODE, 2),
    )
    assert decode_peers(change.context) == (
        Peer(4, "10.0.0.4:60061"),
        Peer(5, "10.0.0.5:60061", metadata=b"rack 2"),
    )


@virtual_time
async def test_a_ready_made_change_goes_as_it_is_and_peers_may_be_a_mapping() -> None:
    cluster = FakeCluster()
    change = ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.REMOVE_NODE, 3),))
    async with cluster.client() as client:
        await client.change_config(change)
        await client.change_config(add=Peers({6: "10.0.0.6:1"}))
    assert cluster.changes[0] is change
    assert decode_peers(cluster.changes[1].context) == (Peer(6, "10.0.0.6:1"),)


@virtual_time
async def test_changes_that_make_no_sense_are_refused_before_anything_is_sent() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        with pytest.raises(ConfigError, match="names no node"):
            await client.change_config()
        with pytest.raises(ConfigError, match="node 2 is named twice"):
            await client.change_config(add=[2], remove=[2])
        with pytest.raises(ConfigError, match="node id"):
            await client.change_config(remove=[0])
        with pytest.raises(ConfigError, match="address"):
            await client.change_config(add={4: "nowhere"})
        with pytest.raises(ConfigError, match="either"):
            await client.change_config(ConfChangeV2(), remove=[1])
        with pytest.raises(ConfigError, match="address"):
            await client.request_id("nowhere")
        with pytest.raises(ConfigError, match="address"):
            await client.set_peers({2: "nowhere"})
    assert cluster.connections == []


@virtual_time
async def test_get_peers_prefers_the_leader_and_takes_any() -> None:
    cluster = FakeCluster()
    async with cluster.client(2) as client:
        assert (await client.get_peers()).node_id == 1
        cluster.nodes[1].up = False
        view = await client.get_peers()
        assert view.node_id == 2
        assert view.cluster_id == "test"
        assert dict(view.membership.peers) == dict(cluster.membership.peers)


@virtual_time
async def test_get_peers_needs_no_leader() -> None:
    cluster = FakeCluster()
    cluster.elect(0)
    async with cluster.client(3) as client:
        view = await client.get_peers()
    assert (view.node_id, view.leader_id) == (3, 0)
    assert now() < 0.1


@virtual_time
async def test_get_peers_says_who_did_not_answer() -> None:
    cluster = FakeCluster(2)
    cluster.nodes[1].up = cluster.nodes[2].up = False
    async with cluster.client(1, 2, timeout=1.0) as client:
        with pytest.raises(PeerUnreachable, match=rf"{address_of(1)} .*refused.*{address_of(2)}"):
            await client.get_peers()
    assert now() == pytest.approx(1.0, abs=0.01)


@virtual_time
async def test_the_other_calls_of_the_leader() -> None:
    cluster = FakeCluster()
    async with cluster.client(2) as client:
        ticket = await client.request_id("10.0.0.9:60061", "machine-9")
        assert (ticket.reserved_id, ticket.raft_addr) == (9, "10.0.0.9:60061")
        assert ticket.leader_addr == "machine-9"
        assert await client.leave_joint() == cluster.membership
        await client.set_peers({2: "10.0.1.2:60061"})
        await client.set_peers([Peer(3, "10.0.1.3:60061")])
        assert cluster.moved == [Peer(3, "10.0.1.3:60061")]
        await client.propose(b"x")
        assert await client.read_index() == 1


@virtual_time
async def test_after_a_transfer_the_new_leader_is_asked_at_once() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        assert await client.transfer_leader(3) == 3
        await client.propose(b"x")
    assert cluster.calls("propose") == [0, 0, 1]


@virtual_time
async def test_after_a_transfer_to_whom_the_leader_chose_that_one_is_asked_at_once() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        assert await client.transfer_leader() == 2
        await client.propose(b"x")
    assert cluster.calls("propose") == [0, 1, 0]


@virtual_time
async def test_calls_to_one_node_go_to_it_and_not_to_the_leader() -> None:
    cluster = FakeCluster()
    cluster.debug_text = '{"node_id": 2, "role": "Follower"}'
    async with cluster.client(2, 3) as client:
        assert await client.debug_node() == {"node_id": 2, "role": "Follower"}
        assert await client.create_snapshot() == 77
        await client.send_message(Message(to=2))
    assert cluster.nodes[2].calls == ["debug_node", "create_snapshot", "send_message"]
    assert cluster.nodes[1].calls == cluster.nodes[3].calls == []


@virtual_time
async def test_calls_to_one_node_do_not_insist() -> None:
    cluster = FakeCluster()
    cluster.nodes[2].up = False
    async with cluster.client(2) as client:
        with pytest.raises(PeerUnreachable):
            await client.debug_node()
        cluster.nodes[2].up, cluster.nodes[2].silent = True, True
        with pytest.raises(DeadlineExceeded):
            await client.create_snapshot(timeout=0.5)
    assert cluster.nodes[2].calls == ["debug_node", "create_snapshot"]


@pytest.mark.parametrize("text", ["", "nonsense", "[1, 2]"])
def test_debug_state_that_is_no_object_is_refused(text: str) -> None:
    @virtual_time
    async def scenario() -> None:
        cluster = FakeCluster()
        cluster.debug_text = text
        async with cluster.client() as client:
            with pytest.raises(MalformedMessage, match="JSON"):
                await client.debug_node()

    scenario()


@virtual_time
async def test_cancelling_a_proposal_cancels_the_waiting() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        await client.propose(b"1")
        cluster.nodes[1].silent = True
        waiting = asyncio.create_task(client.propose(b"2"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        cluster.nodes[1].silent = False
        assert await client.propose(b"3") == b"applied 3"


@virtual_time
async def test_an_exception_in_the_body_closes_the_client_and_goes_on() -> None:
    cluster = FakeCluster()

    async def body() -> None:
        async with cluster.client() as client:
            await client.propose(b"x")
            raise RaftifyError("mine")

    with pytest.raises(RaftifyError, match="mine"):
        await body()
    assert all(remote.closed for remote in cluster.remotes)
