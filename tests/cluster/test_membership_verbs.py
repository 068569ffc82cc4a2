"""Membership in the words of who runs a cluster: add_learner, change_membership, add_peers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from raftify import InitialRole, Peer, Peers, ReservedId
from raftify.errors import (
    ConfChangeRejected,
    ConfigError,
    DeadlineExceeded,
    NoLeader,
    RaftifyError,
)
from tests.cluster.local_cluster import LocalCluster, LocalNode
from tests.ports import free_address


def waiting_node(cluster: LocalCluster, node_id: int) -> LocalNode:
    """Start a node that waits for its cluster to take it."""
    return cluster.start(ReservedId(node_id), free_address())


async def test_a_learner_is_added_and_has_caught_up(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        for number in range(50):
            await founder.raft.propose(f"e{number}".encode())
        learner = waiting_node(cluster, 2)
        membership = await founder.raft.add_learner(2, learner.address, metadata=b"rack 7")
        assert membership.conf_state.learners == (2,)
        assert membership.peers[2] == Peer(2, learner.address, metadata=b"rack 7")
        metrics = founder.raft.metrics()
        assert metrics.peers[2].matched >= metrics.committed
        await learner.raft.wait(10).applied_index_at_least(metrics.committed)
        assert learner.machine.order == founder.machine.order
        assert learner.raft.get_peers()[2].metadata == b"rack 7"
        # Reads are linearizable on a learner, too.
        await founder.raft.propose(b"late")
        await learner.raft.read_index()
        assert learner.machine.counts["late"] == 1
        assert not learner.raft.is_leader()


async def test_a_learner_that_is_not_there(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        with pytest.raises(DeadlineExceeded, match="node 2, which lacked"):
            await founder.raft.add_learner(2, free_address(), timeout=0.5)
        assert founder.raft.metrics().membership.conf_state.learners == (2,)
        membership = await founder.raft.add_learner(3, free_address(), blocking=False)
        assert membership.conf_state.learners == (2, 3)
        with pytest.raises(ConfChangeRejected, match="node 9 is no member"):
            await founder.raft.wait_for_member(9)
        with pytest.raises(ConfigError, match="address"):
            await founder.raft.add_learner(4, "nowhere")


async def test_a_learner_that_lags_is_not_promoted_unless_forced(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, learner_max_lag=10) as cluster:
        founder = await cluster.found()
        await founder.raft.add_learner(2, free_address(), blocking=False)
        for number in range(20):
            await founder.raft.propose(f"e{number}".encode())
        with pytest.raises(ConfChangeRejected, match=r"learner 2 is \d+ entries behind"):
            await founder.raft.change_membership({1, 2})
        with pytest.raises(ConfChangeRejected, match="behind"):
            await founder.raft.change_config(add=[2])
        assert founder.raft.metrics().membership.conf_state.voters == (1,)
        membership = await founder.raft.change_membership({1, 2}, force=True)
        assert membership.conf_state.voters == (1, 2)
        # It stands still from here on, as asked for: the new voter is not there.
        with pytest.raises(RaftifyError):
            await founder.raft.propose(b"late", timeout=0.5)


async def test_from_any_set_to_any_set(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(3)
        others = [waiting_node(cluster, i) for i in (4, 5, 6)]
        for node in others:
            await founder.raft.add_learner(node.id, node.address)
        raft = others[0].raft
        # All of them at once, asked of a learner; the leader is among those that go.
        membership = await raft.change_membership({4, 5, 6})
        assert membership.conf_state.voters == (4, 5, 6)
        assert membership.conf_state.learners == ()
        assert not membership.conf_state.voters_outgoing
        await raft.wait(20).leader()
        assert await raft.propose(b"after") == b"after:1"
        assert await raft.change_membership([6, 5, 4]) == raft.metrics().membership
        membership = await raft.change_membership({4}, retain=True)
        assert membership.conf_state.voters == (4,)
        assert set(membership.conf_state.learners) == {5, 6}
        membership = await raft.change_membership({5, 6}, retain=True)
        assert (membership.conf_state.voters, membership.conf_state.learners) == ((5, 6), (4,))
        await raft.read_index()
        for node in others:
            assert node.machine.counts["after"] == 1


async def test_members_that_are_known_beforehand(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        two, three, four = (waiting_node(cluster, i) for i in (2, 3, 4))
        await founder.raft.add_peer(2, two.address)
        membership = await founder.raft.add_peers(
            Peers([Peer(3, three.address), Peer(4, four.address, initial_role=InitialRole.LEARNER)])
        )
        assert membership.conf_state.voters == (1, 2, 3)
        assert membership.conf_state.learners == (4,)
        index = founder.raft.metrics().committed
        await asyncio.gather(
            *(n.raft.wait(10).applied_index_at_least(index) for n in (two, three, four))
        )
        await three.raft.wait(10).members({1, 2, 3}, learners={4})


@pytest.mark.parametrize(
    ("voters", "message"),
    [
        ((), "at least one voter"),
        ({0}, "node id"),
        ([1, 1], "twice"),
        ([1, 2, 2], "twice"),
        ("12", "voters are node ids"),
        (7, "voters are node ids"),
        ({2: "nowhere"}, "address"),
        ({"1"}, "node id"),
    ],
)
async def test_voters_that_make_no_sense(tmp_path: Path, voters: object, message: str) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        with pytest.raises(ConfigError, match=message):
            await founder.raft.change_membership(voters)  # type: ignore[arg-type]
        with pytest.raises(ConfChangeRejected, match="no address is given for node 2"):
            await founder.raft.change_membership({1, 2})


async def test_without_a_leader_nothing_changes(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        alone = waiting_node(cluster, 7)
        with pytest.raises(NoLeader):
            await alone.raft.change_membership({7}, timeout=0.2)
