"""What a storm does to the network. Each fault is a coroutine that undoes what it did."""

from __future__ import annotations

from random import Random

from raftify.testing.simulation.network import Conditions
from raftify.testing.storm.scene import NotPossible, Scene, patient

#: Seconds that a packet may be under way over a slow link, and wait for a narrow one.
_UNDER_WAY = 10.0


def _several(scene: Scene) -> list[str]:
    """Return the names of the machines.

    Raises:
        NotPossible: there is one alone, which nothing can cut off.
    """
    names = [node.name for node in scene.cluster.nodes.values()]
    if len(names) < 2:
        raise NotPossible("there is one machine only")
    return names


def _mend(scene: Scene, pairs: list[tuple[str, str]]) -> None:
    for one, other in pairs:
        scene.cluster.network.mend(one, other)


async def _cut_for(scene: Scene, pairs: list[tuple[str, str]], seconds: float) -> None:
    for source, target in pairs:
        scene.cluster.network.cut(source, target)
    await patient(scene, seconds)
    _mend(scene, pairs)


async def one_way(scene: Scene, random: Random) -> None:
    """Nothing gets from one machine to another; the other way works."""
    source, target = random.sample(_several(scene), 2)
    await _cut_for(scene, [(source, target)], random.uniform(0.5, 8))


async def deaf(scene: Scene, random: Random) -> None:
    """One machine hears nobody; or, of the other kind, nobody hears it."""
    names = _several(scene)
    name = random.choice(names)
    others = [other for other in names if other != name]
    pairs = [(other, name) for other in others]
    if random.random() < 0.5:
        pairs = [(name, other) for other in others]
    await _cut_for(scene, pairs, random.uniform(0.5, 8))


async def isolate(scene: Scene, random: Random) -> None:
    """One machine is cut off, often the leader."""
    names, leader = _several(scene), scene.a_leader()
    name = leader.name if leader is not None and random.random() < 0.5 else random.choice(names)
    pairs = [pair for other in names if other != name for pair in ((name, other), (other, name))]
    await _cut_for(scene, pairs, random.uniform(0.5, 10))


async def split(scene: Scene, random: Random) -> None:
    """Two groups do not reach each other; the leader is often in the smaller one."""
    names, leader = _several(scene), scene.a_leader()
    group = set(random.sample(names, random.randint(1, max(len(names) // 2, 1))))
    if leader is not None and leader.name not in group and random.random() < 0.5:
        group.remove(min(group))
        group.add(leader.name)
    pairs = [(one, two) for one in names for two in names if (one in group) != (two in group)]
    await _cut_for(scene, pairs, random.uniform(0.5, 10))


async def bridge(scene: Scene, random: Random) -> None:
    """Each machine reaches only some of the others, in both directions (Cloudflare, 2020)."""
    names = _several(scene)
    pairs = []
    for i, one in enumerate(names):
        for two in names[:i]:
            if random.random() < 0.5:
                pairs += [(one, two), (two, one)]
    await _cut_for(scene, pairs, random.uniform(0.5, 10))


async def flapping(scene: Scene, random: Random) -> None:
    """A link comes and goes."""
    one, two = random.sample(_several(scene), 2)
    for _ in range(random.randint(3, 12)):
        await _cut_for(scene, [(one, two), (two, one)], random.uniform(0.02, 0.5))
        await patient(scene, random.uniform(0.02, 0.5))


async def bad_weather(scene: Scene, random: Random) -> None:
    """All links lose, double, reorder, damage and delay what they carry."""

    def rate(most: float) -> float:
        return random.choice([0.0, random.random() * most])

    conditions = Conditions(
        delay=random.choice([0.0003, 0.005, 0.05]),
        jitter=random.choice([0.0003, 0.01, 0.1]),
        loss=rate(0.2),
        duplicate=rate(0.2),
        reorder=rate(0.5),
        corrupt=rate(0.05),
        bytes_per_second=random.choice([None, None, 20_000.0]),
    )
    scene.slow_until = max(scene.slow_until, scene.now + 10 + _UNDER_WAY)
    scene.cluster.network.set_conditions(conditions)
    await patient(scene, random.uniform(1, 10))
    scene.cluster.network.set_conditions(Conditions())


async def slow_link(scene: Scene, random: Random) -> None:
    """One direction between two machines is slow, and narrow."""
    source, target = random.sample(_several(scene), 2)
    delay = random.choice([0.05, 0.3, 1.5])
    conditions = Conditions(delay=delay, jitter=delay / 2, bytes_per_second=5_000.0)
    scene.cluster.network.set_link(source, target, conditions)
    scene.slow_until = max(scene.slow_until, scene.now + 8 + _UNDER_WAY)
    await patient(scene, random.uniform(1, 8))
    scene.cluster.network.set_link(source, target, Conditions())


NETWORK_FAULTS = (
    one_way, deaf, isolate, isolate, split, split, bridge, flapping, bad_weather, bad_weather,
    slow_link,
)  # fmt: skip
