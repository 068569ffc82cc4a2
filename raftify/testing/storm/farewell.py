"""What becomes of a leader that goes while all is well: nobody has to wait for an election."""

from __future__ import annotations

import asyncio
from random import Random

from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene, StormFailed

#: How often it is looked who leads, in seconds.
_LOOK_EVERY = 0.005
#: A part of an election timeout: long for one round trip, and short for an election.
_UNLED = 0.5
_SECONDS = 10.0


async def farewell(scene: Scene, random: Random) -> None:
    """Let the leader leave or quit, and demand that another leads almost at once.

    Only where enough voters stay to elect another; elsewhere it counts as not done.

    Raises:
        StormFailed: nobody led for a while, as if the leader had crashed.
    """
    leader = await scene.cluster.leader()
    config = scene.cluster.config_of(leader)
    # Who has handed over a moment ago, and was given the office back, keeps it.
    await asyncio.sleep(config.conf_change_request_timeout)
    leader = await scene.cluster.leader()
    voters = leader.runtime.state.membership.conf_state.voters
    leaves = random.random() < 0.5
    # Of two the one that is left could commit nothing: it is not asked to lead.
    if len(voters) < (2 if leaves else 3):
        scene.undone["farewell: too few voters"] += 1
        return
    scene.reach("farewell: the leader leaves" if leaves else "farewell: the leader quits")
    timeout = scene.election_timeout(leader)
    going = asyncio.create_task(_go(leader, leaves=leaves), name="farewell")
    unled = await _longest_without(scene, leader, going, timeout)
    await going
    if unled > _UNLED * timeout:
        raise StormFailed(
            f"{leader} {'left' if leaves else 'quit'} while all was well, and nobody led for "
            f"{unled:.2f} s: an election timeout is {timeout:g} s"
        )


async def _go(leader: SimulatedNode, *, leaves: bool) -> None:
    if leaves:
        await leader.leave(timeout=_SECONDS)
    else:
        await leader.stop()


async def _longest_without(
    scene: Scene, leader: SimulatedNode, going: asyncio.Task[None], timeout: float
) -> float:
    """Return for how long nobody led, until another than `leader` does and that has gone, or for
    as long as an election takes at most."""
    longest, led, until = 0.0, scene.now, scene.now + 4 * timeout
    while scene.now < until:
        leaders = [node for node in scene.running() if node.leads]
        if leaders:
            longest, led = max(longest, scene.now - led), scene.now
        if going.done() and any(node is not leader for node in leaders):
            break
        await asyncio.sleep(_LOOK_EVERY)
    return max(longest, scene.now - led)
