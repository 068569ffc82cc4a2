"""Members that leave: nobody is stranded by them, and nothing is lost.

Numbers like b37 are those of docs/failures.md. All of it runs under virtual time.
"""

from __future__ import annotations

import asyncio

import pytest

from raftify.core.types import ConfChangeType
from raftify.errors import (
    ConfChangeRejected,
    DeadlineExceeded,
    JoinRejected,
    NodeRemoved,
    NoLeader,
)
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.failures.simulation import follower, membership, one, simulated

ADD, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE


def nobody_takes_over(leader: SimulatedNode) -> None:
    """Let its attempt to hand its office over come to nothing."""

    async def fail(*, timeout: float, among: set[int]) -> None:
        """As if the other had been slow to take it."""

    leader.runtime.api.succession.hand_over_once = fail  # type: ignore[method-assign]


@simulated(2)
async def test_a_follower_left_by_its_leader_is_not_stranded(cluster: SimulatedCluster) -> None:
    """b33: of two, the leader removes itself, and its word of the commit is lost. Who asked for it
    is answered once the other knows.
    """
    leader, other = await cluster.leader(), await follower(cluster)
    nobody_takes_over(leader)
    index = other.runtime.storage.last_index() + 1
    change = asyncio.create_task(leader.raft.change_config(one(REMOVE, leader.id)))
    await cluster.until(lambda: other.runtime.storage.last_index() >= index, 10)
    # The acknowledgement still gets out; the word that this committed the change does not get in.
    cluster.network.cut(leader.name, other.name)
    await cluster.until(lambda: not membership(leader).is_member(leader.id), 10)
    await asyncio.sleep(2)
    assert membership(other).is_member(leader.id)
    assert not change.done()
    cluster.network.heal()
    assert (await change).conf_state.voters == (other.id,)
    assert membership(other).conf_state.voters == (other.id,)
    assert await other.raft.propose(b"x", timeout=30) == b"x:1"
    assert other.raft.get_cluster_size() == 1
    with pytest.raises(NodeRemoved):
        await leader.outcome()


async def half_left(
    cluster: SimulatedCluster,
) -> tuple[SimulatedNode, SimulatedNode, asyncio.Task[None]]:
    """Have the leader of two leave, and commit that; the other has the entry, does not know that it
    is committed, and crashes. Return the leader, the other, and what leaves."""
    leader, other = await cluster.leader(), await follower(cluster)
    nobody_takes_over(leader)
    index = other.runtime.storage.last_index() + 1
    leaving = asyncio.create_task(leader.raft.leave(timeout=20))
    await cluster.until(lambda: other.runtime.storage.last_index() >= index, 10)
    cluster.network.cut(leader.name, other.name)
    await cluster.until(lambda: not membership(leader).is_member(leader.id), 10)
    other.crash()
    return leader, other, leaving


@simulated(2)
async def test_a_leader_that_leaves_stays_until_the_other_knows(cluster: SimulatedCluster) -> None:
    """Of two, the leader commits its own removal, and was gone at once: the other lost what it had
    heard of that in a crash, and needed the vote of the one that had left for ever.
    """
    leader, other, leaving = await half_left(cluster)
    other.start()
    cluster.network.heal()
    await leaving
    assert await other.raft.propose(b"x", timeout=30) == b"x:1"
    assert other.raft.get_cluster_size() == 1
    await leader.outcome()  # without an error


@simulated(2)
async def test_who_leaves_and_is_not_told_goes_on_until_it_is(cluster: SimulatedCluster) -> None:
    leader, other, leaving = await half_left(cluster)
    with pytest.raises(DeadlineExceeded, match="may still need its vote: let it run"):
        await leaving
    assert leader.running
    other.start()
    cluster.network.heal()
    await leader.outcome()  # without an error
    assert await other.raft.propose(b"x", timeout=30) == b"x:1"


@simulated(2)
async def test_a_leader_asked_to_remove_itself_lets_the_other_lead_first(
    cluster: SimulatedCluster,
) -> None:
    leader, other = await cluster.leader(), await follower(cluster)
    left = await leader.raft.change_config(remove=[leader.id])
    assert left.conf_state.voters == (other.id,)
    assert other.raft.is_leader()
    assert other.runtime.state.durable_membership.index == left.index
    with pytest.raises(NodeRemoved):
        await leader.outcome()


@pytest.mark.parametrize("leads", [True, False])
@simulated()
async def test_leaving_under_load_loses_nothing(cluster: SimulatedCluster, leads: bool) -> None:
    stays = await follower(cluster)
    leaver = await cluster.leader() if leads else stays
    if not leads:
        stays = await cluster.leader()
    results = [asyncio.create_task(stays.raft.propose(f"k{i}".encode())) for i in range(200)]
    await leaver.raft.leave()
    await leaver.outcome()
    assert [await r for r in results] == [f"k{i}:1".encode() for i in range(200)]
    assert (await cluster.leader()).raft.get_cluster_size() == 2


@simulated(5)
async def test_several_leave_at_once_until_one_is_left(cluster: SimulatedCluster) -> None:
    nodes = cluster.running()
    outcomes = await asyncio.gather(
        *(node.raft.leave(timeout=60) for node in nodes), return_exceptions=True
    )
    left = [n for n, outcome in zip(nodes, outcomes, strict=True) if outcome is None]
    assert len(left) == 4
    assert [type(o) for o in outcomes if o is not None] == [ConfChangeRejected]
    (last,) = [node for node in nodes if node not in left]
    for node in left:
        await node.outcome()
    assert await last.raft.propose(b"x") == b"x:1"
    assert last.raft.get_cluster_size() == 1


@simulated()
async def test_who_has_left_does_not_come_back_under_its_old_id(cluster: SimulatedCluster) -> None:
    """b17: the id is used up, and a new start is refused by whoever knows."""
    leaver = await follower(cluster)
    await leaver.leave()
    leaver.start()
    with pytest.raises(NodeRemoved):
        await leaver.outcome()
    leader = await cluster.leader()
    with pytest.raises(JoinRejected, match="never used again"):
        await leader.raft.change_config(one(ADD, leaver.id), {leaver.id: leaver.address})
    assert (await cluster.ticket(leaver, leader)).reserved_id == 4


@simulated()
async def test_without_a_quorum_leaving_ends_with_an_error_and_the_node_goes_on(
    cluster: SimulatedCluster,
) -> None:
    leaver = await follower(cluster)
    for node in cluster.running():
        if node is not leaver:
            node.crash()
    with pytest.raises(NoLeader):
        await leaver.raft.leave(timeout=5)
    assert leaver.running
    for node in cluster.nodes.values():
        if node is not leaver:
            node.start()
    assert await leaver.raft.propose(b"x", timeout=30) == b"x:1"
