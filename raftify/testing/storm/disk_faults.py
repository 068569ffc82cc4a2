"""What a storm does to disks, within what Raft can survive: a synced write is lost only with the
whole disk, one disk at a time, and never in a cluster that cannot do without it."""

from __future__ import annotations

from dataclasses import replace as changed
from random import Random

from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import NotPossible, Scene, patient


def _disk(scene: Scene, random: Random) -> SimulatedNode:
    """Return a running node, the leader more often than others."""
    return scene.some_node(random, leader=0.4)


async def slow_disk(scene: Scene, random: Random) -> None:
    """A disk takes its time for each write."""
    node = _disk(scene, random)
    node.disk_pace = random.choice([0.01, 0.1, 0.5])
    await patient(scene, random.uniform(1, 6))
    node.disk_pace = 0.001


async def stalled_disk(scene: Scene, random: Random) -> None:
    """A disk hangs, and goes on later."""
    node = _disk(scene, random)
    began, incarnation = scene.now, node.incarnation
    node.stall()
    await patient(scene, random.choice([0.3, random.uniform(1, 10)]))
    machine = scene.machine(node)
    if node.incarnation == incarnation and machine.odd_until < began:
        _demand_out_of_office(scene, node)
    node.unstall()


def _demand_out_of_office(scene: Scene, node: SimulatedNode) -> None:
    """Demand that `node`, whose clock is right, does not lead if its disk hangs for too long."""
    config = scene.cluster.config_of(node)
    patience = config.disk_stall_timeout + 3 * config.tick_interval
    hangs = node.write_hangs_for()
    alone = len(node.runtime.state.membership.conf_state.voters) == 1
    if hangs > patience and not alone and not node.paused and node.raft.is_leader():
        scene.fail(f"{node} leads although a disk write hangs for {hangs:.1f} s")


async def full_disk(scene: Scene, random: Random) -> None:
    """A disk has no room left; somebody makes room later."""
    node = _disk(scene, random)
    machine = scene.machine(node)
    machine.disk_excused = True
    node.storage.room_bytes = random.choice([0, 500, 5000])
    await patient(scene, random.uniform(0.5, 5))
    node.storage.room_bytes = None
    machine.down_until = max(machine.down_until, scene.now)


async def failing_disk(scene: Scene, random: Random) -> None:
    """A disk returns errors, of reads or of writes, and works again later."""
    node = _disk(scene, random)
    machine = scene.machine(node)
    machine.disk_excused = True
    if random.random() < 0.5:
        node.storage.fail_reads = True
    else:
        node.storage.fail_writes = True
    await patient(scene, random.uniform(0.2, 4))
    node.storage.fail_reads = node.storage.fail_writes = False


async def full_map(scene: Scene, random: Random) -> None:
    """A node is started with too small a map for its log, and with a larger one later."""
    node = _disk(scene, random)
    machine, usual = scene.machine(node), node.config
    if machine.held or machine.lost or node.paused:
        raise NotPossible(f"{node} cannot be stopped now")
    machine.disk_excused = machine.held = True
    machine.stops += 1
    try:
        await node.stop()
        if node.running or machine.lost:
            raise NotPossible(f"{node} was in other hands")
        small = random.choice([1 << 16, 1 << 17, 1 << 18])
        node.config = changed(scene.cluster.config_of(node), lmdb_map_size=small)
        node.start()
    finally:
        machine.held = False
    await patient(scene, random.uniform(1, 8))
    if node.config is not None and node.config.lmdb_map_size == small:
        node.config = usual
        node.crash()


DISK_FAULTS = (slow_disk, slow_disk, stalled_disk, full_disk, full_map, failing_disk)
