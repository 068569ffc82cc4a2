"""What people ask of a cluster at the worst moment; none of it may do harm."""

from __future__ import annotations

import asyncio
from random import Random

from raftify.errors import RaftifyError
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.outside import OUTSIDE
from raftify.testing.storm.scene import Scene, patient
from raftify.testing.storm.upgrading import upgrade

_SECONDS = 3.0


async def transfer(scene: Scene, random: Random) -> None:
    """Hand leadership to any node, or to whom the leader thinks best, asked for at any node."""
    node = scene.some_node(random)
    to = random.choice([None, None, *scene.cluster.nodes])
    leads = await node.raft.transfer_leader(to, timeout=_SECONDS)
    if not leads or to not in (None, leads):
        scene.fail(f"leadership was to go to {to or 'the best'}, and went to {leads}")


async def snapshot(scene: Scene, random: Random) -> None:
    """Take a snapshot now, and perhaps discard the log behind it."""
    node = scene.some_node(random)
    index = await node.raft.make_snapshot(timeout=_SECONDS)
    if random.random() < 0.5:
        await node.raft.purge_log(index, timeout=_SECONDS)


async def campaign(scene: Scene, random: Random) -> None:
    """Stand for election although somebody leads."""
    node = scene.some_node(random)
    await node.raft.campaign(timeout=_SECONDS)


async def demote(scene: Scene, _random: Random) -> None:
    """Give up leadership."""
    node = scene.the_leader()
    await node.raft.demote(timeout=_SECONDS)


async def ping(scene: Scene, _random: Random) -> None:
    """Send heartbeats at once."""
    node = scene.the_leader()
    await node.raft.ping(timeout=_SECONDS)


async def burst(scene: Scene, random: Random) -> None:
    """Propose many at once, and cancel the wait for some."""
    node = scene.some_node(random)
    await burst_at(scene, random, node, random.choice([0.01, 10.0]))


async def burst_at(scene: Scene, random: Random, node: SimulatedNode, patience: float) -> None:
    """Propose many at once at `node`, and wait for so many seconds."""
    workload, recorder = scene.workload, scene.recorder
    asked, calls = [], []
    # Of many that nobody has waited for, too many could have happened in any order to judge it.
    for _ in range(random.choice([5, 20]) if patience > 1 else 5):
        number = scene.number()
        asked.append(workload.draw_write(random, number))
        # Each is a client of its own: they are all under way at once.
        calls.append(recorder.call(f"burst {number}", asked[-1]))
        scene.writes.append((number, calls[-1]))
    data = [
        workload.encode(one, number)
        for one, (number, _) in zip(asked, scene.writes[-len(asked) :], strict=True)
    ]
    try:
        async with asyncio.timeout(patience):
            results = await node.raft.propose_many(data, timeout=_SECONDS)
    except (RaftifyError, TimeoutError):
        for call in calls:
            call.unknown()
        return
    for one, call, result in zip(asked, calls, results, strict=True):
        if isinstance(result, bytes):
            call.ok(workload.decode(one, result))
        elif isinstance(result, recorder.nothing_happened):
            call.failed()
        else:
            call.unknown()


async def switched_off(scene: Scene, random: Random) -> None:
    """Turn off what a node does by itself, and on again."""
    node = scene.some_node(random)
    switches, name = node.raft.switches, random.choice(["tick", "heartbeat", "elect"])
    setattr(switches, name, False)
    await patient(scene, random.uniform(0.1, 5))
    setattr(switches, name, True)


REQUESTS = (
    transfer, transfer, snapshot, snapshot, campaign, demote, ping, burst, burst, switched_off,
    upgrade, *OUTSIDE,
)  # fmt: skip
