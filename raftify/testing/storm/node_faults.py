"""What a storm does to processes and their clocks. Whoever is down is started by the keeper."""

from __future__ import annotations

from random import Random

from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene, patient


def _victim(scene: Scene, random: Random) -> SimulatedNode | None:
    """Return a running node, the leader more often than others."""
    leader = scene.a_leader()
    if leader is not None and random.random() < 0.4:
        return leader
    return scene.any_node(random)


def _down_for(random: Random) -> float:
    return random.choice([0.0, random.uniform(0, 1), random.uniform(1, 10)])


async def crash(scene: Scene, random: Random) -> None:
    """A process dies at once, by a power failure or as by kill -9."""
    node = _victim(scene, random)
    if node is not None:
        scene.machine(node).down_until = scene.now + _down_for(random)
        node.crash(power_lost=random.random() < 0.7)


async def crash_at_await(scene: Scene, random: Random) -> None:
    """A process dies after its next so many callbacks: at any `await`."""
    node = _victim(scene, random)
    if node is not None:
        scene.machine(node).down_until = scene.now + _down_for(random)
        node.crash_after(random.randint(0, random.choice([5, 50, 500])))


async def crash_in_write(scene: Scene, random: Random) -> None:
    """The power is lost in the middle of one of the next disk writes."""
    node = _victim(scene, random)
    if node is not None:
        scene.machine(node).down_until = scene.now + _down_for(random)
        node.crash_in_write(random.randint(0, 8))


async def crash_all(scene: Scene, random: Random) -> None:
    """The power of the whole cluster fails (failures b1)."""
    for node in scene.running():
        scene.machine(node).down_until = scene.now + _down_for(random)
        node.crash(power_lost=True)


async def stop(scene: Scene, random: Random) -> None:
    """A process ends orderly, and comes back; every third time in a hurry, without a handover."""
    node = _victim(scene, random)
    if node is not None:
        machine = scene.machine(node)
        machine.down_until = scene.now + _down_for(random)
        machine.held = True
        machine.stops += 1
        try:
            await node.stop(handover=machine.stops % 3 != 0)
        finally:
            machine.held = False


async def pause(scene: Scene, random: Random) -> None:
    """A process stands still for longer than it takes to elect another."""
    node = _victim(scene, random)
    if node is None or node.paused:
        return
    machine, incarnation = scene.machine(node), node.incarnation
    machine.begin_oddity()
    node.pause()
    await patient(scene, random.choice([0.1, random.uniform(0.5, 3), random.uniform(3, 12)]))
    if node.incarnation == incarnation:
        node.resume()
    machine.end_oddity(scene.now + 1)


async def drift(scene: Scene, random: Random) -> None:
    """A clock runs too fast or too slow, and may jump."""
    node = _victim(scene, random)
    if node is None:
        return
    machine, incarnation = scene.machine(node), node.incarnation
    machine.begin_oddity()
    rate = random.choice([0.3, 0.8, 0.95, 1.05, 1.3, 3.0])
    node.set_clock(rate=rate, jump=random.choice([0.0, 0.0, random.uniform(-3, 10)]))
    await patient(scene, random.uniform(1, 10))
    if node.incarnation == incarnation:
        node.set_clock(rate=1.0)
    machine.end_oddity(scene.now + 20)


async def slow_apply(scene: Scene, random: Random) -> None:
    """A state machine takes its time, or hangs for a while."""
    node = _victim(scene, random)
    if node is None:
        return
    machine = scene.machine(node)
    if random.random() < 0.3:
        machine.begin_oddity()
        node.stall(disk=False)
        await patient(scene, random.uniform(0.5, 5))
        node.unstall()
        machine.end_oddity(scene.now + 1)
        return
    node.apply_pace = random.choice([0.01, 0.1, 0.5])
    await patient(scene, random.uniform(1, 6))
    node.apply_pace = 0.0001


NODE_FAULTS = (
    crash, crash, crash, crash_at_await, crash_at_await, crash_at_await, crash_in_write,
    crash_in_write, crash_all, stop, stop, pause, pause, drift, slow_apply,
)  # fmt: skip
