"""State machines that take their time, snapshots one after the other, floods and silences.

Under virtual time; the calls of the state machine take seconds of it. Numbers: docs/failures.md.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise, permutations
from typing import ClassVar

import pytest

from raftify.core.config import RaftConfig
from raftify.errors import (
    DeadlineExceeded,
    NoLeader,
    OutcomeUnknown,
    Overloaded,
    ProposalTooLarge,
    RaftifyError,
)
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.cluster.machines import Tally
from tests.failures.simulation import simulated, tally


class Slow(Tally):
    """Each call waits; `seconds` is shared by all nodes of a test."""

    seconds: ClassVar[dict[str, float]] = {}

    async def apply(self, data: bytes) -> bytes:
        await asyncio.sleep(self.seconds.get("apply", 0) if data.startswith(b"slow") else 0)
        return await super().apply(data)

    async def snapshot(self) -> bytes:
        await asyncio.sleep(self.seconds.get("snapshot", 0))
        return await super().snapshot()

    async def restore(self, data: bytes) -> None:
        await asyncio.sleep(self.seconds.get("restore", 0))
        await super().restore(data)


def terms(cluster: SimulatedCluster) -> set[int]:
    return {node.runtime.state.term for node in cluster.running()}


@pytest.mark.parametrize("slow", ["apply", "snapshot", "restore"])
@simulated(machine=Slow, snapshot_entries=20, snapshot_keep_entries=0)
async def test_a_slow_state_machine_costs_no_leader_its_office(
    cluster: SimulatedCluster, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """b44: five times the election timeout each; nobody is elected meanwhile."""
    monkeypatch.setattr(Slow, "seconds", {slow: 10.0})
    leader = await cluster.leader()
    before = terms(cluster)
    late = next(node for node in cluster.running() if node is not leader)
    await late.stop()
    for i in range(30):
        await leader.raft.propose(f"k{i}".encode(), timeout=60)
    await leader.raft.make_snapshot(timeout=60)
    late.start()
    assert await leader.raft.propose(b"slow", timeout=60) == b"slow:1"
    began = cluster.now
    await cluster.settle()
    assert tally(late).restored == 1
    assert cluster.now - began < 60
    assert leader.raft.is_leader()
    assert terms(cluster) == before


@simulated(machine=Slow, snapshot_entries=5, snapshot_keep_entries=0)
async def test_back_to_back_snapshots_while_a_follower_restores(cluster: SimulatedCluster) -> None:
    """b46, b47: newer ones arrive while one is being read; each file lives as long as it must."""
    Slow.seconds = {"restore": 3.0}
    try:
        leader = await cluster.leader()
        late = next(node for node in cluster.running() if node is not leader)
        for _ in range(5):
            cluster.network.isolate(late.name)
            for i in range(20):
                await leader.raft.propose(f"{cluster.now}-{i}".encode())
            cluster.network.heal()
            await asyncio.sleep(1.0)
        await cluster.settle()
    finally:
        Slow.seconds = {}
    assert tally(late).restored >= 2
    assert tally(late).order == tally(leader).order
    assert not tally(late).twice()


@simulated(machine=Slow, snapshot_keep_entries=0)
async def test_a_snapshot_taken_while_one_arrives_harms_nobody(cluster: SimulatedCluster) -> None:
    """The log that `applied` points into is gone by the time the state machine is free."""
    Slow.seconds = {"apply": 30.0}
    try:
        leader = await cluster.leader()
        late = next(node for node in cluster.running() if node is not leader)
        for i in range(10):
            await leader.raft.propose(f"k{i}".encode())
        await cluster.settle()
        asyncio.get_running_loop().call_later(40, Slow.seconds.clear)
        slow = asyncio.create_task(leader.raft.propose(b"slow", timeout=100))
        await cluster.until(lambda: late.runtime.state.delivered > late.runtime.state.applied, 10)
        # It waits for the state machine, which is busy; meanwhile the log is replaced.
        taking = asyncio.create_task(late.raft.make_snapshot(timeout=100))
        await asyncio.sleep(0.1)
        cluster.network.isolate(late.name)
        await slow
        for i in range(10):
            await leader.raft.propose(f"m{i}".encode(), timeout=100)
        await leader.raft.make_snapshot(timeout=100)
        cluster.network.heal()
        await asyncio.gather(taking, return_exceptions=True)
        await cluster.settle()
    finally:
        Slow.seconds = {}
    assert late.running
    assert tally(late).order == tally(leader).order


async def flood(node: SimulatedNode, count: int, size: int = 10, timeout: float = 30) -> list[str]:
    """Propose `count` entries at once; return the kinds of answers."""
    results = await asyncio.gather(
        *(node.raft.propose(f"{i:0{size}}".encode(), timeout=timeout) for i in range(count)),
        return_exceptions=True,
    )
    return [type(result).__name__ for result in results]


@pytest.mark.parametrize("leads", [True, False])
@simulated()
async def test_twenty_thousand_proposals_at_once_are_all_answered(
    cluster: SimulatedCluster, leads: bool
) -> None:
    leader = await cluster.leader()
    node = leader if leads else next(n for n in cluster.running() if n is not leader)
    assert set(await flood(node, 20_000)) == {"bytes"}
    await cluster.settle()
    assert all(len(tally(n).order) == 20_000 for n in cluster.running())
    assert leader.raft.is_leader()


@simulated(1, inbox_limit=1000)
async def test_more_than_the_inbox_holds_is_refused_and_not_lost(cluster: SimulatedCluster) -> None:
    """Back-pressure is an error of its own (a12), and harmless to repeat."""
    answers = await flood(cluster.nodes[1], 5000)
    assert set(answers) == {"bytes", Overloaded.__name__}
    assert answers.count("bytes") == len(tally(cluster.nodes[1]).order) >= 1000


NARROW = RaftConfig(
    election_tick=10,
    heartbeat_tick=2,
    check_quorum=False,
    max_size_per_msg=10_000,
    max_uncommitted_size=100_000,
)


@simulated(raft_config=NARROW)
async def test_a_leader_alone_takes_only_so_much(cluster: SimulatedCluster) -> None:
    """b59: cut off under load its log stays bounded; afterwards everything is as before."""
    leader = await cluster.leader()
    cluster.network.isolate(leader.name)
    last = leader.runtime.storage.last_index()
    answers = []
    for _ in range(10):
        answers.append(await flood(leader, 100, size=5000, timeout=0.5))
        await asyncio.sleep(1)
    assert {a for some in answers for a in some} <= {
        Overloaded.__name__, DeadlineExceeded.__name__, NoLeader.__name__
    }  # fmt: skip
    assert leader.runtime.storage.last_index() - last <= 100_000 // 5000 + 1
    cluster.network.heal()
    await asyncio.sleep(5)
    await cluster.settle()
    assert set(await flood(await cluster.leader(), 50, size=900)) == {"bytes"}


@simulated(max_proposal_bytes=16 << 20, max_grpc_message_bytes=17 << 20)
async def test_large_entries_travel_whole(cluster: SimulatedCluster) -> None:
    """b45: exactly the limit, more than max_size_per_msg; one byte more is refused."""
    limit = 16 << 20
    leader = await cluster.leader()
    other = next(n for n in cluster.running() if n is not leader)
    text = "x" * limit
    for node in (leader, other):
        with pytest.raises(ProposalTooLarge):
            await node.raft.propose(b"x" * (limit + 1))
    assert (await other.raft.propose(text.encode())).endswith(b":1")
    await cluster.settle()
    assert all(tally(n).counts[text] == 1 for n in cluster.running())


@simulated()
async def test_no_read_is_stale_while_the_leader_is_cut_off(cluster: SimulatedCluster) -> None:
    """b51, b52, b55: a deposed leader that does not know it answers no read."""
    old = await cluster.leader()
    await old.raft.propose(b"a")
    cluster.network.isolate(old.name)
    reading = asyncio.create_task(old.raft.read_index(timeout=8))
    others = [node for node in cluster.running() if node is not old]
    await cluster.until(lambda: any(node.raft.is_leader() for node in others), 10)
    await others[0].raft.propose(b"b")
    with pytest.raises(RaftifyError):
        await reading
    late = asyncio.create_task(old.raft.read_index(timeout=20))
    cluster.network.heal()
    await late
    assert tally(old).order == ["a", "b"]


@simulated()
async def test_every_read_that_waits_is_answered_when_the_leader_changes(
    cluster: SimulatedCluster,
) -> None:
    """b53: none is dropped in silence."""
    for _ in range(5):
        leader = await cluster.leader()
        reads = [
            asyncio.create_task(node.raft.read_index(timeout=10))
            for node in cluster.running()
            for _ in range(20)
        ]
        await asyncio.sleep(0.0005)
        leader.crash()
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(r, int | RaftifyError) for r in results)
        leader.start()
        await cluster.settle()


@simulated()
async def test_an_entry_whose_caller_gave_up_is_applied_all_the_same(
    cluster: SimulatedCluster,
) -> None:
    """b22: on the leader as on the others."""
    leader = await cluster.leader()
    leader.disk_pace = 0.5
    with pytest.raises(OutcomeUnknown):
        await leader.raft.propose(b"late", timeout=0.1)
    cancelled = asyncio.create_task(leader.raft.propose(b"cancelled"))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    leader.disk_pace = 0.001
    await asyncio.sleep(2)
    await cluster.settle()
    assert all(tally(n).order == ["late", "cancelled"] for n in cluster.running())


@simulated()
async def test_a_transfer_to_a_dead_or_slow_node_blocks_writes_for_one_timeout_only(
    cluster: SimulatedCluster,
) -> None:
    """b57: proposals wait that long, and are then taken."""
    leader = await cluster.leader()
    target = next(n for n in cluster.running() if n is not leader)
    cluster.network.isolate(target.name)
    transfer = asyncio.create_task(leader.raft.transfer_leader(target.id))
    await asyncio.sleep(0.01)
    began = cluster.now
    assert await leader.raft.propose(b"x") == b"x:1"
    assert cluster.now - began <= 1.2
    with pytest.raises(RaftifyError):
        await transfer


@simulated(5, seed=3)
async def test_elections_settle_whatever_links_are_cut(cluster: SimulatedCluster) -> None:
    """b11: five nodes of which only some reach each other; one leader, and it stays."""
    links = {(1, 2), (1, 3), (2, 3), (2, 4), (3, 5)}
    for a, b in permutations(cluster.nodes, 2):
        if (a, b) not in links and (b, a) not in links:
            cluster.network.cut(cluster.nodes[a].name, cluster.nodes[b].name)
    await asyncio.sleep(30)
    seen = []
    for i in range(10):
        node = cluster.nodes[1 + i % 3]
        assert await node.raft.propose(f"k{i}".encode(), timeout=20) == f"k{i}:1".encode()
        seen.append(max(terms(cluster)))
        await asyncio.sleep(5)
    assert [b - a for a, b in pairwise(seen)] == [0] * 9
