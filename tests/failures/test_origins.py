"""Two clusters of the same name, and a stranger at a member's address: neither mixes nor stops.

A node's address may be given to another cluster's node while it is down. Every cluster that is
left at the default `cluster_id` has the same name, and ids begin at 1 in all of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from raftify.errors import (
    IncarnationMismatch,
    InvariantViolation,
    NodeRemoved,
    PeerRefused,
    RaftifyError,
)
from raftify.node.founding import static_origin
from raftify.node.peer_endpoint import PeerEndpoint
from raftify.peers import InitialRole, Membership, Peer, Peers
from raftify.records import decode_membership, encode_membership
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from raftify.transport.handshake import caller_metadata, check_caller, peer_metadata, read_handshake
from raftify.transport.interface import Handshake
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.machines import Tally
from tests.failures.simulation import simulated, stop_all, tally, until
from tests.ports import free_address

SAME_NAME = "another cluster of the same name"


def origin(node: SimulatedNode) -> str:
    return node.runtime.state.membership.origin


def beside(cluster: SimulatedCluster) -> SimulatedCluster:
    """Return another cluster on the same network, which has no nodes yet."""
    return SimulatedCluster(cluster.loop, 2, Tally, beside=cluster)


def service_of(node: SimulatedNode) -> PeerEndpoint:
    """Return what `node` offers to its peers."""
    port = node.cluster.network.port(node.address)
    assert port is not None
    service = port.service.service
    assert isinstance(service, PeerEndpoint)
    return service


@simulated()
async def test_a_new_node_of_another_cluster_takes_no_log_and_counts_in_no_quorum(
    a: SimulatedCluster,
) -> None:
    b = beside(a)
    down = next(node for node in a.running() if not node.raft.is_leader())
    await down.stop()
    third = next(node for node in a.running() if not node.raft.is_leader())
    # A new leader, who has never met the one that is down, would take any store for its.
    await (await a.leader()).raft.transfer_leader(third.id)
    leader = await a.leader()
    other = next(node for node in a.running() if node is not leader)
    for i in range(5):
        await leader.raft.propose(b"A%d" % i)
    b.nodes = {i: b.new_machine(i) for i in (1, 2, 3)}
    stranger = b.nodes[down.id]
    stranger.address = down.address
    b.config = replace(b.config, initial_peers=Peers({i: n.address for i, n in b.nodes.items()}))
    stranger.start()
    await asyncio.sleep(10)
    assert stranger.running
    assert stranger.runtime.storage.last_index() == 1
    assert tally(stranger).order == []
    assert stranger.raft.get_leader_id() == 0
    other.crash()
    with pytest.raises(RaftifyError):
        await leader.raft.propose(b"A late", timeout=5)
    assert "A late" not in tally(leader).order
    for node in b.nodes.values():
        if node is not stranger:
            node.start()
    assert await (await b.leader()).raft.propose(b"B") == b"B:1"
    other.start()
    await a.leader()
    assert len(a.running()) == 2
    assert len(b.running()) == 3
    await stop_all(b)


@simulated()
async def test_an_old_node_of_another_cluster_stops_nobody_and_is_not_stopped(
    a: SimulatedCluster,
) -> None:
    b = beside(a)
    await b.start(3)
    place = a.nodes[3].address
    await a.nodes[3].stop()
    await b.nodes[3].stop()
    b.nodes[3].start(address=place)
    await asyncio.sleep(20)
    assert [node.id for node in a.running()] == [1, 2]
    assert [node.id for node in b.running()] == [1, 2, 3]
    assert await (await a.leader()).raft.propose(b"A") == b"A:1"
    assert await (await b.leader()).raft.propose(b"B") == b"B:1"
    await stop_all(b)


@simulated(1, snapshot_entries=5, snapshot_keep_entries=0)
async def test_every_member_has_the_origin_of_the_founder(cluster: SimulatedCluster) -> None:
    """A joiner gets it with the snapshot; a change of the membership keeps it, as restarts do."""
    founded = origin(cluster.nodes[1])
    assert founded
    joiners = [await cluster.join(cluster.nodes[1]) for _ in range(2)]
    for i in range(10):
        await cluster.nodes[1].raft.propose(b"%d" % i)
    await cluster.converge()
    for node in joiners:
        node.crash()
        node.start()
    await cluster.converge()
    assert {origin(node) for node in cluster.running()} == {founded}


@simulated(0)
async def test_a_founder_is_known_by_its_store(cluster: SimulatedCluster) -> None:
    node = cluster.nodes[1] = cluster.new_machine(1)
    node.start()
    await cluster.leader()
    identity = node.runtime.storage.identity()
    assert identity is not None
    assert origin(node) == identity.incarnation


@simulated()
async def test_only_origins_that_are_known_are_compared(cluster: SimulatedCluster) -> None:
    """A joiner does not know it yet, and stores of earlier versions have none."""
    service = service_of(cluster.nodes[1])
    identity = cluster.nodes[2].runtime.storage.identity()
    assert identity is not None
    hello = (identity.cluster_id, 2, identity.incarnation, 1)
    service.greet(Handshake(*hello, origin=origin(cluster.nodes[2])))
    service.greet(Handshake(*hello))
    with pytest.raises(PeerRefused, match=SAME_NAME):
        service.greet(Handshake(*hello, origin="theirs"))


@simulated(5)
async def test_it_takes_more_than_half_of_the_others_to_end_a_node(
    cluster: SimulatedCluster,
) -> None:
    node = cluster.nodes[1]
    service = service_of(node)
    gone = NodeRemoved("node 1 was removed"), IncarnationMismatch("another store")
    for peer_id in (2, 2, 3, 9):
        service.report_refused(peer_id, gone[0])
    service.report_refused(4, PeerRefused("not this cluster"))
    await asyncio.sleep(5)
    assert node.running
    service.report_refused(4, gone[1])
    with pytest.raises(IncarnationMismatch):
        await node.outcome()


@simulated(5)
async def test_others_are_asked_again_each_time_that_one_refuses(cluster: SimulatedCluster) -> None:
    """Two voters refused a removed node, two learners had not heard of it yet and were never asked
    again: it campaigned for ever (storm 45)."""
    node = cluster.nodes[1]
    service = service_of(node)
    asked: list[int] = []
    service._ask_others = lambda: asked.append(1)
    for _ in range(3):
        service.report_refused(2, NodeRemoved("node 1 was removed"))
    assert len(asked) == 3


@simulated(2)
async def test_of_two_nodes_the_other_one_is_enough(cluster: SimulatedCluster) -> None:
    node = cluster.nodes[1]
    service = service_of(node)
    service.report_refused(2, IncarnationMismatch("another store"))
    with pytest.raises(IncarnationMismatch):
        await node.outcome()


@pytest.mark.parametrize("through", ["leader", "follower"])
@simulated(invariants=False)  # a wiped disk has forgotten its term
async def test_a_wiped_member_ends(cluster: SimulatedCluster, through: str) -> None:
    """Both others say so, whoever of them leads."""
    victim = next(n for n in cluster.running() if n.raft.is_leader() is (through == "leader"))
    victim.crash()
    await cluster.leader()
    victim.storage.wipe()
    peers = Peers({node.id: node.address for node in cluster.nodes.values()})
    victim.config = replace(cluster.config, initial_peers=peers)
    victim.start()
    # Told of a commit that it does not have, it says so itself.
    with pytest.raises((IncarnationMismatch, InvariantViolation), match="wiped"):
        await asyncio.wait_for(victim.outcome(), 120)


def test_the_origin_of_a_static_cluster_is_that_of_what_its_nodes_are_told() -> None:
    peers = Peers({1: "a:1", 2: "b:1"})
    assert static_origin("x", peers) == static_origin("x", Peers({2: "b:1", 1: "a:1"}))
    learner = Peers([Peer(1, "a:1"), Peer(2, "b:1", initial_role=InitialRole.LEARNER)])
    told = [("x", peers), ("y", peers), ("x", Peers({1: "a:1", 2: "c:1"})), ("x", learner)]
    origins = {static_origin(*one) for one in told}
    assert len(origins) == len(told)
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in origins)


def test_every_change_of_a_membership_keeps_its_origin() -> None:
    first = Membership.of({1: Peer(1, "a:1")}, index=1, origin="o")
    changed = (
        first.reserve("j", index=2),
        first.with_configuration(first.conf_state, [Peer(1, "b:1")], index=2),
        first.with_addresses([Peer(1, "b:1")], index=2),
    )
    assert [one.origin for one in changed] == ["o"] * 3
    assert decode_membership(encode_membership(first)) == first


def test_the_handshake_carries_the_origin() -> None:
    hello = Handshake("c", 1, "store", 2, "a:1", origin="o")
    assert read_handshake(peer_metadata(hello)) == hello
    own = Handshake("c", 2, "other", 0)
    check_caller(caller_metadata("c", 2, "o"), own, origin="o")
    check_caller(caller_metadata("c", 2, "o"), own, origin="")
    check_caller(caller_metadata("c", 2), own, origin="o")
    with pytest.raises(PeerRefused, match=SAME_NAME):
        check_caller(caller_metadata("c", 2, "theirs"), own, origin="o")


async def test_a_node_of_another_cluster_over_grpc(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Node 2 of another cluster starts where our node 2 was, and both clusters live on."""
    place = free_address()
    ours = Peers({1: free_address(), 2: place, 3: free_address()})
    theirs = Peers({1: free_address(), 2: place})
    async with LocalCluster(tmp_path) as cluster:
        nodes = [
            cluster.start(i, ours[i].address, tmp_path / f"ours-{i}", initial_peers=ours)
            for i in (1, 3)
        ]
        leader = await cluster.leader(nodes)
        assert await leader.raft.propose(b"ours") == b"ours:1"
        stranger = cluster.start(2, place, tmp_path / "theirs-2", initial_peers=theirs)
        await until(lambda: SAME_NAME in caplog.text, 20)
        assert await leader.raft.propose(b"more") == b"more:1"
        assert stranger.machine.order == []
        assert not any(node.task.done() for node in (*nodes, stranger))
