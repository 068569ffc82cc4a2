"""Disks that hang, fill up and come back, under virtual time. See docs/failures.md for b58, b60."""

from __future__ import annotations

import asyncio

import pytest

from raftify.errors import OutcomeUnknown, RaftifyError, StorageFull
from tests.client.virtual_time import now, virtual_time
from tests.failures.simulated import SimulatedCluster, SimulatedNode, until


async def write(node: SimulatedNode, name: str, count: int = 50) -> list[str]:
    """Propose through `node`; return what was acknowledged."""
    entries = [f"{name}{i}" for i in range(count)]
    results = await asyncio.gather(
        *(node.raft.propose(e.encode(), timeout=30) for e in entries), return_exceptions=True
    )
    return [e for e, r in zip(entries, results, strict=True) if r == f"{e}:1".encode()]


@virtual_time
async def test_a_leader_whose_disk_hangs_gives_up_its_office() -> None:
    """b58: its heartbeats would go on for ever, and nothing would be committed."""
    cluster = SimulatedCluster(disk_stall_timeout=3.0)
    await cluster.static(3)
    old = await cluster.leader()
    old.disk_delay = 1_000.0
    lost = asyncio.create_task(old.raft.propose(b"hanging", timeout=20))
    began = now()
    await until(lambda: not old.raft.is_leader(), 3.0 + 0.2)
    others = [node for node in cluster.running() if node is not old]
    # Two election timeouts at most: 2 * 2 * 10 ticks of 0.1 s.
    await until(lambda: any(node.raft.is_leader() for node in others), 4.0)
    assert now() - began < 3.0 + 4.5
    with pytest.raises(OutcomeUnknown):
        await lost
    assert len(await write(others[0], "k")) == 50
    assert not old.raft.is_leader()
    await old.crash()
    old.disk_delay = 0.001
    old.start()
    await cluster.settle()
    assert set(old.machine.order) >= {f"k{i}" for i in range(50)}
    await cluster.close()


@virtual_time
async def test_a_follower_catches_up_after_its_disk_hung_for_half_a_minute() -> None:
    """b60: what was under way to it must not wedge its progress; the leader stays."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    leader = await cluster.leader()
    slow = next(node for node in cluster.running() if node is not leader)
    slow.disk_delay = 30.0
    for i in range(20):
        assert len(await write(leader, f"a{i}-")) == 50
        await asyncio.sleep(1.5)
    slow.disk_delay = 0.001
    began = now()
    await cluster.settle()
    assert now() - began < 35
    assert leader.raft.is_leader()
    assert slow.machine.order == leader.machine.order
    await cluster.close()


@pytest.mark.parametrize("leads", [True, False])
@virtual_time
async def test_a_full_disk_ends_one_node_and_loses_nothing(leads: bool) -> None:
    """b58: `run` says so, the others go on, and with room again the node does too."""
    cluster = SimulatedCluster()
    await cluster.static(3)
    leader = await cluster.leader()
    other = next(node for node in cluster.running() if node is not leader)
    victim, witness = (leader, other) if leads else (other, leader)
    acknowledged = await write(witness, "before")
    victim.disk.full = True
    acknowledged += await write(witness, "while")
    assert victim.task is not None
    with pytest.raises(StorageFull, match="no space"):
        await victim.task
    acknowledged += await write(witness, "after")
    victim.disk.full = False
    victim.start()
    await cluster.settle()
    for node in cluster.running():
        assert set(acknowledged) <= set(node.machine.order)
        assert not node.machine.twice()
        assert node.machine.order == witness.machine.order
    assert len(acknowledged) >= 100
    await cluster.close()


@virtual_time
async def test_a_node_whose_disk_hangs_for_ever_can_still_be_stopped() -> None:
    """b64: `quit` and `run` return, and whoever waits is answered."""
    cluster = SimulatedCluster(shutdown_timeout=2.0)
    await cluster.static(1)
    node = cluster.nodes[1]
    node.disk_delay = 1e9
    waiting = asyncio.create_task(node.raft.propose(b"x", timeout=1e6))
    await asyncio.sleep(0.1)
    began = now()
    await node.stop()
    assert now() - began < 10
    with pytest.raises(RaftifyError):
        await waiting
