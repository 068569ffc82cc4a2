"""What a node says of itself, and waiting for it to get somewhere."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError
from itertools import pairwise
from pathlib import Path

import pytest

from raftify import Metrics, Role, RunningState
from raftify.core.progress import ProgressState
from raftify.errors import ConfigError, DeadlineExceeded, NodeStopped
from tests.cluster.local_cluster import LocalCluster, LocalNode


async def leader_and_follower(cluster: LocalCluster) -> tuple[LocalNode, LocalNode]:
    await cluster.static(3)
    leader = await cluster.leader()
    return leader, next(n for n in cluster.nodes.values() if n is not leader)


async def test_the_metrics_of_a_leader_and_of_a_follower(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        leader, follower = await leader_and_follower(cluster)
        for number in range(5):
            await leader.raft.propose(f"e{number}".encode())
        metrics = await leader.raft.wait(10).until(
            lambda m: all(p.matched == m.last_index for p in m.peers.values()), "all to follow"
        )
        assert (metrics.node_id, metrics.cluster_id) == (leader.id, "default")
        assert metrics.running_state is RunningState.RUNNING
        assert metrics.role is Role.LEADER
        assert metrics.is_leader
        assert metrics.vote == metrics.leader_id == leader.id
        assert metrics.committed == metrics.last_index == metrics.applied
        assert set(metrics.peers) == {1, 2, 3} - {leader.id}
        for peer in metrics.peers.values():
            assert peer.state is ProgressState.REPLICATE
            assert peer.next_idx == peer.matched + 1
            assert peer.silent_for is not None
            assert peer.silent_for >= 0
        ages = sorted(p.silent_for for p in metrics.peers.values() if p.silent_for is not None)
        # The leader itself and the one that spoke last are two of three.
        assert metrics.quorum_silent_for == ages[0]
        theirs = await follower.raft.wait(10).applied_index_at_least(metrics.applied)
        assert theirs.role is Role.FOLLOWER
        assert theirs.leader_id == leader.id
        assert theirs.term == metrics.term
        assert not theirs.peers
        assert theirs.quorum_silent_for is None


async def test_metrics_never_change(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        before = node.raft.metrics()
        index = before.applied
        await node.raft.propose(b"e1")
        assert before.applied == index
        assert node.raft.metrics().applied > index
        with pytest.raises(FrozenInstanceError):
            before.applied = 7  # type: ignore[misc]
        with pytest.raises(AttributeError):
            before.peers.clear()  # type: ignore[attr-defined]


async def test_waiting_for_everything_there_is_to_wait_for(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, snapshot_keep_entries=0) as cluster:
        leader, follower = await leader_and_follower(cluster)
        wait = follower.raft.wait(10)
        waits = asyncio.gather(
            wait.applied_index_at_least(8), wait.committed_at_least(8), wait.log_at_least(8)
        )
        await asyncio.sleep(0)
        assert not waits.done()
        for number in range(10):
            await leader.raft.propose(f"e{number}".encode())
        applied, committed, log = await waits
        assert applied.applied >= 8
        assert committed.committed >= 8
        assert log.last_index >= 8
        snapshot = asyncio.create_task(follower.raft.wait(10).snapshot(8))
        purged = asyncio.create_task(follower.raft.wait(10).purged(8))
        await follower.raft.make_snapshot()
        assert (await snapshot).snapshot >= 8
        assert (await purged).purged >= 8
        assert (await follower.raft.wait(10).leader()).leader_id == leader.id
        assert (await follower.raft.wait(10).leader(leader.id)).leader_id == leader.id
        assert (await wait.members([1, 2, 3])).membership.is_member(2)
        assert (await wait.members([3, 2, 1], learners=[])).membership.is_member(2)


async def test_a_wait_has_a_deadline_and_ends_with_the_node(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        with pytest.raises(DeadlineExceeded, match="applying entry 1000 did not happen within"):
            await node.raft.wait(0.05).applied_index_at_least(1000)
        with pytest.raises(DeadlineExceeded, match=r"a membership of voters \[1, 2\] and learners"):
            await node.raft.wait(0.05).members([2, 1], learners=[3])
        with pytest.raises(ConfigError, match="above 0"):
            node.raft.wait(-1)
        waiting = asyncio.create_task(node.raft.wait(30).leader(9))
        await asyncio.sleep(0)
        await node.stop()
        with pytest.raises(NodeStopped):
            await waiting


async def test_watching_a_life(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        await node.raft.read_index()
        seen: list[Metrics] = []

        async def follow() -> None:
            async for metrics in node.raft.watch(interval=0):
                seen.append(metrics)

        watching = asyncio.create_task(follow())
        for number in range(3):
            await node.raft.propose(f"e{number}".encode())
        await node.stop()
        async with asyncio.timeout(10):
            await watching
        assert seen[0].running_state is RunningState.RUNNING
        assert seen[-1].running_state is RunningState.STOPPED
        assert seen[-1].applied == seen[0].applied + 3
        assert all(a != b for a, b in pairwise(seen))
        assert [m.applied for m in seen] == sorted(m.applied for m in seen)


async def test_a_slow_watcher_misses_what_lay_between(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        await node.raft.read_index()
        watching = node.raft.watch(interval=0)
        first = await anext(watching)
        for number in range(20):
            await node.raft.propose(f"e{number}".encode())
        second = await anext(watching)
        assert second.applied == first.applied + 20
        with pytest.raises(ConfigError, match="interval"):
            node.raft.watch(interval=-1)
