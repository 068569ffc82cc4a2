"""What goes wrong with several things at once, in the one order that hurts: each a short story.

Beside the faults that a storm draws one by one: those meet like this once in thousands of seeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from raftify.core.progress import ProgressState
from raftify.testing.simulation.network import Conditions
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.requests import burst_at
from raftify.testing.storm.scene import NotPossible, Scene, patient

Mishap = Callable[[Scene, Random], Awaitable[None]]

#: How long one request may take, and how long a cluster may be without a leader once all is well.
_SECONDS, _UNTIL_LED = 3.0, 120.0


class Mishaps:
    """Lets one after the other happen while the storm lasts, and perhaps one more behind it.

    A storm has some of `kinds`, by default of all there are.
    """

    def __init__(self, scene: Scene, kinds: Sequence[Mishap] | None = None) -> None:
        self.scene = scene
        self.random = Random(f"{scene.plan.seed}/mishaps")
        kinds = ALL if kinds is None else kinds
        self._kinds = [kind for kind in kinds if self.random.random() < 0.6]

    async def run(self) -> None:
        """Go on until the storm is over."""
        scene, random = self.scene, self.random
        while not scene.over:
            await patient(scene, random.expovariate(1 / (2 + 3 * scene.plan.fault_pause)))
            if not scene.over:
                await self._one()

    async def last(self) -> bool:
        """Let one happen when all else is well: nothing that comes behind mends it by accident.

        Returns whether one did.
        """
        if not self._kinds or self.random.random() < 0.4:
            return False
        await self.scene.cluster.leader(_UNTIL_LED)
        await self._one()
        return True

    async def _one(self) -> None:
        if self._kinds:
            mishap = self.random.choice(self._kinds)
            name = f"mishap: {mishap.__name__.replace('_', ' ')}"
            await self.scene.attempt(name, self.scene.faults, mishap(self.scene, self.random))


async def half_dead(scene: Scene, random: Random) -> None:
    """A leader's host half dies: its disk hangs and nobody hears it. It takes orders all the same,
    and hears of its successor before the disk goes on."""
    node = scene.the_leader()
    others = [other.name for other in scene.cluster.nodes.values() if other is not node]
    incarnation = node.incarnation
    node.stall()
    orders = asyncio.create_task(_order(scene, random, node), name="orders")
    await _cut(scene, [(node.name, other) for other in others], random.uniform(0.5, 5))
    await asyncio.sleep(random.uniform(0, 1))
    if node.incarnation == incarnation:
        node.unstall()
    await orders


async def slow_return(scene: Scene, random: Random) -> None:
    """The power of a machine fails, and its disk is slow when it comes back."""
    node = scene.some_node(random, leader=0.6)
    scene.machine(node).down_until = scene.now
    node.crash()
    node.disk_pace = random.choice([0.1, 0.5])
    await asyncio.sleep(random.uniform(2, 6))
    node.disk_pace = 0.001


async def left_behind(scene: Scene, random: Random) -> None:
    """A node is away for so long that it needs a snapshot. Its disk may hang before, so that a part
    of its log is still being written; or the link breaks again while the snapshot is under way."""
    leader = scene.the_leader()
    others = [node for node in scene.running() if node is not leader]
    if not others:
        raise NotPossible("the leader is alone")
    node = random.choice(others)
    incarnation = node.incarnation
    ways = [(leader.name, node.name), (node.name, leader.name)]
    hangs = random.random() < 0.5
    if hangs:
        node.stall()
        await burst_at(scene, random, leader, 0.05)
    away = asyncio.create_task(_cut(scene, ways, random.uniform(0.5, 3)), name="away")
    try:
        await _discard(scene, random, leader)
    finally:
        await away
        if hangs:
            await burst_at(scene, random, leader, random.uniform(0, 1))
            if node.incarnation == incarnation:
                node.unstall()
        else:
            await _break_snapshot(scene, random, leader, node)


async def outvoted(scene: Scene, random: Random) -> None:
    """A leader stays with the smaller part of the voters and some learners. They go on following it
    while the larger part elects another. It may take orders that come to nothing, while its
    successor goes so far that those need a snapshot who stayed behind."""
    leader = scene.the_leader()
    conf_state = leader.runtime.state.membership.conf_state
    voters = [i for i in conf_state.voters if i != leader.id]
    if not voters:
        raise NotPossible("the leader is the only voter")
    kept = {leader.id, *random.sample(voters, max(len(voters) // 2 - 1, 0))}
    kept.update(i for i in conf_state.learners if random.random() < 0.5)
    names = {node.name: node.id in kept for node in scene.cluster.nodes.values()}
    ways = [(one, two) for one in names for two in names if names[one] != names[two]]
    apart = _cut(scene, ways, random.uniform(1.5, 5) * scene.election_timeout(leader))
    if random.random() < 0.5:
        await apart
        return
    cut = asyncio.create_task(apart, name="apart")
    try:
        await _order(scene, random, leader)
        await _discard(scene, random, await _successor(scene, leader, cut))
    finally:
        await cut


async def overtaken(scene: Scene, random: Random) -> None:
    """A node stands still while its leader is cut off from all others and goes on, until another is
    elected: it finds the words of both in one heap, and what it wrote is done by then. Where so few
    are left that they elect nobody, the leader itself stands still."""
    leader = scene.the_leader()
    others = [node for node in scene.running() if node is not leader and not node.paused]
    if not others:
        raise NotPossible("the leader is alone")
    node = leader if len(others) < 3 else random.choice([leader, *others])
    machine, incarnation = scene.machine(node), node.incarnation
    rest = [other.name for other in others if other is not node]
    # A leader that stands still is to hear of its successor, as soon as there is one.
    ways = [(leader.name, other) for other in rest]
    ways += [] if node is leader else [(other, leader.name) for other in rest]
    node.disk_pace = random.choice([0.001, 0.05, 0.3])
    machine.begin_oddity()
    try:
        if node is not leader and random.random() < 0.5:
            node.pause()
        await burst_at(scene, random, leader, 0.01)
        seconds = random.uniform(2, 6) * scene.election_timeout(leader)
        cut = asyncio.create_task(_cut(scene, ways, seconds), name="cut")
        await asyncio.sleep(0)
        await _order(scene, random, leader)
        if node.incarnation == incarnation and not node.paused:
            # It may be writing, and hear of the end behind all else, or before.
            await burst_at(scene, random, leader, 0.01)
            await asyncio.sleep(random.uniform(0, node.disk_pace))
            if node.incarnation == incarnation:
                node.pause()
            await asyncio.sleep(random.choice([0, node.disk_pace]))
            if node is not leader:
                await _order(scene, random, leader)
        await cut
    finally:
        if node.incarnation == incarnation:
            node.resume()
        node.disk_pace = 0.001
        machine.end_oddity(scene.now + 1)


async def told_twice(scene: Scene, random: Random) -> None:
    """A node that was away gets a snapshot, goes on, and gets it again: its receipt was lost."""
    leader = scene.the_leader()
    others = [node for node in scene.running() if node is not leader]
    if not others:
        raise NotPossible("the leader is alone")
    node, network = random.choice(others), scene.cluster.network
    ways = [(leader.name, node.name), (node.name, leader.name)]
    away = asyncio.create_task(_cut(scene, ways, random.uniform(0.3, 1)), name="away")
    try:
        await _discard(scene, random, leader)
    finally:
        await away
    network.set_link(leader.name, node.name, Conditions(duplicate=1.0))
    try:
        for _ in range(random.randint(2, 6)):
            await asyncio.sleep(random.uniform(0, 0.5))
            await burst_at(scene, random, leader, 0.05)
            if random.random() < 0.5:
                index = await node.raft.make_snapshot(timeout=_SECONDS)
                await node.raft.purge_log(index, timeout=_SECONDS)
    finally:
        network.set_link(leader.name, node.name, Conditions())


async def _successor(scene: Scene, old: SimulatedNode, while_: asyncio.Task[None]) -> SimulatedNode:
    """Return who leads instead of `old`, once somebody does."""
    while not while_.done():
        leader = scene.a_leader()
        if leader is not None and leader is not old:
            return leader
        await asyncio.sleep(0.05)
    raise NotPossible("nobody was elected in time")


async def _discard(scene: Scene, random: Random, leader: SimulatedNode) -> None:
    """Propose at `leader`, and let it discard the log behind a snapshot of that."""
    await burst_at(scene, random, leader, _SECONDS)
    index = await leader.raft.make_snapshot(timeout=_SECONDS)
    await leader.raft.purge_log(index, timeout=_SECONDS)


async def _break_snapshot(
    scene: Scene, random: Random, leader: SimulatedNode, node: SimulatedNode
) -> None:
    """Cut the way to `node` while a snapshot is on it, if one soon is."""
    network = scene.cluster.network
    delay = random.choice([0.05, 0.3])
    network.set_link(leader.name, node.name, Conditions(delay=delay, jitter=delay / 4))
    for _ in range(60):
        core = leader.view.raft
        progress = None if core is None else core.tracker.get(node.id)
        if progress is not None and progress.state is ProgressState.SNAPSHOT:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(random.uniform(0, 2 * delay))
    ways = [(leader.name, node.name), (node.name, leader.name)]
    await _cut(scene, ways, random.uniform(0.3, 2.5))
    network.set_link(leader.name, node.name, Conditions())


async def _cut(scene: Scene, ways: list[tuple[str, str]], seconds: float) -> None:
    """Lose all that goes one of these ways for so long."""
    network = scene.cluster.network
    for source, target in ways:
        network.cut(source, target)
    await asyncio.sleep(seconds)
    for source, target in ways:
        network.mend(source, target)


async def _order(scene: Scene, random: Random, node: SimulatedNode) -> None:
    """Propose at `node`, a few at a time, and wait for nothing."""
    for _ in range(random.randint(1, 4)):
        await burst_at(scene, random, node, 0.01)
        await asyncio.sleep(random.uniform(0, 0.3))


#: All there are; a storm has some of them.
ALL: tuple[Mishap, ...] = (half_dead, slow_return, left_behind, outvoted, overtaken, told_twice)
