"""Membership under faults: joins that are cut short, removals nobody heard of, moves, restarts.

Numbers like b37 are those of docs/failures.md. All of it runs under virtual time.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress

import pytest

from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Message,
    MessageType,
)
from raftify.errors import (
    ConfChangeRejected,
    JoinRejected,
    NodeRemoved,
    NoLeader,
    PendingConfChange,
    RaftifyError,
)
from raftify.peers import Membership
from tests.client.virtual_time import virtual_time
from tests.failures.simulated import SimulatedCluster, SimulatedNode, until

ADD, LEARN, REMOVE = (
    ConfChangeType.ADD_NODE,
    ConfChangeType.ADD_LEARNER_NODE,
    ConfChangeType.REMOVE_NODE,
)


def one(kind: ConfChangeType, node_id: int) -> ConfChangeV2:
    return ConfChangeV2(changes=(ConfChangeSingle(kind, node_id),))


def membership(node: SimulatedNode) -> Membership:
    return node.raft._node.state.membership


def term(node: SimulatedNode) -> int:
    return node.raft._node.state.term


async def follower(cluster: SimulatedCluster) -> SimulatedNode:
    leader = await cluster.leader()
    return next(node for node in cluster.running() if node is not leader)


def all_know(cluster: SimulatedCluster, nodes: list[SimulatedNode]) -> bool:
    """Say whether every running node has the present addresses of `nodes`."""
    return all(
        membership(one).address_of(node.id) == node.address
        for one in cluster.running()
        for node in nodes
    )


async def agree(cluster: SimulatedCluster) -> Membership:
    """Return the membership that every running node has, on its disk as well."""
    await cluster.settle()
    views = [membership(node) for node in cluster.running()]
    assert views == [views[0]] * len(views)
    for node in cluster.running():
        await node.raft._node._storage_worker.run(lambda: None)
        assert node.disk.membership() == views[0]
    return views[0]


@pytest.mark.parametrize("survived", range(4))
@virtual_time
async def test_a_joiner_killed_after_each_step_tries_again(survived: int) -> None:
    """b37: with the id asked for, started, asked to be added, a member: each time it ends well."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    through, address = await follower(cluster), cluster.new_address()
    ticket = await cluster.ticket(through, address)
    joiner = cluster.nodes[ticket.reserved_id] = SimulatedNode(ticket.reserved_id, address, cluster)
    if survived >= 1:
        joiner.start(ticket.reserved_id)
    if survived == 2:
        joining = asyncio.create_task(joiner.raft.join_cluster([ticket]))
        leader = await cluster.leader()
        await until(lambda: membership(leader).index > 1 or joining.done(), 10)
        joining.cancel()
    if survived == 3:
        await joiner.raft.join_cluster([ticket])
    if joiner.running:
        await joiner.crash()
    again = await cluster.ticket(through, address)
    assert again.reserved_id == ticket.reserved_id
    joiner.start(again.reserved_id)
    await joiner.raft.join_cluster([again])
    assert (await joiner.raft.propose(b"x")) == b"x:1"
    assert (await agree(cluster)).conf_state.voters == (1, 2, 3, 4)
    await cluster.close()


@virtual_time
async def test_joiners_at_the_same_time_all_become_members() -> None:
    """b40: one change at a time; who comes second waits its turn."""
    cluster = SimulatedCluster()
    await cluster.static(1)
    founder = cluster.nodes[1]
    await asyncio.gather(*(cluster.join(founder) for _ in range(4)))
    assert (await agree(cluster)).conf_state.voters == (1, 2, 3, 4, 5)
    await cluster.close()


@virtual_time
async def test_of_two_changes_at_once_one_is_refused() -> None:
    """b40: the second caller is told that another change is pending."""
    cluster = SimulatedCluster()
    await cluster.static(5)
    leader = await cluster.leader()
    others = [node.id for node in cluster.running() if node is not leader]
    results = await asyncio.gather(
        leader.raft.change_config(one(REMOVE, others[0])),
        leader.raft.change_config(one(REMOVE, others[1])),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Membership) for result in results) == 1
    assert sum(isinstance(result, PendingConfChange) for result in results) == 1
    await cluster.close()


@virtual_time
async def test_a_join_goes_on_while_the_leader_changes() -> None:
    cluster = SimulatedCluster()
    await cluster.static(3)
    joining = asyncio.create_task(cluster.join(await follower(cluster)))
    await asyncio.sleep(0.003)
    await (await cluster.leader()).crash()
    joiner = await joining
    assert joiner.id in membership(await cluster.leader()).conf_state.voters
    await cluster.close()


@virtual_time
async def test_a_removed_node_that_comes_back_stops_and_moves_no_term() -> None:
    """b36: it was cut off while it was removed, and campaigns with all its might."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    leader, victim = await cluster.leader(), await follower(cluster)
    cluster.network.isolate(victim.address)
    await leader.raft.change_config(one(REMOVE, victim.id))
    before = term(leader)
    await asyncio.sleep(60)
    cluster.network.heal()
    assert victim.task is not None
    with pytest.raises(NodeRemoved, match="removed from the cluster"):
        await victim.task
    await asyncio.sleep(20)
    assert term(leader) == before
    assert leader.raft.is_leader()
    # Its store remembers: started again it is refused again.
    victim.start()
    with pytest.raises(NodeRemoved):
        await victim.task
    assert term(leader) == before
    await cluster.close()


@virtual_time
async def test_a_node_that_sees_its_own_removal_stops_too() -> None:
    """It applied the change itself, has nobody to campaign to, and must not linger for ever."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    victim = await follower(cluster)
    await (await cluster.leader()).raft.change_config(one(REMOVE, victim.id))
    assert victim.task is not None
    with pytest.raises(NodeRemoved):
        await victim.task
    await cluster.close()


@virtual_time
async def test_a_follower_left_by_its_leader_is_not_stranded() -> None:
    """b33: of two, the leader removes itself, and its word of the commit is lost."""
    cluster = SimulatedCluster()
    await cluster.static(2)
    leader, other = await cluster.leader(), await follower(cluster)
    index = other.disk.last_index() + 1
    change = asyncio.create_task(leader.raft.change_config(one(REMOVE, leader.id)))
    await until(lambda: other.disk.last_index() >= index, 10)
    # Its answer still gets out; the word that this committed the change does not get in.
    cluster.network.cut(leader.address, other.address)
    await change
    assert membership(other).is_member(leader.id)
    cluster.network.heal()
    assert await other.raft.propose(b"x", timeout=30) == b"x:1"
    assert other.raft.get_cluster_size() == 1
    assert leader.task is not None
    with pytest.raises(NodeRemoved):
        await leader.task
    await cluster.close()


@pytest.mark.parametrize("leads", [True, False])
@virtual_time
async def test_leaving_under_load_loses_nothing(leads: bool) -> None:
    cluster = SimulatedCluster()
    await cluster.static(3)
    stays = await follower(cluster)
    leaver = await cluster.leader() if leads else stays
    if not leads:
        stays = await cluster.leader()
    results = [asyncio.create_task(stays.raft.propose(f"k{i}".encode())) for i in range(200)]
    await leaver.raft.leave()
    assert leaver.task is not None
    await leaver.task
    assert [await r for r in results] == [f"k{i}:1".encode() for i in range(200)]
    assert (await cluster.leader()).raft.get_cluster_size() == 2
    await cluster.close()


@virtual_time
async def test_several_leave_at_once_until_one_is_left() -> None:
    cluster = SimulatedCluster()
    await cluster.static(5)
    nodes = cluster.running()
    outcomes = await asyncio.gather(
        *(node.raft.leave(timeout=60) for node in nodes), return_exceptions=True
    )
    left = [n for n, outcome in zip(nodes, outcomes, strict=True) if outcome is None]
    assert len(left) == 4
    assert [type(o) for o in outcomes if o is not None] == [ConfChangeRejected]
    (last,) = [node for node in nodes if node not in left]
    for node in left:
        assert node.task is not None
        await node.task
    assert await last.raft.propose(b"x") == b"x:1"
    assert last.raft.get_cluster_size() == 1
    await cluster.close()


@virtual_time
async def test_who_has_left_does_not_come_back_under_its_old_id() -> None:
    """b17: the id is used up, and a new start is refused by whoever knows."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    leaver = await follower(cluster)
    await leaver.raft.leave()
    leaver.start()
    assert leaver.task is not None
    with pytest.raises(NodeRemoved):
        await leaver.task
    leader = await cluster.leader()
    with pytest.raises(JoinRejected, match="never used again"):
        await leader.raft.change_config(one(ADD, leaver.id), {leaver.id: leaver.address})
    assert (await cluster.ticket(leader, leaver.address)).reserved_id == 4
    await cluster.close()


@pytest.mark.parametrize("crash", [True, False])
@virtual_time
async def test_after_every_change_every_node_restarts_with_the_same_membership(crash: bool) -> None:
    """b39, b30, b49: voters, learners, joint configurations, and what snapshots carry."""
    cluster = SimulatedCluster(snapshot_entries=5, snapshot_keep_entries=0)
    await cluster.static(3)
    joiner = await cluster.join(await cluster.leader())
    swap = ConfChangeV2(
        ConfChangeTransition.EXPLICIT,
        (ConfChangeSingle(LEARN, 3), ConfChangeSingle(ADD, joiner.id)),
    )
    changes = [one(LEARN, joiner.id), swap, ConfChangeV2(), one(ADD, 3), one(LEARN, 2)]
    number = itertools.count()
    for change in changes:
        leader = await cluster.leader()
        await leader.raft.change_config(change, timeout=30)
        before = await agree(cluster)
        for _ in range(8):
            await leader.raft.propose(f"k{next(number)}".encode())
        for node in list(cluster.nodes.values()):
            await (node.crash() if crash else node.stop())
            node.start()
            assert membership(node) == before
            await cluster.settle()
        assert await agree(cluster) == before
    conf = (await agree(cluster)).conf_state
    assert (conf.voters, conf.learners, conf.voters_outgoing) == ((1, 3, 4), (2,), ())
    await cluster.close()


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.002, 0.003, 0.005, 0.01, 0.1])
@virtual_time
async def test_a_joint_configuration_is_left_whoever_dies_when(seconds: float) -> None:
    """b32: the leader is killed at some point of a change that leaves its joint phase by itself."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    joiners = [await cluster.join(await cluster.leader()) for _ in range(2)]
    leader = await cluster.leader()
    demoted = next(i for i in (1, 2, 3) if i != leader.id)
    change = ConfChangeV2(
        changes=(ConfChangeSingle(LEARN, demoted), ConfChangeSingle(REMOVE, joiners[0].id))
    )
    asking = asyncio.create_task(leader.raft.change_config(change))
    await asyncio.sleep(seconds)
    await leader.crash()
    with suppress(RaftifyError):
        await asking
    leader.start()
    # Asked again it is done already, or is done now; either way it comes to its end.
    for _ in range(20):
        try:
            after = await (await cluster.leader()).raft.change_config(change, timeout=20)
            break
        except PendingConfChange:
            await asyncio.sleep(0.1)
    assert not after.conf_state.voters_outgoing
    assert demoted in after.conf_state.learners
    assert not after.is_member(joiners[0].id)
    await cluster.close()


@virtual_time
async def test_a_leader_that_joined_meanwhile_can_talk_to_who_was_away() -> None:
    """The node that was away does not have the leader in its membership, and must answer it."""
    cluster = SimulatedCluster(snapshot_entries=10, snapshot_keep_entries=0)
    await cluster.static(3)
    away = await follower(cluster)
    await away.stop()
    joiner = await cluster.join(await cluster.leader())
    await joiner.raft.transfer_leader(joiner.id)
    for i in range(30):
        await joiner.raft.propose(f"k{i}".encode())
    away.start()
    await cluster.settle()
    assert membership(away) == membership(joiner)
    assert len(away.machine.order) == 30
    await cluster.close()


@virtual_time
async def test_messages_of_strangers_and_of_the_removed_change_nothing() -> None:
    """b41: responses of a node that is gone, or never was, are ignored."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    leader = await cluster.leader()
    gone = await follower(cluster)
    await leader.raft.change_config(one(REMOVE, gone.id))
    kinds = (
        MessageType.APPEND_RESPONSE,
        MessageType.HEARTBEAT_RESPONSE,
        MessageType.REQUEST_VOTE_RESPONSE,
        MessageType.SNAP_STATUS,
        MessageType.UNREACHABLE,
    )
    for kind, sender in itertools.product(kinds, (gone.id, 77)):
        message = Message(kind, to=leader.id, from_=sender, term=term(leader), index=9)
        await leader.raft._node.api.send_message(message, timeout=1)
    leader.raft._node.api._inbox.put_call(lambda: leader.raft._node._raw.report_unreachable(77))
    assert await leader.raft.propose(b"x") == b"x:1"
    assert leader.running
    await cluster.close()


@virtual_time
async def test_a_node_that_moved_is_found() -> None:
    """Issue (a)8: it starts at another address; the cluster finds it and learns it for good."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    moved = await follower(cluster)
    await moved.stop()
    moved.start(address=cluster.new_address())
    await until(lambda: all_know(cluster, [moved]), 10)
    assert await moved.raft.propose(b"x") == b"x:1"
    assert (await agree(cluster)).address_of(moved.id) == moved.address
    await cluster.close()


@virtual_time
async def test_every_node_moves_one_after_the_other() -> None:
    cluster = SimulatedCluster()
    await cluster.static(3)
    for node in list(cluster.nodes.values()):
        await (await cluster.leader()).raft.propose(f"before {node.id}".encode())
        await node.crash()
        node.start(address=cluster.new_address())
        await until(lambda: all_know(cluster, cluster.running()), 30)
    await cluster.settle()
    assert all(len(node.machine.order) == 3 for node in cluster.running())
    await cluster.close()


@virtual_time
async def test_a_static_cluster_moves_as_a_whole() -> None:
    """All nodes get new addresses at once; their configuration says so."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    await (await cluster.leader()).raft.propose(b"a")
    for node in cluster.nodes.values():
        await node.stop()
    cluster.move_all()
    for node in cluster.nodes.values():
        node.start()
    await cluster.settle()
    await until(lambda: all_know(cluster, cluster.running()), 60)
    await cluster.close()


@virtual_time
async def test_without_a_quorum_leaving_ends_with_an_error_and_the_node_goes_on() -> None:
    cluster = SimulatedCluster()
    await cluster.static(3)
    leaver = await follower(cluster)
    for node in cluster.running():
        if node is not leaver:
            await node.crash()
    with pytest.raises(NoLeader):
        await leaver.raft.leave(timeout=5)
    assert leaver.running
    for node in cluster.nodes.values():
        if node is not leaver:
            node.start()
    assert await leaver.raft.propose(b"x", timeout=30) == b"x:1"
    await cluster.close()
