"""Faults of processes: killed, paused, ended, replaced."""

from __future__ import annotations

import asyncio

from tests.chaos.cluster import Machine, NotSettled
from tests.chaos.partitions import partition
from tests.chaos.scene import ELECTION_SECONDS, LONG, Scene

JOIN_ATTEMPTS = 4


async def kill(scene: Scene) -> None:
    """kill -9 the leader or others, up to a minority at once, and start them again."""
    victims = await scene.minority()
    await asyncio.gather(*(scene.cluster.kill(m) for m in victims))
    await scene.wait(0, 1.5 * ELECTION_SECONDS)
    await asyncio.gather(*(scene.cluster.start(m) for m in victims))


async def kill_all(scene: Scene) -> None:
    """kill -9 everybody at once, as when the power fails, and start them again."""
    await asyncio.gather(*(scene.cluster.kill(m) for m in scene.machines()))
    await asyncio.gather(*(scene.cluster.start(m) for m in scene.machines()))


async def kill_again_and_again(scene: Scene) -> None:
    """kill -9 one node again as soon as it has started."""
    victim = await scene.leader_or_any()
    for _ in range(3):
        await scene.cluster.kill(victim)
        await scene.cluster.start(victim)


async def pause_leader(scene: Scene) -> None:
    """SIGSTOP the leader until another one was elected, then SIGCONT."""
    leader = await scene.cluster.leader()
    scene.stop(leader)
    try:
        await scene.wait(*LONG)
        await scene.another_leads(leader)
    finally:
        scene.resume(leader)


async def pause_others(scene: Scene) -> None:
    """SIGSTOP as many followers as a minority has, then SIGCONT."""
    leader = await scene.cluster.leader()
    most = (len(scene.machines()) - 1) // 2
    victims = scene.random.sample(scene.others(leader), most)
    for machine in victims:
        scene.stop(machine)
    try:
        await scene.wait(*LONG)
    finally:
        for machine in victims:
            scene.resume(machine)


async def rolling_restart(scene: Scene) -> None:
    """End every node in good order and start it again, one after the other."""
    for machine in scene.machines():
        await scene.cluster.end(machine)
        await scene.cluster.start(machine)
        await scene.cluster.settled()


async def kill_while_cut_off(scene: Scene) -> None:
    """A minority is cut off, and another one is killed meanwhile; there may be no majority."""
    await asyncio.gather(partition(scene), kill(scene))


async def join_under_kills(scene: Scene) -> None:
    """A machine joins; its node is killed on the way and starts again, while another is killed too.

    Then one of the old machines leaves. A joiner that asks again must be given its id again.
    """
    cluster = scene.cluster
    old = scene.random.choice(scene.machines())
    new = await cluster.add_machine()
    await cluster.start_in_vain(new, scene.random.uniform(0.5, 3.0))
    victim = scene.random.choice(scene.others(new))
    await asyncio.gather(_start_until_joined(scene, new), _restart(scene, victim))
    await cluster.settled()
    await cluster.leave(old)
    await cluster.remove_machine(old)


async def _restart(scene: Scene, victim: Machine) -> None:
    await scene.cluster.kill(victim)
    await scene.cluster.start(victim)


async def _start_until_joined(scene: Scene, machine: Machine) -> None:
    """Start a node that joins, again where the one that it asked was killed."""
    for _ in range(JOIN_ATTEMPTS):
        if await scene.cluster.try_to_join(machine):
            return
    raise NotSettled(f"{machine.name} did not become a member in {JOIN_ATTEMPTS} attempts")


async def replace_all(scene: Scene) -> None:
    """Let a new machine join and an old one leave, until no machine is left of those that were."""
    cluster = scene.cluster
    for old in scene.machines():
        new = await cluster.add_machine()
        await cluster.start(new)
        await cluster.settled()
        await cluster.leave(old)
        await cluster.remove_machine(old)
        await cluster.settled()
