"""Faults of disks."""

from __future__ import annotations

import asyncio

from examples.children import ChildFailed
from tests.chaos.cluster import Machine
from tests.chaos.machine import Write
from tests.chaos.scene import LONG, Scene

#: Until a node has used up the free pages of its log and needs more, in seconds.
FULL_SECONDS = 40.0
SMALL_MAP = 1 << 20
LARGE = "x" * (16 << 10)


class NotNoticed(Exception):
    """A node did not do what it must when its disk fails."""


async def disk_full(scene: Scene) -> None:
    """No room on the disk of a node; it ends and says so, and goes on when there is room again."""
    victim = await scene.leader_or_any()
    await scene.cluster.end(victim)
    # Without snapshots its log cannot but need more room.
    await scene.cluster.start(victim, snapshot_entries=0)
    if scene.random.random() < 0.5:
        # Who still has to catch up cannot take over.
        await scene.cluster.settled()
        await scene.make_leader(victim)
    pid = victim.node.pid
    await victim.volume.fill(pid)
    ended = False
    try:
        ended = await _write_much_until(scene, victim, FULL_SECONDS)
    finally:
        await victim.volume.empty(None if ended else pid)
    if not ended:
        raise NotNoticed(f"{victim.name} goes on for {FULL_SECONDS:g} s though its disk is full")
    # Nobody but the victim: another node that ended must be missed.
    await scene.cluster.start(victim)


async def map_full(scene: Scene) -> None:
    """A node has too small a map for its log; it ends, and goes on with a larger one."""
    victim = await scene.leader_or_any()
    await scene.cluster.end(victim)
    # Without snapshots its log cannot but fill the map.
    await scene.cluster.start(victim, lmdb_map_size=SMALL_MAP, snapshot_entries=0)
    if not await _write_much_until(scene, victim, FULL_SECONDS):
        raise NotNoticed(f"{victim.name} goes on though its map of {SMALL_MAP:,} bytes is full")
    # Nobody but the victim: another node that ended must be missed.
    await scene.cluster.start(victim)


async def disk_stalled(scene: Scene) -> None:
    """Writes of a node wait for longer than `disk_stall_timeout`; a leader must give up."""
    victim = await scene.leader_or_any()
    await victim.node.call("stall", True)
    await scene.wait(*LONG)
    await scene.another_leads(victim)
    await victim.node.call("stall", False)


async def disk_frozen(scene: Scene) -> None:
    """The file system of a node freezes: everything that writes there hangs in the kernel.

    A leader must give up.
    """
    victim = await scene.leader_or_any()
    # It thaws by itself: so this is long enough for an election on a machine that is busy.
    frozen = asyncio.create_task(victim.volume.freeze(2 * LONG[1]))
    await scene.another_leads(victim)
    await frozen


async def _write_much_until(scene: Scene, victim: Machine, timeout: float) -> bool:
    """Write large values by another machine until the node on `victim` ends; say whether it did.

    They belong to no client and no key of the workload.
    """
    ending = asyncio.create_task(scene.until_ended(victim, timeout))
    number = 0
    while not ending.done():
        number += 1
        entry = Write.put(f"filler-{number % 4}", LARGE).decode()
        helper = scene.random.choice(scene.others(victim))
        try:
            await helper.node.call("propose", entry, 1.0, timeout=2.0)
        except ChildFailed:
            await asyncio.sleep(0.05)
    return await ending
