"""The client over real gRPC on loopback, against nodes without Raft."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from raftify.client import create_client
from raftify.core.types import ConfChangeSingle, ConfChangeType, Message, MessageType
from raftify.errors import (
    ConfChangeRejected,
    DeadlineExceeded,
    NoLeader,
    OutcomeUnknown,
    PeerRefused,
    PeerUnreachable,
    ProposalTooLarge,
)
from raftify.peers import Peer
from raftify.records import decode_peers
from tests.client.service_cluster import CLUSTER_ID, served_cluster

#: Seconds; long enough that only a bug reaches it.
PATIENCE = 30.0


async def test_any_member_is_a_way_in_and_many_proposals_are_under_way_at_once() -> None:
    async with served_cluster() as cluster:
        for way_in in cluster.nodes.values():
            async with create_client(way_in.address) as client:
                results = await asyncio.gather(*(client.propose(b"%d" % i) for i in range(1000)))
            assert results == [b"ok %d" % i for i in range(1000)]
        assert len(cluster.nodes[1].applied) == 3000
        assert not cluster.nodes[2].applied


async def test_the_leader_moves() -> None:
    async with served_cluster() as cluster, create_client(cluster.nodes[2].address) as client:
        await client.propose(b"1")
        cluster.leader_id = 3
        await client.propose(b"2")
        assert cluster.nodes[3].applied == [b"2"]
        await client.transfer_leader(2)
        await client.propose(b"3")
        assert cluster.nodes[2].applied == [b"3"]


async def test_a_leader_that_dies_leaves_unknown_outcomes_and_the_next_one_is_found() -> None:
    async with served_cluster() as cluster, create_client(cluster.nodes[1].address) as client:
        await client.propose(b"before")
        leader = cluster.nodes[1]
        leader.answer = lambda data: None
        leader.reached.clear()
        under_way = [asyncio.create_task(client.propose(b"%d" % i)) for i in range(256)]
        await leader.reached.wait()
        await leader.transport.stop(grace=0.0)
        cluster.leader_id = 2
        outcomes = await asyncio.gather(*under_way, return_exceptions=True)
        unknown = [o for o in outcomes if isinstance(o, OutcomeUnknown)]
        done = [o for o in outcomes if isinstance(o, bytes)]
        assert len(unknown) + len(done) == 256
        assert unknown
        # What did not reach the dead leader went to the next one, and nothing went to both.
        assert len(cluster.nodes[2].applied) == len(done)
        assert await client.propose(b"after") == b"ok after"


async def test_nobody_at_home() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        async with create_client(address, timeout=0.5) as client:
            started = time.monotonic()
            # That it ends at all is what counts; how soon is up to the machine.
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(NoLeader, match=rf"{address} \(PeerUnreachable"):
                    await client.propose(b"x")
            assert time.monotonic() - started > 0.4
            with pytest.raises(PeerUnreachable):
                await client.debug_node()


async def test_another_cluster_refuses_at_once() -> None:
    async with (
        served_cluster(1) as cluster,
        create_client(cluster.nodes[1].address, cluster_id="another", timeout=30) as client,
    ):
        with pytest.raises(PeerRefused, match=CLUSTER_ID):
            await client.propose(b"x")
        with pytest.raises(PeerRefused, match=CLUSTER_ID):
            await client.debug_node()


async def test_a_leader_that_does_not_answer_leaves_the_outcome_unknown() -> None:
    async with served_cluster() as cluster, create_client(cluster.nodes[1].address) as client:
        cluster.nodes[1].answer = lambda data: None
        with pytest.raises(DeadlineExceeded):
            await client.propose(b"x", timeout=0.3)
        cluster.nodes[1].answer = lambda data: b"fine"
        assert await client.propose(b"y") == b"fine"


async def test_errors_keep_their_class_over_the_wire() -> None:
    async with served_cluster() as cluster, create_client(cluster.nodes[3].address) as client:
        cluster.nodes[1].answer = lambda data: ProposalTooLarge("the proposal has 17 MiB")
        with pytest.raises(ProposalTooLarge, match="17 MiB"):
            await client.propose(b"x")
        cluster.nodes[1].answer = lambda data: ConfChangeRejected("no")
        with pytest.raises(ConfChangeRejected, match="no"):
            await client.propose(b"x")


async def test_every_other_call_arrives() -> None:
    async with served_cluster() as cluster, create_client(cluster.nodes[2].address) as client:
        leader = cluster.nodes[1]
        assert await client.propose(b"") == b"ok "
        assert await client.read_index() == 1
        assert await client.change_config(add={4: "127.0.0.1:4"}) == cluster.membership()
        assert leader.changes[0].changes == (ConfChangeSingle(ConfChangeType.ADD_NODE, 4),)
        assert decode_peers(leader.changes[0].context) == (Peer(4, "127.0.0.1:4"),)
        assert await client.leave_joint() == cluster.membership()
        ticket = await client.request_id("127.0.0.1:9")
        assert (ticket.reserved_id, ticket.cluster_id, ticket.leader_addr) == (
            7,
            CLUSTER_ID,
            leader.address,
        )
        assert set(ticket.peers) == {1, 2, 3}
        await client.set_peers({2: "127.0.0.1:2"})
        assert cluster.moved == [Peer(2, "127.0.0.1:2")]
        view = await client.get_peers()
        assert (view.node_id, view.leader_id, view.cluster_id) == (1, 1, CLUSTER_ID)
        assert (await client.debug_node())["node_id"] == 2
        assert await client.create_snapshot() == 102
        assert await client.read_state() == b"state of 2"
        assert await client.initialize({2: "127.0.0.1:2"}) == cluster.membership()
        assert list(cluster.nodes[2].founded.values()) == [Peer(2, "127.0.0.1:2")]
        await client.send_message(Message(MessageType.HEARTBEAT, to=2, from_=1, term=1))
        assert cluster.nodes[2].messages[0].msg_type is MessageType.HEARTBEAT
