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
from tests.client.virtual_time import now, virtual_time
from tests.cluster.machines import Tally
from tests.failures.simulated import SimulatedCluster, SimulatedNode, until


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
    return {node.raft._node.state.term for node in cluster.running()}


@pytest.mark.parametrize("slow", ["apply", "snapshot", "restore"])
@virtual_time
async def test_a_slow_state_machine_costs_no_leader_its_office(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """b44: five times the election timeout each; nobody is elected meanwhile."""
    cluster = SimulatedCluster(make_machine=Slow, snapshot_entries=20, snapshot_keep_entries=0)
    await cluster.static(3)
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
    began = now()
    await cluster.settle()
    assert late.machine.restored == 1
    assert now() - began < 60
    assert leader.raft.is_leader()
    assert terms(cluster) == before
    await cluster.close()


@virtual_time
async def test_back_to_back_snapshots_while_a_follower_restores() -> None:
    """b46, b47: newer ones arrive while one is being read; each file lives as long as it must."""
    cluster = SimulatedCluster(make_machine=Slow, snapshot_entries=5, snapshot_keep_entries=0)
    await cluster.static(3)
    Slow.seconds = {"restore": 3.0}
    try:
        leader = await cluster.leader()
        late = next(node for node in cluster.running() if node is not leader)
        for _ in range(5):
            cluster.network.isolate(late.address)
            for i in range(20):
                await leader.raft.propose(f"{now()}-{i}".encode())
            cluster.network.heal()
            await asyncio.sleep(1.0)
        await cluster.settle()
    finally:
        Slow.seconds = {}
    assert late.machine.restored >= 2
    assert late.machine.order == leader.machine.order
    assert not late.machine.twice()
    await cluster.close()


@virtual_time
async def test_a_snapshot_taken_while_one_arrives_harms_nobody() -> None:
    """The log that `applied` points into is gone by the time the state machine is free."""
    cluster = SimulatedCluster(make_machine=Slow, snapshot_keep_entries=0)
    await cluster.static(3)
    Slow.seconds = {"apply": 30.0}
    try:
        leader = await cluster.leader()
        late = next(node for node in cluster.running() if node is not leader)
        for i in range(10):
            await leader.raft.propose(f"k{i}".encode())
        await cluster.settle()
        asyncio.get_running_loop().call_later(40, Slow.seconds.clear)
        slow = asyncio.create_task(leader.raft.propose(b"slow", timeout=100))
        await until(lambda: late.raft._node.state.delivered > late.raft._node.state.applied, 10)
        # It waits for the state machine, which is busy; meanwhile the log is replaced.
        taking = asyncio.create_task(late.raft.make_snapshot(timeout=100))
        await asyncio.sleep(0.1)
        cluster.network.isolate(late.address)
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
    assert late.machine.order == leader.machine.order
    await cluster.close()


async def flood(node: SimulatedNode, count: int, size: int = 10, timeout: float = 30) -> list[str]:
    """Propose `count` entries at once; return the kinds of answers."""
    results = await asyncio.gather(
        *(node.raft.propose(f"{i:0{size}}".encode(), timeout=timeout) for i in range(count)),
        return_exceptions=True,
    )
    return [type(result).__name__ for result in results]


@pytest.mark.parametrize("leads", [True, False])
@virtual_time
async def test_twenty_thousand_proposals_at_once_are_all_answered(leads: bool) -> None:
    cluster = SimulatedCluster()
    await cluster.static(3)
    leader = await cluster.leader()
    node = leader if leads else next(n for n in cluster.running() if n is not leader)
    assert set(await flood(node, 20_000)) == {"bytes"}
    await cluster.settle()
    assert all(len(n.machine.order) == 20_000 for n in cluster.running())
    assert leader.raft.is_leader()
    await cluster.close()


@virtual_time
async def test_more_than_the_inbox_holds_is_refused_and_not_lost() -> None:
    """Back-pressure is an error of its own (a12), and harmless to repeat."""
    cluster = SimulatedCluster(inbox_limit=1000)
    await cluster.static(1)
    answers = await flood(cluster.nodes[1], 5000)
    assert set(answers) == {"bytes", Overloaded.__name__}
    assert answers.count("bytes") == len(cluster.nodes[1].machine.order) >= 1000
    await cluster.close()


@virtual_time
async def test_a_leader_alone_takes_only_so_much() -> None:
    """b59: cut off under load its log stays bounded; afterwards everything is as before."""
    settings = RaftConfig(
        election_tick=10,
        heartbeat_tick=2,
        check_quorum=False,
        max_size_per_msg=10_000,
        max_uncommitted_size=100_000,
    )
    cluster = SimulatedCluster(raft_config=settings)
    await cluster.static(3)
    leader = await cluster.leader()
    cluster.network.isolate(leader.address)
    last = leader.disk.last_index()
    answers = []
    for _ in range(10):
        answers.append(await flood(leader, 100, size=5000, timeout=0.5))
        await asyncio.sleep(1)
    assert {a for some in answers for a in some} <= {
        Overloaded.__name__, DeadlineExceeded.__name__, NoLeader.__name__
    }  # fmt: skip
    assert leader.disk.last_index() - last <= 100_000 // 5000 + 1
    cluster.network.heal()
    await asyncio.sleep(5)
    await cluster.settle()
    assert set(await flood(await cluster.leader(), 50, size=900)) == {"bytes"}
    await cluster.close()


@virtual_time
async def test_large_entries_travel_whole() -> None:
    """b45: exactly the limit, more than max_size_per_msg; one byte more is refused."""
    limit = 16 << 20
    cluster = SimulatedCluster(make_machine=Tally)
    await cluster.static(3)
    leader = await cluster.leader()
    other = next(n for n in cluster.running() if n is not leader)
    text = "x" * limit
    for node in (leader, other):
        with pytest.raises(ProposalTooLarge):
            await node.raft.propose(b"x" * (limit + 1))
    assert (await other.raft.propose(text.encode())).endswith(b":1")
    await cluster.settle()
    assert all(n.machine.counts[text] == 1 for n in cluster.running())
    await cluster.close()


@virtual_time
async def test_no_read_is_stale_while_the_leader_is_cut_off() -> None:
    """b51, b52, b55: a deposed leader that does not know it answers no read."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    old = await cluster.leader()
    await old.raft.propose(b"a")
    cluster.network.isolate(old.address)
    reading = asyncio.create_task(old.raft.read_index(timeout=8))
    others = [node for node in cluster.running() if node is not old]
    await until(lambda: any(node.raft.is_leader() for node in others), 10)
    await others[0].raft.propose(b"b")
    with pytest.raises(RaftifyError):
        await reading
    late = asyncio.create_task(old.raft.read_index(timeout=20))
    cluster.network.heal()
    await late
    assert old.machine.order == ["a", "b"]
    await cluster.close()


@virtual_time
async def test_every_read_that_waits_is_answered_when_the_leader_changes() -> None:
    """b53: none is dropped in silence."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    for _ in range(5):
        leader = await cluster.leader()
        reads = [
            asyncio.create_task(node.raft.read_index(timeout=10))
            for node in cluster.running()
            for _ in range(20)
        ]
        await asyncio.sleep(0.0005)
        await leader.crash()
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(r, int | RaftifyError) for r in results)
        leader.start()
        await cluster.settle()
    await cluster.close()


@virtual_time
async def test_an_entry_whose_caller_gave_up_is_applied_all_the_same() -> None:
    """b22: on the leader as on the others."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    leader = await cluster.leader()
    leader.disk_delay = 0.5
    with pytest.raises(OutcomeUnknown):
        await leader.raft.propose(b"late", timeout=0.1)
    cancelled = asyncio.create_task(leader.raft.propose(b"cancelled"))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    leader.disk_delay = 0.001
    await asyncio.sleep(2)
    await cluster.settle()
    assert all(n.machine.order == ["late", "cancelled"] for n in cluster.running())
    await cluster.close()


@virtual_time
async def test_a_transfer_to_a_dead_or_slow_node_blocks_writes_for_one_timeout_only() -> None:
    """b57: proposals wait that long, and are then taken."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    leader = await cluster.leader()
    target = next(n for n in cluster.running() if n is not leader)
    cluster.network.isolate(target.address)
    transfer = asyncio.create_task(leader.raft.transfer_leader(target.id))
    await asyncio.sleep(0.01)
    began = now()
    assert await leader.raft.propose(b"x") == b"x:1"
    assert now() - began <= 1.2
    with pytest.raises(RaftifyError):
        await transfer
    await cluster.close()


@virtual_time
async def test_elections_settle_whatever_links_are_cut() -> None:
    """b11: five nodes of which only some reach each other; one leader, and it stays."""
    cluster = SimulatedCluster(seed=3)
    await cluster.static(5)
    links = {(1, 2), (1, 3), (2, 3), (2, 4), (3, 5)}
    address = {node.id: node.address for node in cluster.running()}
    for a, b in permutations(address, 2):
        if (a, b) not in links and (b, a) not in links:
            cluster.network.cut(address[a], address[b])
    await asyncio.sleep(30)
    seen = []
    for i in range(10):
        node = cluster.nodes[1 + i % 3]
        assert await node.raft.propose(f"k{i}".encode(), timeout=20) == f"k{i}:1".encode()
        seen.append(max(terms(cluster)))
        await asyncio.sleep(5)
    assert [b - a for a, b in pairwise(seen)] == [0] * 9
    await cluster.close()
