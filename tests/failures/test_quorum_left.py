"""Removals that would leave too few voters that are there: refused, unless forced.

The clusters run under virtual time; an election timeout is 1 s.
"""

from __future__ import annotations

import asyncio

import pytest

from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)
from raftify.errors import ConfChangeRejected, NodeRemoved, RaftifyError
from raftify.node.changes_refused import check_quorum_left
from raftify.peers import Membership, Peer
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.failures.simulation import membership, simulated

ADD, LEARN, REMOVE = (
    ConfChangeType.ADD_NODE,
    ConfChangeType.ADD_LEARNER_NODE,
    ConfChangeType.REMOVE_NODE,
)
#: Seconds after which a node that says nothing counts as silent.
UNHEARD = 3


def members(voters: str, learners: str = "") -> Membership:
    """Return a membership of nodes named by digits."""
    ids = [int(digit) for digit in voters + learners]
    return Membership(
        conf_state=ConfState(
            voters=tuple(int(v) for v in voters), learners=tuple(int(i) for i in learners)
        ),
        peers={i: Peer(i, f"10.0.0.{i}:1") for i in ids},
        max_id=max(ids),
    )


def changes(text: str) -> ConfChangeV2:
    """Return the change that "-1 +4 ~2" stands for: remove 1, add 4, make 2 a learner."""
    kinds = {"-": REMOVE, "+": ADD, "~": LEARN}
    singles = tuple(ConfChangeSingle(kinds[word[0]], int(word[1])) for word in text.split())
    return ConfChangeV2(changes=singles)


def refused(change: str, voters: str, silent: str, learners: str = "") -> bool:
    try:
        check_quorum_left(
            changes(change), members(voters, learners), lambda node_id: str(node_id) in silent
        )
    except ConfChangeRejected:
        return True
    return False


@pytest.mark.parametrize(
    ("change", "voters", "silent"),
    [
        ("-2", "123", "3"),
        ("~2", "123", "3"),
        ("-2 -3", "12345", "45"),
        ("-1", "12345", "45"),
        ("-2 +4", "123", "34"),
        ("-1 -2 -3 +4", "123", "4"),
    ],
)
def test_what_is_refused(change: str, voters: str, silent: str) -> None:
    assert refused(change, voters, silent, learners="4" if "4" not in voters else "")


@pytest.mark.parametrize(
    ("change", "voters", "silent"),
    [
        ("-3", "123", "3"),
        ("-2", "123", ""),
        ("-2", "12", ""),
        ("-2", "12", "2"),
        ("-1", "1234", "4"),
        ("-4", "12345", "45"),
        ("-4 -5", "12345", "45"),
        # What cannot commit anything anyway is not made worse.
        ("-5", "12345", "345"),
        ("-2", "123", "23"),
        # Nobody goes.
        ("+4", "123", "23"),
        ("", "123", "23"),
        # The last voter, which is refused elsewhere, for another reason.
        ("-1", "1", ""),
    ],
)
def test_what_passes(change: str, voters: str, silent: str) -> None:
    assert not refused(change, voters, silent)


def test_who_is_new_needs_not_have_been_heard_of() -> None:
    assert not refused("-1 -2 -3 +4 +5 +6", "123", "456")


def test_leaving_voters_for_silent_learners_is_refused() -> None:
    assert refused("-1 -2 +4 +5", "123", "45", learners="45")
    assert not refused("-1 -2 +4 +5", "123", "", learners="45")


def test_the_refusal_names_who_is_silent_and_what_to_do() -> None:
    with pytest.raises(
        ConfChangeRejected,
        match=r"without node 1 the voters would be nodes 2, 3, 4 and 5, and nodes 4 and 5 of them "
        r"were not heard of .* 2 of 4 cannot commit anything.*remove them first, or force it",
    ):
        check_quorum_left(changes("-1"), members("12345"), lambda node_id: node_id > 3)


async def others(cluster: SimulatedCluster) -> tuple[SimulatedNode, list[SimulatedNode]]:
    """Return the leader, and the other nodes in the order of their ids."""
    await cluster.settle()
    leader = await cluster.leader()
    rest = [node for node in cluster.running() if node is not leader]
    return leader, sorted(rest, key=lambda node: node.id)


@simulated()
async def test_a_live_voter_stays_while_another_is_silent(cluster: SimulatedCluster) -> None:
    leader, (live, lost) = await others(cluster)
    lost.crash()
    await asyncio.sleep(UNHEARD)
    for removal in (
        leader.raft.change_config(remove=[live.id]),
        live.raft.change_config(remove=[live.id]),
        leader.raft.change_membership({leader.id, lost.id}),
        leader.raft.change_membership({leader.id, lost.id}, retain=True),
    ):
        with pytest.raises(ConfChangeRejected, match=rf"node {lost.id} of them was not heard"):
            await removal
    with pytest.raises(ConfChangeRejected, match="not heard"):
        await live.leave()
    assert membership(leader).conf_state.voters == (1, 2, 3)
    assert live.running
    # The other way round it makes things better.
    left = await leader.raft.change_config(remove=[lost.id])
    assert set(left.conf_state.voters) == {leader.id, live.id}
    await leader.raft.propose(b"x")


@simulated()
async def test_by_force_it_is_removed(cluster: SimulatedCluster) -> None:
    leader, (live, lost) = await others(cluster)
    lost.crash()
    await asyncio.sleep(UNHEARD)
    left = await leader.raft.change_config(remove=[live.id], force=True)
    assert set(left.conf_state.voters) == {leader.id, lost.id}
    lost.start()
    await cluster.settle()
    await lost.raft.propose(b"x")


@simulated()
async def test_a_node_that_leaves_by_force(cluster: SimulatedCluster) -> None:
    leader, (live, lost) = await others(cluster)
    lost.crash()
    await asyncio.sleep(UNHEARD)
    await live.leave(force=True)
    assert not live.running
    assert set(membership(leader).conf_state.voters) == {leader.id, lost.id}
    lost.start()
    await cluster.settle()


@simulated()
async def test_a_leader_of_a_moment_takes_nobody_for_silent(cluster: SimulatedCluster) -> None:
    leader, (successor, other) = await others(cluster)
    await leader.raft.transfer_leader(successor.id)
    left = await successor.raft.change_config(remove=[other.id])
    assert set(left.conf_state.voters) == {leader.id, successor.id}


@simulated()
async def test_a_leader_of_a_moment_learns_who_is_silent(cluster: SimulatedCluster) -> None:
    leader, (successor, lost) = await others(cluster)
    lost.crash()
    await leader.raft.transfer_leader(successor.id)
    await asyncio.sleep(UNHEARD)
    with pytest.raises(ConfChangeRejected, match=rf"node {lost.id} of them was not heard"):
        await successor.raft.change_config(remove=[leader.id])


@simulated(5)
async def test_an_explicit_joint_configuration(cluster: SimulatedCluster) -> None:
    leader, (second, third, *lost) = await others(cluster)
    for node in lost:
        node.crash()
    await asyncio.sleep(UNHEARD)
    with pytest.raises(ConfChangeRejected, match="were not heard of"):
        await leader.raft.change_config(
            remove=[second.id, third.id], transition=ConfChangeTransition.EXPLICIT
        )
    gone = [node.id for node in lost]
    entered = await leader.raft.change_config(remove=gone, transition=ConfChangeTransition.EXPLICIT)
    assert set(entered.conf_state.voters_outgoing) == {1, 2, 3, 4, 5}
    # To leave it takes nobody away who counts.
    left = await leader.raft.leave_joint()
    assert set(left.conf_state.voters) == {leader.id, second.id, third.id}


@simulated()
async def test_who_is_back_is_heard_again(cluster: SimulatedCluster) -> None:
    leader, (live, away) = await others(cluster)
    away.crash()
    await asyncio.sleep(UNHEARD)
    away.start()
    await cluster.until(lambda: (leader.silence_of(away.id) or 0) < 1)
    await leader.raft.change_config(remove=[live.id])
    await leader.raft.propose(b"x")


@simulated(2, seed=112)
async def test_nobody_hears_of_a_removal_that_a_crash_may_make_forgotten(
    cluster: SimulatedCluster,
) -> None:
    """Storm 112: of two nodes one was removed, heard it, and ended. The other had it committed in
    memory only when its disk filled up: after its restart it asked for the other's vote for ever.
    """
    leader = await cluster.leader()
    follower = next(node for node in cluster.nodes.values() if node is not leader)
    follower.stall()
    removal = asyncio.create_task(leader.raft.change_config(remove=[follower.id], timeout=20))
    await asyncio.sleep(0.1)  # of virtual time: the leader's own entry is durable, and no more is
    leader.stall()
    follower.unstall()
    await cluster.until(lambda: not membership(leader).is_member(follower.id))
    await asyncio.sleep(2 * UNHEARD)
    assert follower.running
    assert not removal.done()
    leader.crash()
    leader.start()
    await cluster.until(lambda: not follower.running)
    assert isinstance(follower.failure, NodeRemoved)
    await leader.raft.propose(b"alone")
    with pytest.raises(RaftifyError):
        await removal
