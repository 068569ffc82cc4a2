"""Who asked for the removal of a voter may end it: whatever single node is lost then, the rest
goes on. All of it runs under virtual time.
"""

from __future__ import annotations

import asyncio

import pytest

from raftify.core.types import ConfChangeTransition, ConfChangeType, ConfState
from raftify.errors import (
    ConfChangeRejected,
    DeadlineExceeded,
    LeadershipLost,
    NodeRemoved,
    NodeStopped,
    NotLeader,
    OutcomeUnknown,
)
from raftify.node.peer_endpoint import PeerEndpoint
from raftify.peers import Membership
from raftify.testing.simulation import Conditions, SimulatedCluster, SimulatedNode
from tests.failures.simulation import follower, membership, one, simulated

REMOVE, LEARN = ConfChangeType.REMOVE_NODE, ConfChangeType.ADD_LEARNER_NODE


async def parts(cluster: SimulatedCluster) -> tuple[SimulatedNode, list[SimulatedNode]]:
    """Return the leader and the others, once all have the log and the leader has heard them."""
    await cluster.settle()
    await asyncio.sleep(1)
    leader = await cluster.leader()
    return leader, [node for node in cluster.running() if node is not leader]


def service_of(node: SimulatedNode) -> PeerEndpoint:
    service = node.runtime._transport.service  # type: ignore[attr-defined]
    assert isinstance(service, PeerEndpoint)
    return service


async def all_have(nodes: list[SimulatedNode], cluster: SimulatedCluster, index: int) -> None:
    await cluster.until(lambda: all(n.runtime.storage.last_index() >= index for n in nodes))


def answer_late(cluster: SimulatedCluster, nodes: list[SimulatedNode], to: SimulatedNode) -> None:
    """Let all of `nodes` have on disk what `to` sends before it hears so from any of them."""
    for node in nodes:
        cluster.network.set_link(node.name, to.name, Conditions(delay=0.02))


@pytest.mark.parametrize("kind", [REMOVE, LEARN])
@simulated(4)
async def test_nobody_is_told_that_a_voter_is_gone_before_those_that_stay_know(
    cluster: SimulatedCluster, kind: ConfChangeType
) -> None:
    """Of four voters one was removed, and whoever asked was told once the leader had it on disk.
    The word of the commit was lost with the leader; the other two knew four voters still, and
    waited for a third vote for ever.
    """
    leader, (*stay, goes) = await parts(cluster)
    index = leader.runtime.storage.last_index() + 1
    answer_late(cluster, [*stay, goes], leader)
    change = asyncio.create_task(leader.raft.change_config(one(kind, goes.id)))
    await all_have([leader, *stay], cluster, index)
    for node in (*stay, goes):
        cluster.network.cut(leader.name, node.name)
    await cluster.until(lambda: leader.runtime.state.durable_membership.index >= index, 1)
    await asyncio.sleep(0.5)
    assert all(goes.id in membership(node).conf_state.voters for node in stay)
    assert not change.done()
    with pytest.raises(LeadershipLost, match="may still need the vote"):
        await change
    # Asked again, whoever leads says so only once it is so.
    cluster.network.heal()
    left = await (await cluster.leader()).raft.change_config(one(kind, goes.id), timeout=30)
    assert goes.id not in left.conf_state.voters
    for node in (await cluster.leader(), goes):
        node.wipe()
    assert await cluster.running()[0].raft.propose(b"x", timeout=60) == b"x:1"


@pytest.mark.parametrize("size", [3, 4, 5])
@pytest.mark.parametrize("lost", range(4))
@simulated(5)
async def test_whoever_is_lost_once_it_was_told_the_rest_goes_on(
    cluster: SimulatedCluster, size: int, lost: int
) -> None:
    """Each of those that stay is lost for good in the moment of the answer, the others restart."""
    leader, others = await parts(cluster)
    for node in others[size - 1 :]:
        await node.leave()
    others = others[: size - 1]
    goes = others.pop()
    await leader.raft.change_config(remove=[goes.id])
    goes.wipe()
    stay = [leader, *others]
    if len(stay) == 2 or lost >= len(stay):
        # Of two that are left none can be missed: they only restart.
        gone: list[SimulatedNode] = []
    else:
        gone = [stay[lost]]
    for node in stay:
        node.crash()
        if node in gone:
            node.wipe()
    left = [node for node in stay if node not in gone]
    for node in left:
        node.start()
    assert await left[0].raft.propose(b"x", timeout=60) == b"x:1"
    await cluster.settle()
    assert all(goes.id not in membership(node).conf_state.voters for node in left)


@simulated(3)
async def test_a_commit_that_a_crash_would_take_away_is_not_known(
    cluster: SimulatedCluster,
) -> None:
    """A follower that says that it knows of a commit has what it changes on its disk."""
    leader, (stays, goes) = await parts(cluster)
    index = leader.runtime.storage.last_index() + 1
    # The other two commit the change while it is still writing the entry; its next answer speaks of
    # that commit, and leaves one write before the new membership is on its disk.
    stays.disk_pace = 0.2
    await leader.raft.change_config(remove=[goes.id])
    assert stays.runtime.state.durable_membership.index >= index


@simulated(5)
async def test_leaving_a_joint_configuration_waits_as_well(cluster: SimulatedCluster) -> None:
    leader, (*stay, fourth, fifth) = await parts(cluster)
    entered = await leader.raft.change_config(
        remove=[fourth.id, fifth.id], transition=ConfChangeTransition.EXPLICIT
    )
    index = entered.index + 1
    answer_late(cluster, [*stay, fourth, fifth], leader)
    leaving = asyncio.create_task(leader.raft.leave_joint(timeout=8))
    await all_have([leader, *stay, fourth, fifth], cluster, index)
    for node in (*stay, fourth, fifth):
        cluster.network.cut(leader.name, node.name)
    await cluster.until(lambda: leader.runtime.state.durable_membership.index >= index, 1)
    assert not any(membership(node).index >= index for node in stay)
    with pytest.raises(OutcomeUnknown):
        await leaving
    cluster.network.heal()
    await (await cluster.leader()).raft.leave_joint(timeout=30)


@simulated(3)
async def test_by_force_nobody_is_waited_for_who_is_not_there(cluster: SimulatedCluster) -> None:
    leader, (stays, goes) = await parts(cluster)
    stays.crash()
    # Not known to be silent yet, so that the change is not refused.
    with pytest.raises(DeadlineExceeded, match="too few of the voters that stay have confirmed"):
        await leader.raft.change_config(remove=[goes.id], timeout=1)
    assert goes.running
    began = cluster.now
    left = await leader.raft.change_config(remove=[goes.id], timeout=30, force=True)
    assert goes.id not in left.conf_state.voters
    assert cluster.now - began < 3
    stays.start()
    await leader.raft.propose(b"x", timeout=30)


@simulated(3)
async def test_who_does_not_lead_sends_on_who_asks_it_to_remove_itself(
    cluster: SimulatedCluster,
) -> None:
    """A follower said that the others were silent, whom it never hears, and refused."""
    await parts(cluster)
    await asyncio.sleep(2)
    node = await follower(cluster)
    with pytest.raises(NotLeader):
        await node.call(lambda raft: raft._node.api.change_config(one(REMOVE, node.id), timeout=3))
    async with cluster.client(node.address) as client:
        left = await client.change_config(remove=[node.id])
    assert node.id not in left.conf_state.voters


@pytest.mark.parametrize("crashes", [False, True])
@simulated(3)
async def test_who_was_removed_first_ends_although_the_next_has_gone_too(
    cluster: SimulatedCluster, crashes: bool
) -> None:
    """It knew two other voters, one of which was removed and stopped before it said anything: it
    waited for that one's word for ever. The leader, whom most know, is enough."""
    leader, (first, second) = await parts(cluster)
    await leader.raft.change_config(remove=[first.id])
    if crashes:
        await leader.raft.change_config(remove=[second.id])
        second.crash()
    else:
        await second.leave()
    with pytest.raises(NodeRemoved):
        await asyncio.wait_for(first.outcome(), 10)


@simulated(3)
async def test_who_was_removed_itself_refuses_nobody(cluster: SimulatedCluster) -> None:
    """It is soon gone, and was counted among those who would still know."""
    leader, (first, second) = await parts(cluster)
    peers = membership(leader).peers
    for node in (first, second):
        cluster.network.isolate(node.name)
    both = Membership(
        index=9, conf_state=ConfState(voters=(leader.id,)), peers={leader.id: peers[leader.id]},
        max_id=3,
    )  # fmt: skip
    for node in (leader, first):
        node.runtime.state.durable_membership = both
    service_of(first)._check_removed(second.id)
    with pytest.raises(NodeRemoved) as refusal:
        service_of(leader)._check_removed(second.id)
    assert refusal.value.known_to_most  # of one voter it is most
    cluster.network.heal()


@simulated(4)
async def test_a_leader_whom_most_know_ends_a_node_alone(cluster: SimulatedCluster) -> None:
    leader, (*_, node) = await parts(cluster)
    gone = f"node {node.id} was removed"
    service_of(node).report_refused(leader.id, NodeRemoved(gone))
    await asyncio.sleep(3)
    assert node.running
    service_of(node).report_refused(leader.id, NodeRemoved(gone, known_to_most=True))
    with pytest.raises(NodeRemoved):
        await node.outcome()


@simulated(3)
async def test_a_second_leave_that_gives_up_takes_nothing_from_the_first(
    cluster: SimulatedCluster,
) -> None:
    """What the first was about to do was then called a failure of the node."""
    _, (node, _) = await parts(cluster)
    cluster.network.isolate(node.name)
    leaving = asyncio.create_task(node.raft.leave(timeout=30))
    with pytest.raises(DeadlineExceeded):
        await node.raft.leave(timeout=0.5)
    cluster.network.heal()
    await leaving
    await node.outcome()  # without an error


@simulated(2)
async def test_to_be_stopped_is_not_to_be_told(cluster: SimulatedCluster) -> None:
    """A leave whose node was stopped meanwhile returned as if the others knew."""
    _, (node,) = await parts(cluster)
    telling = asyncio.create_task(node.runtime.knock(for_seconds=30))
    await asyncio.sleep(0.1)
    assert not telling.done()
    await node.stop()
    with pytest.raises(NodeStopped):
        await telling


@simulated(5)
async def test_while_a_configuration_is_joint_a_leader_that_may_not_leave_stays_in_office(
    cluster: SimulatedCluster,
) -> None:
    leader, others = await parts(cluster)
    gone = [node.id for node in others[:2]]
    await leader.raft.change_config(remove=gone, transition=ConfChangeTransition.EXPLICIT)
    with pytest.raises(ConfChangeRejected, match="joint"):
        await leader.raft.leave()
    assert leader.raft.is_leader()
    await leader.raft.leave_joint()


@simulated(5)
async def test_a_leader_whose_vote_goes_with_the_joint_configuration_hands_over(
    cluster: SimulatedCluster,
) -> None:
    leader, (other, *_) = await parts(cluster)
    succession = leader.runtime.api.succession
    hand_over = succession.hand_over_once

    async def nobody(*, timeout: float, among: set[int]) -> None:
        """Let its attempt to hand its office over come to nothing."""

    succession.hand_over_once = nobody  # type: ignore[method-assign]
    await leader.raft.change_config(
        remove=[leader.id, other.id], transition=ConfChangeTransition.EXPLICIT
    )
    assert leader.raft.is_leader()
    succession.hand_over_once = hand_over  # type: ignore[method-assign]
    left = await leader.raft.leave_joint()
    assert leader.id not in left.conf_state.voters
    assert (await cluster.leader()).id in left.conf_state.voters


@simulated(3)
async def test_to_ask_again_waits_as_well(cluster: SimulatedCluster) -> None:
    """A repeated `change_membership` finds nothing to change; that alone is no answer."""
    leader, (stays, goes) = await parts(cluster)
    index = leader.runtime.storage.last_index() + 1
    stays.disk_pace = 0.3
    voters = {leader.id, stays.id}
    with pytest.raises(DeadlineExceeded):
        await leader.raft.change_membership(voters, timeout=0.1)
    assert not membership(leader).is_member(goes.id)
    assert stays.runtime.state.durable_membership.index < index
    left = await leader.raft.change_membership(voters, timeout=30)
    assert set(left.conf_state.voters) == voters
    assert stays.runtime.state.durable_membership.index >= index


@simulated(1)
async def test_a_leader_that_becomes_a_learner_has_its_successor_wait(
    cluster: SimulatedCluster,
) -> None:
    """The only voter makes voters of two learners and a learner of itself. Nobody else that stays
    could lead before, so that it lost its office with the change."""
    leader = await cluster.leader()
    learners = []
    for node in (cluster.new_machine(), cluster.new_machine()):
        ticket = await cluster.ticket(node, leader)
        node.start(ticket.reserved_id)
        cluster.nodes[node.id] = node
        await leader.raft.add_learner(node.id, node.address)
        learners.append(node)
    voters = {node.id for node in learners}
    left = await leader.raft.change_membership(voters, retain=True)
    assert set(left.conf_state.voters) == voters
    assert left.conf_state.learners == (leader.id,)
    assert all(n.runtime.state.durable_membership.index >= left.index for n in learners)
