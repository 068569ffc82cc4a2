"""Many proposals with one wait, and proposals that nobody waits for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from raftify.errors import ConfigError, NodeStopped, NoLeader, ProposalTooLarge
from tests.cluster.local_cluster import LocalCluster, LocalNode


async def leader_and_follower(cluster: LocalCluster) -> tuple[LocalNode, LocalNode]:
    await cluster.static(3)
    leader = await cluster.leader()
    return leader, next(n for n in cluster.nodes.values() if n is not leader)


@pytest.mark.parametrize("on_leader", [True, False])
async def test_each_has_its_own_result_in_order(tmp_path: Path, on_leader: bool) -> None:
    async with LocalCluster(tmp_path, max_proposal_bytes=1000) as cluster:
        leader, follower = await leader_and_follower(cluster)
        node = leader if on_leader else follower
        data = [f"e{n}".encode() for n in range(200)]
        data[100] = b"x" * 1001
        results = await node.raft.propose_many(data)
        error = results[100]
        assert isinstance(error, ProposalTooLarge)
        expected = [f"e{n}:1".encode() for n in range(200)]
        assert [*results[:100], *results[101:]] == [*expected[:100], *expected[101:]]
        assert leader.machine.order[-199:] == [r.decode()[:-2] for r in expected if r != b"e100:1"]


async def test_none_is_proposed_if_one_is_no_bytes(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        with pytest.raises(ConfigError, match="not str"):
            await node.raft.propose_many([b"e1", "e2"])  # type: ignore[list-item]
        assert await node.raft.propose_many([]) == []
        assert await node.raft.propose(b"e1") == b"e1:1"


async def test_without_a_leader_each_says_so(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        _, follower = await leader_and_follower(cluster)
        for node in list(cluster.nodes.values()):
            if node is not follower:
                await node.stop()
                cluster.nodes.pop(node.id)
        await follower.raft.wait(20).until(lambda m: not m.leader_id, "the leader to be missed")
        results = await follower.raft.propose_many([b"e1", b"e2"], timeout=0.2)
        assert [type(result) for result in results] == [NoLeader, NoLeader]


async def test_a_proposal_that_nobody_waits_for(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        forgotten = node.raft.propose_nowait(b"e1")
        index = (await node.raft.wait(10).until(lambda _: node.machine.counts["e1"] == 1)).applied
        assert index > 0
        assert await forgotten == b"e1:1"
        with pytest.raises(ConfigError):
            node.raft.propose_nowait(7)  # type: ignore[arg-type]


async def test_what_is_forgotten_ends_with_the_node(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        leader, follower = await leader_and_follower(cluster)
        # Without a handover: nobody leads who could take it.
        await leader.raft.quit(handover=False)
        await leader.task
        forgotten = follower.raft.propose_nowait(b"e1")
        await asyncio.sleep(0)
        for node in cluster.nodes.values():
            if node is not leader:
                await node.stop()
        with pytest.raises((NodeStopped, asyncio.CancelledError)):
            await forgotten
