"""Members that go, and what that is like for others that are away, slow, or elsewhere."""

from __future__ import annotations

import asyncio
from random import Random

from raftify.testing.simulation.node import STOP, SimulatedNode
from raftify.testing.storm.scene import NotPossible, Scene

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
        scene.reach("machine of a removed node scrapped")
        node.crash()
        del scene.cluster.nodes[node_id]


async def leave(scene: Scene, node: SimulatedNode) -> bool:
    """Let `node` leave the cluster; say whether it did.

    A process that somebody else ended meanwhile may not have left before.
    """
    machine, node_id = scene.machine(node), node.id
    before = (STOP, node.incarnation, machine.stops)
    expect_removal(scene, {node_id})
    await node.leave(timeout=_SECONDS)
    # How it ended before says nothing of one that runs: it waits for more to know that it left.
    left = not node.running and (node.last_end, node.incarnation, machine.stops) == before
    if left:
        scene.departed.demand_told_late(node_id)
    return left


async def remove_unheard(scene: Scene, random: Random, *, leaves: bool) -> None:
    """Remove a voter while the disks of others hang, as many as the commit can do without: few of
    those that stay know of it then, and may still need its vote. Or it `leaves` by itself, and the
    leader crashes before it can say what became of that."""
    leader = scene.a_leader()
    others = _other_voters(scene, leader)
    if leader is None or len(others) < 2:
        raise NotPossible("there are too few voters")
    random.shuffle(others)
    gone, slow = others[0], others[1 : 1 + len(others) // 2]
    if leaves and gone.paused:
        raise NotPossible(f"{gone} stands still")
    before = [(node, node.incarnation) for node in slow]
    for node in slow:
        node.stall()
    work = leave(scene, gone) if leaves else _remove(scene, leader, gone.id)
    asking = asyncio.create_task(work, name="removal")
    timeout = scene.election_timeout(leader)
    await asyncio.wait([asking], timeout=_A_MOMENT + random.uniform(0, 3) * timeout)
    if leaves:
        scene.machine(leader).down_until = scene.now + random.uniform(0, 3)
        leader.crash()
        await asyncio.wait([asking], timeout=random.uniform(0.1, 1))
    for node, incarnation in before:
        if node.incarnation == incarnation:
            node.unstall()
    await asking


async def move_unseen(scene: Scene, random: Random) -> None:
    """A voter is away while another joins and comes to lead, and while one that it knows goes for
    good. It comes back at another address, where the leader does not call it."""
    leader = scene.a_leader()
    others = _other_voters(scene, leader)
    if leader is None or len(others) < 2 or not scene.everybody_can_be_found():
        raise NotPossible("there are too few voters, or another one is lost")
    away = random.choice(others)
    machine = scene.machine(away)
    if machine.held or not away.runtime.state.membership.is_member(away.id):
        raise NotPossible(f"{away} cannot be away now")
    machine.held = True
    away.crash()
    try:
        fresh = await scene.cluster.join(leader)
        await fresh.raft.transfer_leader(fresh.id, timeout=_SECONDS)
        gone = min({leader.id, *(node.id for node in others)} - {away.id})
        await _remove(scene, fresh, gone)
        scrap(scene, gone)
    finally:
        machine.held = False
        if not away.running and scene.knows_the_others(away) and scene.everybody_can_be_found():
            away.start(address=f"{away.name}:{random.randint(7001, 7999)}")
            scene.reach("moved to another address")


async def _remove(scene: Scene, leader: SimulatedNode, node_id: int) -> bool:
    expect_removal(scene, {node_id})
    led_to = await leader.raft.change_config(remove=[node_id], timeout=_SECONDS)
    scene.departed.demand_known(led_to)
    return True


def _other_voters(scene: Scene, leader: SimulatedNode | None) -> list[SimulatedNode]:
    """Return the voters beside `leader` that run, by what it knows."""
    if leader is None:
        return []
    voters = leader.runtime.state.membership.conf_state.voters
    nodes = [scene.cluster.nodes[i] for i in voters if i in scene.cluster.nodes]
    return [node for node in nodes if node is not leader and node.running]
