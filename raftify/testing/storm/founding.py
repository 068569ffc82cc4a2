"""How the cluster of a storm comes to be: each of the ways there are, and what each promises."""

from __future__ import annotations

import asyncio
from random import Random

from raftify.errors import DeadlineExceeded, NodeStopped, OutcomeUnknown, PeerUnreachable
from raftify.peers import Membership, Peers
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.plan import Founding
from raftify.testing.storm.scene import Scene, StormFailed

#: How long one call may take, and all of the founding, in seconds.
_SECONDS, _PATIENCE = 5.0, 120.0


async def found(scene: Scene) -> None:
    """Found the cluster as its plan says; one node leads then."""
    plan, cluster = scene.plan, scene.cluster
    random = Random(f"{plan.seed}/founding it")
    scene.reach(f"founded: {plan.founding}")
    if plan.founding is Founding.INITIALIZED:
        async with asyncio.timeout(_PATIENCE):
            await _initialize(scene, random)
    elif plan.founding is Founding.STATIC:
        await cluster.start(plan.size, learners=plan.learners, first_leader=plan.first_leader)
        if plan.first_leader:
            _demand_first_leader(scene)
    else:
        await cluster.start(1)
        together = plan.founding is Founding.JOINED_TOGETHER
        while len(cluster.nodes) < plan.size:
            rest = plan.size - len(cluster.nodes)
            await join_together(scene, rest) if together and rest > 1 else await cluster.join()


def _demand_first_leader(scene: Scene) -> None:
    """Demand that who was to campaign at once has won: nothing went wrong yet."""
    leader = scene.a_leader()
    if leader is None or leader.id != scene.plan.first_leader:
        raise StormFailed(f"node {scene.plan.first_leader} was to lead first, and {leader} does")


async def join_together(scene: Scene, count: int) -> None:
    """Let `count` machines join in one change, which one of them asks for."""
    cluster = scene.cluster
    leader = await cluster.leader()
    tickets = []
    for _ in range(count):
        node = cluster.new_machine()
        tickets.append(await cluster.ticket(node, leader))
        node.start(tickets[-1].reserved_id)
        cluster.nodes[node.id] = node
    first, *others = [cluster.nodes[ticket.reserved_id] for ticket in tickets]
    # They may know already: then each of these has nothing left to do.
    calls = [first.raft.join_cluster(tickets)]
    calls += [node.raft.join_cluster([t]) for node, t in zip(others, tickets[1:], strict=True)]
    await asyncio.gather(*calls)


async def _initialize(scene: Scene, random: Random) -> None:
    """Start nodes that wait, and call `initialize` on some, while some of these crash."""
    cluster, plan = scene.cluster, scene.plan
    peers = cluster.place(plan.size, learners=plan.learners)
    nodes = [cluster.nodes[node_id] for node_id in peers]
    for node in nodes:
        node.start(node.id)
    await asyncio.sleep(random.choice([0.0, random.uniform(0, 5)]))
    for node in nodes:
        state = node.runtime.state
        if state.term or state.leader_id or state.membership.peers:
            raise StormFailed(f"{node} was to wait, and has {state.membership} in {state.term}")
    called = random.sample(nodes[: plan.size], random.choice([1, 1, min(2, plan.size)]))
    for node in called:
        if random.random() < 0.4:
            node.crash_after(random.randint(0, 60))
    await asyncio.gather(*(_initialize_at(scene, node, peers, random) for node in called))
    for node in called:
        node.defuse()
        if not node.running:
            # It crashed behind the answer, and nobody looks after it yet.
            node.start()
    await cluster.leader()


async def _initialize_at(scene: Scene, node: SimulatedNode, peers: Peers, random: Random) -> None:
    """Call until it is done, as an operator does; what was said to be durable must be."""
    while True:
        if not node.running:
            await asyncio.sleep(random.uniform(0, 2))
            node.start()
        try:
            membership = await _ask_to_found(scene, node, peers, random)
        except (OutcomeUnknown, NodeStopped, DeadlineExceeded, PeerUnreachable):
            continue
        break
    told = {i: peer.address for i, peer in membership.peers.items()}
    if told != {i: peer.address for i, peer in peers.items()}:
        raise StormFailed(f"{node} was initialized with {peers}, and has {told}")
    if random.random() < 0.3:
        node.crash()
        node.start()
        if not node.runtime.state.membership.is_member(node.id):
            raise StormFailed(f"{node} was initialized, crashed, and does not know of it any more")


async def _ask_to_found(
    scene: Scene, node: SimulatedNode, peers: Peers, random: Random
) -> Membership:
    """Call `initialize` in the program of `node`, or from outside as an operator's tool does."""
    if random.random() < 0.5:
        return await node.raft.initialize(peers, timeout=_SECONDS)
    async with scene.cluster.client(node.address, timeout=_SECONDS) as client:
        return await client.initialize(peers)
