"""A client founds a cluster and changes it while leaders crash: repeated, each change takes effect.

All of it runs under virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from raftify.client import RaftServiceClient
from raftify.errors import (
    ConfChangeRejected,
    NoLeader,
    OutcomeUnknown,
    PeerUnreachable,
    PendingConfChange,
)
from raftify.peers import Membership
from raftify.testing.simulation import SimulatedCluster
from tests.failures.simulation import simulated, tally

#: After these a call may be repeated.
SAFE = (OutcomeUnknown, PendingConfChange, NoLeader, PeerUnreachable)
#: What one change may take, with crashes and elections between.
PATIENCE = 300.0


async def insist(change: Callable[[], Awaitable[Membership]]) -> Membership:
    """Repeat a change until it is answered: that is what its documentation calls safe."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await change()
            except SAFE:
                pass
            except ConfChangeRejected as error:
                # Of a voter that is there a leader may not have heard yet, so soon in its office.
                if "not heard of" not in str(error):
                    raise
            await asyncio.sleep(1)


async def crash_leaders(cluster: SimulatedCluster, count: int) -> None:
    """Crash whoever leads, at an await or in a write, and start it again."""
    random = cluster.random
    for _ in range(count):
        await asyncio.sleep(random.uniform(0.2, 4))
        leader = await cluster.leader(PATIENCE)
        if random.random() < 0.5:
            leader.crash_after(random.randint(1, 60))
        else:
            leader.crash_in_write(random.randint(0, 3))
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                await leader.ended()
        if leader.running:  # nothing was to be written
            leader.defuse()
            leader.crash()
        await asyncio.sleep(random.uniform(0, 3))
        leader.start()


@pytest.mark.parametrize("seed", range(12))
def test_changes_by_a_client_while_leaders_crash(seed: int) -> None:
    @simulated(0, seed=seed)
    async def scenario(cluster: SimulatedCluster) -> None:
        founders = cluster.place(3)
        more = [cluster.new_machine(i) for i in (4, 5)]
        cluster.nodes |= {node.id: node for node in more}
        for node in cluster.nodes.values():
            node.start(node.id)
        async with cluster.client(cluster.nodes[1].address) as first:
            await insist(lambda: first.initialize(founders))
        async with cluster.client(timeout=15) as client:
            await client.propose(b"before", timeout=60)
            crashing = asyncio.create_task(crash_leaders(cluster, 4))
            await _change(cluster, client)
            await crashing
            await client.propose(b"after", timeout=60)
            membership = (await client.get_peers()).membership
            assert membership.conf_state.voters == (1, 4, 5)
            assert membership.conf_state.learners == (2, 3)
            await cluster.converge()
            for node in cluster.nodes.values():
                assert tally(node).counts["after"] == 1

    scenario()


async def _change(cluster: SimulatedCluster, client: RaftServiceClient) -> None:
    for node_id in (4, 5):
        address = cluster.nodes[node_id].address
        await insist(lambda i=node_id, a=address: client.add_learner(i, a))  # type: ignore[misc]
    grown = await insist(lambda: client.change_membership({1, 2, 3, 4, 5}))
    assert grown.conf_state.voters == (1, 2, 3, 4, 5)
    shrunk = await insist(lambda: client.change_membership({1, 4, 5}, retain=True))
    assert (shrunk.conf_state.voters, shrunk.conf_state.learners) == ((1, 4, 5), (2, 3))
    # Where it is in force already, it is so again.
    assert await insist(lambda: client.change_membership({5, 4, 1}, retain=True)) == shrunk
