"""Disks that hang, fill up and come back, under virtual time. See docs/failures.md for b58, b60."""

from __future__ import annotations

import asyncio

import pytest

from raftify.errors import OutcomeUnknown, RaftifyError, StorageError, StorageFull
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.failures.simulation import simulated, tally


async def write(node: SimulatedNode, name: str, count: int = 50) -> list[str]:
    """Propose through `node`; return what was acknowledged."""
    entries = [f"{name}{i}" for i in range(count)]
    results = await asyncio.gather(
        *(node.raft.propose(e.encode(), timeout=30) for e in entries), return_exceptions=True
    )
    return [e for e, r in zip(entries, results, strict=True) if r == f"{e}:1".encode()]


@simulated(disk_stall_timeout=3.0)
async def test_a_leader_whose_disk_hangs_gives_up_its_office(cluster: SimulatedCluster) -> None:
    """b58: its heartbeats would go on for ever, and nothing would be committed."""
    old = await cluster.leader()
    old.disk_pace = 1_000.0
    lost = asyncio.create_task(old.raft.propose(b"hanging", timeout=20))
    began = cluster.now
    await cluster.until(lambda: not old.raft.is_leader(), 3.0 + 0.2)
    others = [node for node in cluster.running() if node is not old]
    # Two election timeouts at most: 2 * 2 * 10 ticks of 0.1 s.
    await cluster.until(lambda: any(node.raft.is_leader() for node in others), 4.0)
    assert cluster.now - began < 3.0 + 4.5
    with pytest.raises(OutcomeUnknown):
        await lost
    assert len(await write(others[0], "k")) == 50
    assert not old.raft.is_leader()
    old.crash()
    old.disk_pace = 0.001
    old.start()
    await cluster.settle()
    assert set(tally(old).order) >= {f"k{i}" for i in range(50)}


@simulated()
async def test_a_follower_catches_up_after_its_disk_hung_for_half_a_minute(
    cluster: SimulatedCluster,
) -> None:
    """b60: what was under way to it must not wedge its progress; the leader stays."""
    leader = await cluster.leader()
    slow = next(node for node in cluster.running() if node is not leader)
    slow.disk_pace = 30.0
    for i in range(20):
        assert len(await write(leader, f"a{i}-")) == 50
        await asyncio.sleep(1.5)
    slow.disk_pace = 0.001
    began = cluster.now
    await cluster.settle()
    assert cluster.now - began < 35
    assert leader.raft.is_leader()
    assert tally(slow).order == tally(leader).order


@pytest.mark.parametrize("leads", [True, False])
@simulated()
async def test_a_full_disk_ends_one_node_and_loses_nothing(
    cluster: SimulatedCluster, leads: bool
) -> None:
    """b58: `run` says so, the others go on, and with room again the node does too."""
    leader = await cluster.leader()
    other = next(node for node in cluster.running() if node is not leader)
    victim, witness = (leader, other) if leads else (other, leader)
    acknowledged = await write(witness, "before")
    victim.storage.full = True
    acknowledged += await write(witness, "while")
    with pytest.raises(StorageFull, match="No space"):
        await victim.outcome()
    acknowledged += await write(witness, "after")
    victim.storage.full = False
    victim.start()
    await cluster.settle()
    for node in cluster.running():
        assert set(acknowledged) <= set(tally(node).order)
        assert not tally(node).twice()
        assert tally(node).order == tally(witness).order
    assert len(acknowledged) >= 100


@simulated(1, shutdown_timeout=2.0)
async def test_a_node_whose_disk_hangs_for_ever_can_still_be_stopped(
    cluster: SimulatedCluster,
) -> None:
    """b64: `quit` and `run` return, and whoever waits is answered."""
    node = cluster.nodes[1]
    node.disk_pace = 1e9
    waiting = asyncio.create_task(node.raft.propose(b"x", timeout=1e6))
    await asyncio.sleep(0.1)
    began = cluster.now
    await node.stop()
    assert cluster.now - began < 10
    with pytest.raises(RaftifyError):
        await waiting


@simulated()
async def test_a_disk_that_fails_under_a_call_ends_the_node_as_what_it_is(
    cluster: SimulatedCluster,
) -> None:
    """Storm 377: who asked for a campaign got the StorageError, and the node ended by the broken
    invariant that whatever came next was refused with."""
    leader = await cluster.leader()
    await write(leader, "k")
    node = next(node for node in cluster.running() if node is not leader)
    cluster.network.isolate(node.name)
    node.crash()
    # Nothing of the log is in memory.
    node.start()
    await cluster.until(lambda: node.running and node.raft.metrics().last_index > 0)
    node.storage.fail_reads = True
    with pytest.raises(StorageError, match="cannot read"):
        await node.raft.campaign()
    with pytest.raises(StorageError, match="cannot read"):
        await node.outcome()
    node.storage.fail_reads = False
    cluster.network.heal()
    node.start()
    await cluster.settle()
