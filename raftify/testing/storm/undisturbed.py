"""What becomes of a leader that works and cannot reach one of its followers: nothing."""

from __future__ import annotations

import asyncio
from random import Random

from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene, StormFailed

#: For how many election timeouts the follower does not hear the leader.
_TIMEOUTS = 10


async def cut_off_from_the_leader(scene: Scene, random: Random) -> None:
    """Let nothing of the leader reach one voter, which reaches and hears everybody else: it
    campaigns, asks others who leads, and says where it is, and must not unseat the leader.

    Only with three voters or more, and where all look for a quorum: elsewhere whoever campaigns may
    be elected (thesis 6.2). It counts as not done then.

    Raises:
        StormFailed: another term began.
    """
    leader = await scene.cluster.leader()
    voters = [scene.cluster.nodes[i] for i in leader.runtime.state.membership.conf_state.voters]
    if len(voters) < 3 or not all(_guarded(scene, node) for node in scene.running()):
        why = "too few voters" if len(voters) < 3 else "not all look for a quorum"
        scene.undone[f"cut off from the leader: {why}"] += 1
        return
    others = [node for node in voters if node is not leader]
    # Terms rise only where nobody is asked before.
    eager = [node for node in others if not scene.cluster.config_of(node).raft_config.pre_vote]
    lonely = random.choice(eager or others)
    scene.count(f"cut off from the leader: a voter {'without' if eager else 'with'} pre_vote")
    term = leader.runtime.state.term
    scene.cluster.network.cut(leader.name, lonely.name)
    await asyncio.sleep(_TIMEOUTS * scene.election_timeout(leader))
    scene.cluster.network.mend(leader.name, lonely.name)
    if not leader.leads or leader.runtime.state.term != term:
        raise StormFailed(f"{leader} worked and lost its office, as it could not reach {lonely}")
    await scene.cluster.converge()


def _guarded(scene: Scene, node: SimulatedNode) -> bool:
    return scene.cluster.config_of(node).raft_config.check_quorum
