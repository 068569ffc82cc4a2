"""New options for a whole cluster, as an operator brings them in: one node after the other."""

from __future__ import annotations

from random import Random

from raftify.errors import RaftifyError
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.plan import draw_config
from raftify.testing.storm.scene import NotPossible, Scene, patient

#: How long a node has to catch up before the next one is stopped, in seconds.
_SECONDS = 3.0


async def upgrade(scene: Scene, random: Random) -> None:
    """Stop each node, give it other options, start it, and wait until it has caught up.

    Options that must be the same everywhere stay what they are.

    Raises:
        NotPossible: no node could be stopped, or somebody else had it in hand.
    """
    nodes, upgraded = list(scene.cluster.nodes.values()), 0
    random.shuffle(nodes)
    for node in nodes:
        if scene.over:
            break
        upgraded += await _upgrade_one(scene, random, node)
    if not upgraded:
        raise NotPossible("no node could be upgraded")
    scene.requests["node upgraded"] += upgraded
    if upgraded == len(scene.cluster.nodes):
        scene.reach("every node upgraded, one after the other")


async def _upgrade_one(scene: Scene, random: Random, node: SimulatedNode) -> bool:
    """Return whether `node` runs with other options."""
    machine = scene.machine(node)
    if not _may_be_stopped(scene, node):
        return False
    machine.held = True
    machine.stops += 1
    try:
        await node.stop()
        if node.running or machine.lost:
            return False
        node.config = draw_config(random, scene.plan)
        node.start()
    except RaftifyError:
        # Its disk fails, say; whoever looks after it starts it again, and with these options.
        return False
    finally:
        machine.held = False
    incarnation, until = node.incarnation, scene.now + _SECONDS
    while scene.now < until and not scene.over and not _caught_up(scene, node):
        await patient(scene, 0.1)
    return node in scene.running() and node.incarnation == incarnation


def _may_be_stopped(scene: Scene, node: SimulatedNode) -> bool:
    machine, is_there = scene.machine(node), node.id in scene.cluster.nodes
    return is_there and node.running and not (machine.held or machine.lost or node.paused)


def _caught_up(scene: Scene, node: SimulatedNode) -> bool:
    leader = scene.a_leader()
    if leader is None or not node.running:
        return False
    return node.runtime.state.applied >= leader.runtime.state.committed
