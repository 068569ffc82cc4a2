"""An emptied disk that comes back under its old id, where those that are left never voted with it.

A follower of a static cluster hears of the other followers in elections only, and the log does not
say which store is whose. Virtual time throughout.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.failures.simulation import simulated


def knows(node: SimulatedNode, other: SimulatedNode) -> bool:
    return node.runtime.storage.known_incarnations().get(other.id) is not None


async def everybody_knows_everybody(cluster: SimulatedCluster) -> None:
    nodes = cluster.running()
    await cluster.until(lambda: all(knows(n, o) for n in nodes for o in nodes if n is not o))


@pytest.mark.parametrize("with_peers", [True, False])
@simulated(0, invariants=False)  # a wiped disk has forgotten its term
async def test_an_empty_disk_elects_nobody_who_lacks_what_it_had_acknowledged(
    cluster: SimulatedCluster, with_peers: bool
) -> None:
    """Acknowledged writes were lost so: the only one left with an empty disk had not met it."""
    await cluster.start(3)
    await everybody_knows_everybody(cluster)
    leader = await cluster.leader()
    lags, wiped = (node for node in cluster.running() if node is not leader)
    cluster.network.cut(leader.name, lags.name)
    cluster.network.cut(lags.name, leader.name)
    for number in range(10):
        await leader.raft.propose(f"k{number}".encode())
    committed = leader.runtime.state.committed
    peers = leader.raft.get_peers()
    wiped.wipe()
    if with_peers:
        wiped.config = replace(cluster.config, initial_peers=peers)
    wiped.start(None if with_peers else wiped.id)
    leader.crash()
    await asyncio.sleep(20)
    assert lags.runtime.storage.last_index() < committed
    assert not lags.leads
    assert not (wiped.running and wiped.leads)
    # It never counts again: with the leader back the two that have their disks go on.
    leader.start()
    cluster.network.heal()
    await cluster.until(lambda: any(node.running and node.leads for node in (leader, lags)), 30)
    assert await (await cluster.leader()).raft.propose(b"after") == b"after:1"
    await cluster.until(lambda: not wiped.running, 30)


@simulated(0)
async def test_who_was_away_when_the_others_began_meets_them_later(
    cluster: SimulatedCluster,
) -> None:
    """A greeting that did not arrive is repeated: in silence nobody would ever call again."""
    await cluster.start(5)
    nodes = cluster.running()
    late = nodes[-1]
    await everybody_knows_everybody(cluster)
    cluster.network.isolate(late.name)
    for node in nodes:
        for other in nodes:
            node.runtime.storage.remember_incarnation(other.id, "")
        node.crash()
    for node in nodes:
        node.start()
    await asyncio.sleep(10)
    assert not any(knows(node, late) or knows(late, node) for node in nodes)
    cluster.network.heal()
    await everybody_knows_everybody(cluster)


@simulated(0)
async def test_who_knows_no_members_yet_meets_them_later(cluster: SimulatedCluster) -> None:
    """Founded by one call, the nodes learn of each other one after the other."""
    nodes = [cluster.new_machine(number) for number in (1, 2, 3)]
    for node in nodes:
        cluster.nodes[node.id] = node
        node.start(node.id)
    last = nodes[-1]
    # It waits to be called until the other two have greeted everybody.
    cluster.network.cut(nodes[0].name, last.name)
    await nodes[0].raft.initialize({node.id: node.address for node in nodes}, timeout=30)
    await asyncio.sleep(10)
    cluster.network.heal()
    await everybody_knows_everybody(cluster)
