"""A leader that is stopped on purpose lets another lead first: nobody waits for an election.

All of it runs under virtual time. Elections take 1 to 2 s here; what is handed over takes round
trips of milliseconds.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from raftify.errors import ConfigError, NodeStopped, TransferRejected
from raftify.raft import Raft
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.failures.simulation import membership, simulated

#: Far above what messages take here, far below an election timeout.
SOON = 0.5


def others(cluster: SimulatedCluster, leader: SimulatedNode) -> list[SimulatedNode]:
    return [node for node in cluster.running() if node is not leader]


async def next_leader(cluster: SimulatedCluster, left: list[SimulatedNode], old: int) -> int:
    """Return whom all of `left` follow, once that is somebody else than `old`."""

    def agreed() -> bool:
        known = {node.runtime.state.leader_id for node in left}
        return len(known) == 1 and not known & {0, old}

    await cluster.until(agreed)
    return left[0].runtime.state.leader_id


@simulated()
async def test_a_rolling_restart_waits_for_no_election(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    for node in cluster.running():
        leads = node.raft.is_leader()
        left = others(cluster, node)
        began = cluster.now
        await node.stop()
        if leads:
            await next_leader(cluster, left, node.id)
        # The first proposal from elsewhere, without an election in between.
        await left[0].raft.propose(b"meanwhile")
        assert cluster.now - began < SOON
        node.start()
        await cluster.settle()


@simulated()
async def test_who_does_not_hand_over_is_waited_for(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    left = others(cluster, leader)
    began = cluster.now
    await leader.stop(handover=False)
    assert cluster.now - began < SOON
    await next_leader(cluster, left, leader.id)
    assert cluster.now - began > SOON


@simulated()
async def test_the_voter_with_most_of_the_log_takes_over(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    behind, level = sorted(others(cluster, leader), key=lambda node: node.id)
    # It is heard of, and its disk takes nothing.
    behind.stall()
    for number in range(20):
        await leader.raft.propose(b"%d" % number)
    await leader.stop()
    assert await next_leader(cluster, [level], leader.id) == level.id
    behind.unstall()


@simulated()
async def test_a_silent_voter_is_not_chosen(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    silent, there = sorted(others(cluster, leader), key=lambda node: node.id)
    silent.crash()
    await asyncio.sleep(4)
    silent.start()
    silent.crash()
    # Without it nobody can lead once this one is gone: it goes at once.
    began, term = cluster.now, leader.runtime.state.term
    await leader.stop()
    assert cluster.now - began < SOON
    assert there.runtime.state.term == term


@simulated(5)
async def test_of_five_it_is_one_that_is_there(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    silent, *there = sorted(others(cluster, leader), key=lambda node: node.id)
    silent.crash()
    await asyncio.sleep(4)
    began = cluster.now
    await leader.stop()
    assert await next_leader(cluster, there, leader.id) != silent.id
    assert cluster.now - began < SOON


@simulated(1)
async def test_alone_it_stops_at_once(cluster: SimulatedCluster) -> None:
    leader = await cluster.leader()
    began = cluster.now
    await leader.stop()
    assert cluster.now - began < SOON


@simulated(2)
async def test_one_of_two_leaves_no_leader_without_a_quorum(cluster: SimulatedCluster) -> None:
    """It would take proposals, and then not know what became of them."""
    await cluster.settle()
    leader = await cluster.leader()
    [left] = others(cluster, leader)
    term = leader.runtime.state.term
    await leader.stop()
    assert left.runtime.state.term == term


@simulated()
async def test_a_successor_that_is_lost_holds_nobody_up(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    best = min(others(cluster, leader), key=lambda node: node.id)
    # Not yet known to be gone.
    best.crash()
    began = cluster.now
    await leader.stop()
    # Ten ticks of 0.1 s are the core's patience.
    assert 0.5 < cluster.now - began < 2.5


@simulated()
async def test_a_second_word_is_obeyed_at_once(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    min(others(cluster, leader), key=lambda node: node.id).crash()
    began = cluster.now
    slow = asyncio.create_task(leader.stop())
    await asyncio.sleep(0.05)
    assert leader.running
    await leader.stop(handover=False)
    with suppress(NodeStopped):
        await slow
    assert cluster.now - began < SOON


@simulated()
async def test_it_stops_also_if_nobody_waits_for_it(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    min(others(cluster, leader), key=lambda node: node.id).crash()
    began = cluster.now

    async def quit_and_be_cancelled(raft: Raft) -> None:
        quitting = asyncio.create_task(raft.quit())
        await asyncio.sleep(0.05)
        quitting.cancel()
        await asyncio.wait([quitting])

    with suppress(NodeStopped):
        await leader.call(quit_and_be_cancelled)
    await leader.ended()
    assert cluster.now - began < SOON


@simulated()
async def test_a_follower_has_nothing_to_hand_over(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    node = others(cluster, leader)[0]
    term = leader.runtime.state.term
    await node.stop()
    assert (leader.runtime.state.term, leader.raft.is_leader()) == (term, True)
    assert len(membership(leader).conf_state.voters) == 3


@simulated()
async def test_bad_argument(cluster: SimulatedCluster) -> None:
    leader = await cluster.leader()
    with pytest.raises(ConfigError, match="handover"):
        await leader.raft.quit(handover="no")  # type: ignore[arg-type]
    assert leader.running


@simulated()
async def test_a_transfer_to_nobody_in_particular(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    leader = await cluster.leader()
    behind, level = sorted(others(cluster, leader), key=lambda node: node.id)
    behind.stall()
    await leader.raft.propose(b"x")
    # Asked of a follower the leader chooses all the same.
    assert await behind.raft.transfer_leader() == level.id
    assert level.raft.is_leader()
    behind.unstall()


@simulated(1)
async def test_whoever_is_alone_has_nobody_to_hand_over_to(cluster: SimulatedCluster) -> None:
    leader = await cluster.leader()
    with pytest.raises(TransferRejected, match="nobody can take over"):
        await leader.raft.transfer_leader()
    await leader.raft.propose(b"x")
