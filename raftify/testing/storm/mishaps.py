"""What goes wrong with several things at once, in the one order that hurts: each a short story.

Beside the faults that a storm draws one by one: those meet like this once in thousands of seeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from raftify.core.progress import ProgressState
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.requests import burst_at, politely
from raftify.testing.storm.scene import Scene, patient

Mishap = Callable[[Scene, Random], Awaitable[None]]

_SECONDS = 3.0


class Mishaps:
    """Lets one after the other happen while the storm lasts; a storm has some of them."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.random = Random(f"{scene.plan.seed}/mishaps")
        self._kinds = [kind for kind in ALL if self.random.random() < 0.6]

    async def run(self) -> None:
        """Go on until the storm is over."""
        scene, random = self.scene, self.random
        while self._kinds and not scene.over:
            await patient(scene, random.expovariate(1 / (2 + 3 * scene.plan.fault_pause)))
            if not scene.over:
                mishap = random.choice(self._kinds)
                scene.count(f"mishap: {mishap.__name__.replace('_', ' ')}")
                await politely(scene, mishap, random)


def _links(scene: Scene, node: SimulatedNode, *, inwards: bool) -> list[tuple[str, str]]:
    """Return all ways out of `node`, and with `inwards` those into it as well."""
    others = [other.name for other in scene.cluster.nodes.values() if other is not node]
    ways = [(node.name, other) for other in others]
    return ways + [(other, node.name) for other in others] if inwards else ways


async def _cut_off(scene: Scene, ways: list[tuple[str, str]], seconds: float) -> None:
    network = scene.cluster.network
    for source, target in ways:
        network.cut(source, target)
    await patient(scene, seconds)
    for source, target in ways:
        network.mend(source, target)


async def half_dead(scene: Scene, random: Random) -> None:
    """A leader's host half dies: its disk hangs and nobody hears it. It takes orders all the same,
    and hears of its successor before the disk goes on."""
    node = scene.a_leader()
    if node is None:
        return
    incarnation = node.incarnation
    node.stall()
    orders = asyncio.create_task(_order(scene, random, node), name="orders")
    await _cut_off(scene, _links(scene, node, inwards=False), random.uniform(0.5, 5))
    await patient(scene, random.uniform(0, 1))
    if node.incarnation == incarnation:
        node.unstall()
    await orders


async def _order(scene: Scene, random: Random, node: SimulatedNode) -> None:
    """Propose at `node`, a few at a time."""
    for _ in range(random.randint(1, 4)):
        await politely(scene, lambda s, r: burst_at(s, r, node, 0.01), random)
        await patient(scene, random.uniform(0, 0.3))


async def slow_return(scene: Scene, random: Random) -> None:
    """The power of a machine fails, and its disk is slow when it comes back."""
    node = scene.a_leader() if random.random() < 0.6 else scene.any_node(random)
    if node is None:
        return
    scene.machine(node).down_until = scene.now
    node.crash()
    node.disk_pace = random.choice([0.1, 0.5])
    await patient(scene, random.uniform(1, 5))
    node.disk_pace = 0.001


async def broken_snapshot(scene: Scene, random: Random) -> None:
    """A node was away for so long that it needs a snapshot, and the link breaks under way."""
    leader = scene.a_leader()
    if leader is None:
        return
    others = [node for node in scene.cluster.nodes.values() if node is not leader]
    if not others:
        return
    node = random.choice(others)
    ways = [(leader.name, node.name), (node.name, leader.name)]
    away = asyncio.create_task(_cut_off(scene, ways, random.uniform(0.5, 3)), name="away")
    await politely(scene, lambda s, r: burst_at(s, r, leader, _SECONDS), random)
    index = await leader.raft.make_snapshot(timeout=_SECONDS)
    await leader.raft.purge_log(index, timeout=_SECONDS)
    await away
    for _ in range(200):
        if scene.over or _gets_snapshot(leader, node.id):
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(random.uniform(0, 0.003))
    await _cut_off(scene, ways, random.choice([0.0, random.uniform(0, 2.5)]))


def _gets_snapshot(leader: SimulatedNode, node_id: int) -> bool:
    core = leader.view.raft
    progress = None if core is None else core.tracker.get(node_id)
    return progress is not None and progress.state is ProgressState.SNAPSHOT


#: All there are; a storm has some of them.
ALL: tuple[Mishap, ...] = (half_dead, slow_return, broken_snapshot)
