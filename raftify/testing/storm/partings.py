"""Members that go, and what that is like for others that are away, slow, or elsewhere."""

from __future__ import annotations

import asyncio
from random import Random

from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene

_SECONDS = 5.0
#: How long the commit of a change takes at most where nothing holds it up.
_A_MOMENT = 0.2


def expect_removal(scene: Scene, ids: set[int]) -> None:
    """Note that somebody is about to ask for the removal of `ids`."""
    for node_id in ids:
        node = scene.cluster.nodes.get(node_id)
        if node is not None:
            scene.machine(node).removing = True


def scrap(scene: Scene, node_id: int) -> None:
    """Let the machine of a node whose removal was acknowledged be gone for good: it may be,
    whatever becomes of the others."""
    node = scene.cluster.nodes.get(node_id)
    if node is not None and not scene.machine(node).held:
        scene.count("machine of a removed node scrapped")
        node.crash()
        del scene.cluster.nodes[node_id]


async def remove_unheard(scene: Scene, random: Random) -> None:
    """Remove a voter while the disks of others hang, as many as the commit can do without: few of
    those that stay know of it then, and may still need its vote."""
    leader = scene.a_leader()
    others = _other_voters(scene, leader)
    if leader is None or len(others) < 2:
        return
    random.shuffle(others)
    gone, slow = others[0], others[1 : 1 + len(others) // 2]
    expect_removal(scene, {gone.id})
    before = [(node, node.incarnation) for node in slow]
    for node in slow:
        node.stall()
    asked = leader.raft.change_config(remove=[gone.id], timeout=_SECONDS)
    asking = asyncio.create_task(asked, name="removal")
    config = scene.cluster.config_of(leader)
    timeout = config.tick_interval * config.raft_config.election_tick
    await asyncio.wait([asking], timeout=_A_MOMENT + random.uniform(0, 3) * timeout)
    for node, incarnation in before:
        if node.incarnation == incarnation:
            node.unstall()
    scene.departed.demand_known(await asking)


async def move_unseen(scene: Scene, random: Random) -> None:
    """A voter is away while another joins and comes to lead, and while one that it knows goes for
    good. It comes back at another address, where the leader does not call it."""
    leader = scene.a_leader()
    others = _other_voters(scene, leader)
    if leader is None or len(others) < 2 or not scene.everybody_can_be_found():
        return
    away = random.choice(others)
    machine = scene.machine(away)
    if machine.held or not away.runtime.state.membership.is_member(away.id):
        return
    machine.held = True
    away.crash()
    try:
        fresh = await scene.cluster.join(leader)
        await fresh.raft.transfer_leader(fresh.id, timeout=_SECONDS)
        gone = min({leader.id, *(node.id for node in others)} - {away.id})
        expect_removal(scene, {gone})
        led_to = await fresh.raft.change_config(remove=[gone], timeout=_SECONDS)
        scene.departed.demand_known(led_to)
        scrap(scene, gone)
    finally:
        machine.held = False
        if not away.running and scene.everybody_can_be_found():
            scene.count("moved to another address")
            away.start(address=f"{away.name}:{random.randint(7001, 7999)}")


def _other_voters(scene: Scene, leader: SimulatedNode | None) -> list[SimulatedNode]:
    """Return the voters beside `leader` that run, by what it knows."""
    if leader is None:
        return []
    voters = leader.runtime.state.membership.conf_state.voters
    nodes = [scene.cluster.nodes[i] for i in voters if i in scene.cluster.nodes]
    return [node for node in nodes if node is not leader and node.running]
