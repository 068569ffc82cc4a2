"""Membership under faults: joins that are cut short, removals nobody heard of, moves, restarts.

Numbers like b37 are those of docs/failures.md. All of it runs under virtual time.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import replace

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
    NodeRemoved,
    PendingConfChange,
    RaftifyError,
)
from raftify.peers import Membership, Peers
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.failures.simulation import follower, membership, one, simulated, tally

ADD, LEARN, REMOVE = (
    ConfChangeType.ADD_NODE,
    ConfChangeType.ADD_LEARNER_NODE,
    ConfChangeType.REMOVE_NODE,
)


def term(node: SimulatedNode) -> int:
    return node.runtime.state.term


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
        await node.runtime._workers.storage.run(lambda: None)
        assert node.runtime.storage.membership() == views[0]
    return views[0]


@pytest.mark.parametrize("survived", range(4))
@simulated()
async def test_a_joiner_killed_after_each_step_tries_again(
    cluster: SimulatedCluster, survived: int
) -> None:
    """b37: with the id asked for, started, asked to be added, a member: each time it ends well."""
    through, joiner = await follower(cluster), cluster.new_machine()
    ticket = await cluster.ticket(joiner, through)
    cluster.nodes[ticket.reserved_id] = joiner
    if survived >= 1:
        joiner.start(ticket.reserved_id)
    if survived == 2:
        joining = asyncio.create_task(joiner.raft.join_cluster([ticket]))
        leader = await cluster.leader()
        await cluster.until(lambda: membership(leader).index > 1 or joining.done(), 10)
        joining.cancel()
    if survived == 3:
        await joiner.raft.join_cluster([ticket])
    if joiner.running:
        joiner.crash()
    again = await cluster.ticket(joiner, through)
    assert again.reserved_id == ticket.reserved_id
    joiner.start(again.reserved_id)
    await joiner.raft.join_cluster([again])
    assert (await joiner.raft.propose(b"x")) == b"x:1"
    assert (await agree(cluster)).conf_state.voters == (1, 2, 3, 4)


@simulated(1)
async def test_joiners_at_the_same_time_all_become_members(cluster: SimulatedCluster) -> None:
    """b40: one change at a time; who comes second waits its turn."""
    founder = cluster.nodes[1]
    await asyncio.gather(*(cluster.join(founder) for _ in range(4)))
    assert (await agree(cluster)).conf_state.voters == (1, 2, 3, 4, 5)


@simulated(5)
async def test_of_two_changes_at_once_one_is_refused(cluster: SimulatedCluster) -> None:
    """b40: the second caller is told that another change is pending."""
    leader = await cluster.leader()
    others = [node.id for node in cluster.running() if node is not leader]
    results = await asyncio.gather(
        leader.raft.change_config(one(REMOVE, others[0])),
        leader.raft.change_config(one(REMOVE, others[1])),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Membership) for result in results) == 1
    assert sum(isinstance(result, PendingConfChange) for result in results) == 1


@simulated()
async def test_a_join_goes_on_while_the_leader_changes(cluster: SimulatedCluster) -> None:
    joining = asyncio.create_task(cluster.join(await follower(cluster)))
    await asyncio.sleep(0.003)
    (await cluster.leader()).crash()
    joiner = await joining
    assert joiner.id in membership(await cluster.leader()).conf_state.voters


@simulated()
async def test_a_removed_node_that_comes_back_stops_and_moves_no_term(
    cluster: SimulatedCluster,
) -> None:
    """b36: it was cut off while it was removed, and campaigns with all its might."""
    leader, victim = await cluster.leader(), await follower(cluster)
    cluster.network.isolate(victim.name)
    await leader.raft.change_config(one(REMOVE, victim.id))
    before = term(leader)
    await asyncio.sleep(60)
    cluster.network.heal()
    with pytest.raises(NodeRemoved, match="removed from the cluster"):
        await victim.outcome()
    await asyncio.sleep(20)
    assert term(leader) == before
    assert leader.raft.is_leader()
    # Its store remembers: started again it is refused again.
    victim.start()
    with pytest.raises(NodeRemoved):
        await victim.outcome()
    assert term(leader) == before


@simulated()
async def test_a_node_that_sees_its_own_removal_stops_too(cluster: SimulatedCluster) -> None:
    """It applied the change itself, has nobody to campaign to, and must not linger for ever."""
    victim = await follower(cluster)
    await (await cluster.leader()).raft.change_config(one(REMOVE, victim.id))
    with pytest.raises(NodeRemoved):
        await victim.outcome()


@pytest.mark.parametrize("crash", [True, False])
@simulated(snapshot_entries=5, snapshot_keep_entries=0)
async def test_after_every_change_every_node_restarts_with_the_same_membership(
    cluster: SimulatedCluster, crash: bool
) -> None:
    """b39, b30, b49: voters, learners, joint configurations, and what snapshots carry."""
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
            if crash:
                node.crash()
            else:
                await node.stop()
            node.start()
            assert membership(node) == before
            await cluster.settle()
        assert await agree(cluster) == before
    conf = (await agree(cluster)).conf_state
    assert (conf.voters, conf.learners, conf.voters_outgoing) == ((1, 3, 4), (2,), ())


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.002, 0.003, 0.005, 0.01, 0.1])
@simulated()
async def test_a_joint_configuration_is_left_whoever_dies_when(
    cluster: SimulatedCluster, seconds: float
) -> None:
    """b32: the leader is killed at some point of a change that leaves its joint phase by itself."""
    joiners = [await cluster.join(await cluster.leader()) for _ in range(2)]
    leader = await cluster.leader()
    demoted = next(i for i in (1, 2, 3) if i != leader.id)
    change = ConfChangeV2(
        changes=(ConfChangeSingle(LEARN, demoted), ConfChangeSingle(REMOVE, joiners[0].id))
    )
    asking = asyncio.create_task(leader.raft.change_config(change))
    await asyncio.sleep(seconds)
    leader.crash()
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


@simulated(snapshot_entries=10, snapshot_keep_entries=0)
async def test_a_leader_that_joined_meanwhile_can_talk_to_who_was_away(
    cluster: SimulatedCluster,
) -> None:
    """The node that was away does not have the leader in its membership, and must answer it."""
    away = await follower(cluster)
    await away.stop()
    joiner = await cluster.join(await cluster.leader())
    await joiner.raft.transfer_leader(joiner.id)
    for i in range(30):
        await joiner.raft.propose(f"k{i}".encode())
    away.start()
    await cluster.settle()
    assert membership(away) == membership(joiner)
    assert len(tally(away).order) == 30


@simulated()
async def test_messages_of_strangers_and_of_the_removed_change_nothing(
    cluster: SimulatedCluster,
) -> None:
    """b41: responses of a node that is gone, or never was, are ignored."""
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
        await leader.runtime.api.send_message(message, timeout=1)
    leader.runtime.api._inbox.put_call(lambda: leader.runtime._raw.report_unreachable(77))
    assert await leader.raft.propose(b"x") == b"x:1"
    assert leader.running


@simulated()
async def test_a_node_that_moved_is_found(cluster: SimulatedCluster) -> None:
    """Issue (a)8: it starts at another address; the cluster finds it and learns it for good."""
    moved = await follower(cluster)
    await moved.stop()
    moved.start(address=f"{moved.name}:7001")
    await cluster.until(lambda: all_know(cluster, [moved]), 10)
    assert await moved.raft.propose(b"x") == b"x:1"
    assert (await agree(cluster)).address_of(moved.id) == moved.address


@simulated()
async def test_every_node_moves_one_after_the_other(cluster: SimulatedCluster) -> None:
    for node in list(cluster.nodes.values()):
        await (await cluster.leader()).raft.propose(f"before {node.id}".encode())
        node.crash()
        node.start(address=f"{node.name}:7001")
        await cluster.until(lambda: all_know(cluster, cluster.running()), 30)
    await cluster.settle()
    assert all(len(tally(node).order) == 3 for node in cluster.running())


@simulated()
async def test_a_static_cluster_moves_as_a_whole(cluster: SimulatedCluster) -> None:
    """All nodes get new addresses at once; their configuration says so."""
    await (await cluster.leader()).raft.propose(b"a")
    for node in cluster.nodes.values():
        await node.stop()
    addresses = {node.id: f"{node.name}:7001" for node in cluster.nodes.values()}
    cluster.config = replace(cluster.config, initial_peers=Peers(addresses))
    for node in cluster.nodes.values():
        node.start(address=addresses[node.id])
    await cluster.settle()
    await cluster.until(lambda: all_know(cluster, cluster.running()), 60)
