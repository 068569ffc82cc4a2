"""Raft.initialize: nodes that wait become a cluster by one call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from raftify import InitialRole, Peer, Peers, Raft, ReservedId
from raftify.errors import ConfChangeRejected, ConfigError, JoinRejected, NoLeader
from raftify.node.founding import static_origin
from tests.cluster.local_cluster import LocalCluster, LocalNode
from tests.ports import free_address


def waiting(cluster: LocalCluster, *ids: int) -> tuple[list[LocalNode], dict[int, str]]:
    """Start nodes that wait for a cluster; return them and their addresses."""
    nodes = [cluster.start(ReservedId(i), free_address()) for i in ids]
    return nodes, {node.id: node.address for node in nodes}


async def test_one_call_founds_the_cluster(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        nodes, members = waiting(cluster, 1, 2, 3)
        with pytest.raises(NoLeader):
            await nodes[0].raft.propose(b"early", timeout=0.2)
        membership = await nodes[1].raft.initialize(members)
        assert membership.conf_state.voters == (1, 2, 3)
        # Durable, not only known.
        assert nodes[1].raft.storage().membership() == membership
        await cluster.leader()
        assert await nodes[2].raft.propose(b"a") == b"a:1"
        await cluster.settle()
        for node in nodes:
            assert node.machine.order == ["a"]
            assert node.raft.metrics().membership == membership


async def test_it_is_safe_to_repeat(tmp_path: Path) -> None:
    """On the same node, on another, and after the cluster has changed."""
    async with LocalCluster(tmp_path) as cluster:
        nodes, members = waiting(cluster, 1, 2, 3)
        await asyncio.gather(*(n.raft.initialize(members) for n in (*nodes, *nodes)))
        await cluster.leader()
        await nodes[0].raft.propose(b"a")
        late, _ = waiting(cluster, 4)
        await nodes[0].raft.add_learner(4, late[0].address)
        changed = await nodes[0].raft.change_membership({1, 2, 4})
        for node in nodes[:2]:
            await node.raft.wait(20).members({1, 2, 4})
        assert await nodes[0].raft.initialize(members) == changed
        assert await nodes[1].raft.initialize(dict(reversed(members.items()))) == changed
        assert nodes[1].machine.order == ["a"]


async def test_a_cluster_of_one(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        (node,), members = waiting(cluster, 7)
        await node.raft.initialize(members)
        assert await node.raft.propose(b"a") == b"a:1"
        await cluster.stop(node)
        again = cluster.start(7, node.address, node.log_dir)
        assert await again.raft.propose(b"a") == b"a:2"


async def test_roles_and_metadata_are_those_given(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        nodes, members = waiting(cluster, 1, 2)
        peers = Peers(
            [
                Peer(1, members[1], metadata=b"rack 1"),
                Peer(2, members[2], initial_role=InitialRole.LEARNER),
            ]
        )
        with pytest.raises(ConfigError, match="node 2 is to be a learner"):
            await nodes[1].raft.initialize(peers)
        await nodes[0].raft.initialize(peers)
        await nodes[1].raft.wait(20).members({1}, learners={2})
        assert nodes[1].raft.get_peers()[1].metadata == b"rack 1"


async def test_it_survives_a_crash_before_anybody_else_has_heard(tmp_path: Path) -> None:
    """The founder has it on its disk, so it founds the same cluster when it comes back."""
    async with LocalCluster(tmp_path) as cluster:
        (founder,), members = waiting(cluster, 1)
        members |= {2: free_address(), 3: free_address()}
        membership = await founder.raft.initialize(members)
        await cluster.stop(founder)
        founder = cluster.restart(founder)
        assert founder.raft.metrics().membership == membership
        others = [cluster.start(ReservedId(i), members[i]) for i in (2, 3)]
        await others[0].raft.wait(20).members({1, 2, 3})
        assert await others[1].raft.propose(b"a") == b"a:1"


async def test_who_has_a_cluster_is_not_initialized_again(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        with pytest.raises(ConfChangeRejected, match=r"a member of \[1\] already"):
            await founder.raft.initialize({1: founder.address, 2: free_address()})
        # Just what it is: nothing to do.
        membership = await founder.raft.initialize({1: founder.address})
        assert membership.conf_state.voters == (1,)


async def test_who_asked_to_join_founds_nothing(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        address = free_address()
        ticket = await Raft.request_id(address, founder.address)
        await cluster.stop(founder)
        joiner = cluster.start(ticket.reserved_id, address)
        joining = asyncio.create_task(joiner.raft.join_cluster([ticket], timeout=30))
        await joiner.raft.wait(10).until(lambda _: joiner.raft._node.state.origin != "")
        with pytest.raises(JoinRejected, match="by a ticket"):
            await joiner.raft.initialize({joiner.id: address})
        cluster.restart(founder)
        await joining


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "nobody is named"),
        ({2: "127.0.0.1:9"}, "not this node, 1"),
        ({1: "127.0.0.1:9"}, "would not find it"),
        ({1: "nowhere"}, "address"),
        ({1: 7}, "address"),
        ({"1": "127.0.0.1:9"}, "node id"),
        ([1, 2], "members are"),
        (None, "members are"),
        ({1: Peer(2, "127.0.0.1:9")}, "under the id of another"),
        ({1: Peer(1, "127.0.0.1:9", initial_role=InitialRole.LEARNER)}, "learners only"),
    ],
)
async def test_members_that_make_no_cluster(tmp_path: Path, members: object, message: str) -> None:
    async with LocalCluster(tmp_path) as cluster:
        (node,), _ = waiting(cluster, 1)
        with pytest.raises(ConfigError, match=message):
            await node.raft.initialize(members)  # type: ignore[arg-type]
        assert node.raft.storage().last_index() == 0


def test_what_founders_are_told_names_the_cluster() -> None:
    one = Peers({1: "127.0.0.1:1", 2: "127.0.0.1:2"})
    two = Peers([one[1], Peer(2, "127.0.0.1:2", metadata=b"x")])
    assert static_origin("c", one) != static_origin("c", two)
    assert static_origin("c", one) != static_origin("d", one)
