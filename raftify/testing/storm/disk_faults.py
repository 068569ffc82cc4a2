"""What a storm does to disks, within what Raft can survive: a synced write is lost only with the
whole disk, one disk at a time, and never in a cluster that cannot do without it."""

from __future__ import annotations

from random import Random

from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene, patient


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


DISK_FAULTS = (slow_disk, slow_disk, stalled_disk, full_disk, failing_disk)
