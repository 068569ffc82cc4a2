"""Faults of the network."""

from __future__ import annotations

import asyncio

from tests.chaos.cluster import Machine
from tests.chaos.scene import ELECTION_SECONDS, LONG, Scene

SLOW_SECONDS = 0.1


async def partition(scene: Scene) -> None:
    """Cut a minority off, in both directions; the rest must have a leader."""
    inside = await scene.minority()
    await _cut_off(scene, inside)
    await scene.wait(*LONG)
    await scene.another_leads(*inside)
    await _mend(scene)


async def one_way_out(scene: Scene) -> None:
    """The leader hears everybody, and nobody hears it; they elect another one."""
    await _one_way(scene, outward=True)


async def one_way_in(scene: Scene) -> None:
    """Everybody hears the leader, and it hears nobody; it gives up, and they elect another one."""
    await _one_way(scene, outward=False)


async def _one_way(scene: Scene, *, outward: bool) -> None:
    leader = await scene.cluster.leader()
    for other in scene.others(leader):
        ends = (leader.name, other.name) if outward else (other.name, leader.name)
        await scene.cluster.network.cut(*ends)
    await scene.wait(*LONG)
    await scene.another_leads(leader)
    await _mend(scene)


async def partial(scene: Scene) -> None:
    """Each half is cut from the other, but one machine reaches all: the bridge, or the leader.

    With three machines just two of them do not reach each other.
    """
    middle, *rest = scene.random.sample(scene.machines(), len(scene.machines()))
    if scene.random.random() < 0.5:
        # Not the leader in the middle: it loses half of the others.
        leader = await scene.cluster.leader()
        rest = [leader, *(m for m in scene.others(leader, middle))]
        if middle is leader:
            middle = rest.pop()
    half = len(rest) // 2
    for one in rest[:half]:
        for other in rest[half:]:
            await scene.cluster.network.cut_both(one.name, other.name)
    await scene.wait(*LONG)
    await _mend(scene)


async def flapping(scene: Scene) -> None:
    """Links of the leader come and go, faster than elections."""
    leader = await scene.cluster.leader()
    loop = asyncio.get_running_loop()
    end = loop.time() + scene.random.uniform(*LONG)
    while loop.time() < end:
        await _cut_off(scene, [leader])
        await scene.wait(0.1 * ELECTION_SECONDS, 0.8 * ELECTION_SECONDS)
        await _mend(scene)
        await scene.wait(0.05 * ELECTION_SECONDS, 0.3 * ELECTION_SECONDS)


async def slow_links(scene: Scene) -> None:
    """All that one machine sends is late, or its line is narrow where the kernel cannot delay."""
    slow = await scene.leader_or_any()
    await scene.cluster.network.slow(slow.name, SLOW_SECONDS)
    await scene.wait(*LONG)
    await _mend(scene)


async def _cut_off(scene: Scene, inside: list[Machine]) -> None:
    for one in inside:
        for other in scene.others(*inside):
            await scene.cluster.network.cut_both(one.name, other.name)


async def _mend(scene: Scene) -> None:
    await scene.cluster.network.mend_all(m.name for m in scene.machines())
