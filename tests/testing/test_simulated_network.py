"""Each thing that the simulated network can do is seen to happen, and the cluster gets over it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from raftify.config import Config
from raftify.errors import NoLeader, OutcomeUnknown
from raftify.testing.simulation import Conditions, SimulatedCluster, Trace, simulate
from raftify.testing.simulation.trace import Delivered, Dropped, Sent
from tests.cluster.machines import Tally

Scenario = Callable[[SimulatedCluster[Tally]], Awaitable[None]]


def run(scenario: Scenario, *, seed: int = 1, config: Config | None = None) -> Trace:
    trace = Trace()
    simulate(scenario, machine=Tally, seed=seed, config=config, trace=trace)
    return trace


async def write(cluster: SimulatedCluster[Tally], count: int) -> None:
    leader = await cluster.leader()
    for number in range(count):
        await leader.raft.propose(f"e{number}".encode(), timeout=60)


def under(conditions: Conditions, count: int = 30) -> tuple[Trace, SimulatedCluster[Tally]]:
    """Return what happened to `count` writes under `conditions`, after which all nodes agreed."""
    clusters: list[SimulatedCluster[Tally]] = []

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        clusters.append(cluster)
        await cluster.start(3)
        cluster.network.set_conditions(conditions)
        await write(cluster, count)
        cluster.heal()
        await cluster.converge()
        orders = {tuple(node.machine.order) for node in cluster.nodes.values()}
        assert orders == {tuple(f"e{number}" for number in range(count))}
        assert not any(node.machine.twice() for node in cluster.nodes.values())

    return run(scenario), clusters[0]


def delays(trace: Trace) -> list[float]:
    left = {e.number: e.time for e in trace.events() if isinstance(e, Sent)}
    return [e.time - left[e.number] for e in trace.events() if isinstance(e, Delivered)]


def test_delays_are_those_of_the_link() -> None:
    trace, _ = under(Conditions(delay=0.01, jitter=0.005))
    slow = [delay for delay in delays(trace) if delay >= 0.01]
    assert len(slow) > 50
    assert max(slow) > 0.02
    mean = sum(slow) / len(slow)
    assert 0.012 < mean < 0.03


def test_packets_are_lost() -> None:
    trace, cluster = under(Conditions(loss=0.1))
    lost = [e for e in trace.events() if isinstance(e, Dropped) and e.why == "loss"]
    assert len(lost) == cluster.network.counts["loss"] > 5


def test_batches_arrive_twice() -> None:
    trace, cluster = under(Conditions(duplicate=0.2))
    arrived = Counter(e.number for e in trace.events() if isinstance(e, Delivered))
    assert sum(count == 2 for count in arrived.values()) == cluster.network.counts["duplicate"] > 5


def overtakings(trace: Trace) -> int:
    """Return how many packets arrived after one that was sent later over the same link."""
    latest: dict[tuple[str, str], int] = {}
    found = 0
    for event in trace.events():
        if isinstance(event, Delivered):
            link = (event.source, event.target)
            found += event.number < latest.get(link, 0)
            latest[link] = max(latest.get(link, 0), event.number)
    return found


def test_batches_overtake_each_other_only_where_they_may() -> None:
    jitter = Conditions(jitter=0.05)
    reorder = Conditions(jitter=0.05, reorder=0.5)
    assert overtakings(under(jitter)[0]) == 0
    assert overtakings(under(reorder)[0]) > 5


def test_flipped_bits_are_refused_by_the_checksum_of_the_batch() -> None:
    trace, cluster = under(Conditions(corrupt=0.1), count=60)
    refused = [e for e in trace.events() if isinstance(e, Dropped) and "Malformed" in e.why]
    assert cluster.network.counts["corrupt"] > 5
    assert len(refused) > 5


def test_a_slow_link_takes_its_time() -> None:
    def seconds(bytes_per_second: float | None) -> float:
        took: list[float] = []

        async def scenario(cluster: SimulatedCluster[Tally]) -> None:
            await cluster.start(3)
            leader = await cluster.leader()
            cluster.network.set_conditions(Conditions(bytes_per_second=bytes_per_second))
            began = cluster.now
            await leader.raft.propose(b"x" * 50_000, timeout=60)
            took.append(cluster.now - began)

        run(scenario)
        return took[0]

    assert seconds(None) < 0.05
    assert 0.5 < seconds(100_000) < 0.9


def test_a_link_is_cut_in_one_direction_only() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        other = next(node for node in cluster.nodes.values() if node is not leader)
        began = len(trace_of(cluster))
        cluster.network.cut(leader.name, other.name)
        await asyncio.sleep(0.35)
        events = trace_of(cluster)[began:]
        cut = {(e.source, e.target) for e in events if isinstance(e, Dropped)}
        assert cut == {(leader.name, other.name)}
        # The rest of the cluster goes on, and so does this node once the link is mended.
        await (await cluster.leader()).raft.propose(b"meanwhile")
        cluster.network.mend(leader.name, other.name)
        await cluster.converge()
        assert other.machine.order == ["meanwhile"]

    run(scenario)


def trace_of(cluster: SimulatedCluster[Tally]) -> list[object]:
    return list(cluster.trace.events())


def test_a_partial_partition_leaves_one_leader_who_commits() -> None:
    """Everybody sees the first node, and nobody anybody else (etcd's and Cloudflare's outages)."""

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        nodes = await cluster.start(3)
        cluster.network.cut(nodes[1].name, nodes[2].name, both_ways=True)
        await asyncio.sleep(5)
        leader = await cluster.leader()
        term = leader.runtime.state.term
        await leader.raft.propose(b"through the middle")
        await asyncio.sleep(20)
        assert (await cluster.leader()).runtime.state.term == term

    run(scenario)


def test_a_call_that_was_cut_off_says_that_its_outcome_is_open() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        follower = next(node for node in cluster.nodes.values() if node is not leader)
        cluster.network.set_conditions(Conditions(delay=0.2))
        call = asyncio.create_task(follower.raft.propose(b"forwarded", timeout=5))
        await asyncio.sleep(0.3)  # it has arrived, and its answer has not come back
        cluster.network.cut(leader.name, follower.name)
        with pytest.raises(OutcomeUnknown):
            await call

    run(scenario)


def test_a_call_in_a_node_that_crashes_ends_at_once() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        call = asyncio.create_task(leader.raft.propose(b"x"))
        await asyncio.sleep(0)
        began = cluster.now
        leader.crash()
        with pytest.raises(OutcomeUnknown, match="crash"):
            await call
        assert cluster.now == began

    run(scenario)


def test_a_client_outside_finds_the_leader_and_hears_when_there_is_none() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        async with cluster.client() as client:
            assert await client.propose(b"x") == b"x:1"
            (await cluster.leader()).crash()
            assert await client.propose(b"y", timeout=30) == b"y:1"
            (await cluster.leader()).crash()
            with pytest.raises((NoLeader, OutcomeUnknown)):
                await client.propose(b"z", timeout=3)

    run(scenario)


def test_a_snapshot_arrives_in_pieces_whatever_the_network_does_to_them() -> None:
    config = Config(snapshot_keep_entries=0, snapshot_chunk_bytes=500, snapshot_entries=0)

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        follower = next(node for node in cluster.nodes.values() if node is not leader)
        follower.crash()
        for number in range(200):
            await leader.raft.propose(f"entry-{number}".encode())
        await leader.raft.make_snapshot()
        cluster.network.set_conditions(Conditions(loss=0.02, corrupt=0.03))
        follower.start()
        await follower.applied(leader.runtime.state.applied, timeout=300)
        assert follower.machine.restored == 1
        assert len(follower.machine.order) == 200
        assert cluster.network.counts["corrupt"] > 0

    trace = run(scenario, config=config)
    pieces = [e for e in trace.events() if isinstance(e, Sent) and e.what == "snapshot"]
    assert len(pieces) > 10


def test_a_connection_whose_far_end_died_while_it_was_made_is_found_broken() -> None:
    """It was taken for standing for ever, and what was sent over it went nowhere."""

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        (node,) = await cluster.start(1)
        port = cluster.network.port(node.address)
        assert port is not None
        told: list[str] = []
        cluster.network.watch(port, lambda: told.append("before"))
        node.crash()
        cluster.network.watch(port, lambda: told.append("after"))
        assert told == ["before", "after"]

    run(scenario)
