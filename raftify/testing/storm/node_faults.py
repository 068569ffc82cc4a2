"""What a storm does to processes and their clocks. Whoever is down is started by the keeper."""

from __future__ import annotations

from random import Random

from raftify.testing.simulation.node import CRASH, SimulatedNode
from raftify.testing.storm.scene import NotPossible, Scene, patient

#: A crash that is prepared comes within so many seconds, if the node has anything to do.
_SOON = 5.0


def _victim(scene: Scene, random: Random) -> SimulatedNode:
    """Return a running node, the leader more often than others."""
    return scene.some_node(random, leader=0.4)


def _down_for(random: Random) -> float:
    return random.choice([0.0, random.uniform(0, 1), random.uniform(1, 10)])


async def crash(scene: Scene, random: Random) -> None:
    """A process dies at once, by a power failure or as by kill -9."""
    node = _victim(scene, random)
    scene.machine(node).down_until = scene.now + _down_for(random)
    node.crash(power_lost=random.random() < 0.7)


async def crash_at_await(scene: Scene, random: Random) -> None:
    """A process dies after its next so many callbacks: at any `await`, of either kind."""
    node = _victim(scene, random)
    scene.machine(node).down_until = scene.now + _down_for(random)
    incarnation = node.incarnation
    callbacks = random.randint(0, random.choice([5, 50, 500]))
    node.crash_after(callbacks, power_lost=random.random() < 0.7)
    await _until_crashed(scene, node, incarnation)


async def crash_in_write(scene: Scene, random: Random) -> None:
    """A process dies in the middle of one of its next disk writes, of either kind."""
    node = _victim(scene, random)
    scene.machine(node).down_until = scene.now + _down_for(random)
    incarnation = node.incarnation
    node.crash_in_write(random.randint(0, 8), power_lost=random.random() < 0.7)
    await _until_crashed(scene, node, incarnation)


async def _until_crashed(scene: Scene, node: SimulatedNode, incarnation: int) -> None:
    """Wait for a crash that is prepared.

    Raises:
        NotPossible: the node ended in another way before, or was not busy enough to come to it.
    """
    until = scene.now + _SOON
    while node.running and node.incarnation == incarnation and scene.now < until and not scene.over:
        await patient(scene, 0.1)
    if node.incarnation == incarnation and (node.running or node.last_end != CRASH):
        raise NotPossible("it did not come to the crash")


async def crash_all(scene: Scene, random: Random) -> None:
    """The power of the whole cluster fails (failures b1)."""
    running = scene.running()
    if not running:
        raise NotPossible("nobody runs")
    for node in running:
        scene.machine(node).down_until = scene.now + _down_for(random)
        node.crash(power_lost=True)


async def stop(scene: Scene, random: Random) -> None:
    """A process ends orderly, and comes back; every third time in a hurry, without a handover."""
    node = _victim(scene, random)
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
    if node.paused:
        raise NotPossible("it stands still already")
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
