"""What is in a log reaches every member, whatever the limits of messages are by now."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from raftify.core.config import RaftConfig
from raftify.errors import ProposalTooLarge
from tests.cluster.local_cluster import LocalCluster

MIB: Final = 1 << 20
LARGE: Final[dict[str, Any]] = {
    "max_proposal_bytes": 16 * MIB,
    "max_grpc_message_bytes": 32 * MIB,
}
#: Copies of entries take a busy machine longer than the elections of other tests.
PATIENT: Final[dict[str, Any]] = {"raft_config": RaftConfig(election_tick=40, heartbeat_tick=4)}
ENTRY: Final = b"x" * (10 * MIB)


async def test_a_follower_gets_an_entry_that_was_taken_under_higher_limits(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, **PATIENT, **LARGE) as cluster:
        founder = await cluster.grow_to(3)
        nodes = list(cluster.nodes.values())
        await cluster.settle()
        await cluster.stop(nodes[2])
        await founder.raft.propose(ENTRY, timeout=60)
        await founder.raft.propose(b"after")
        await cluster.settle()
        for node in nodes[:2]:
            await cluster.stop(node)
        cluster.settings = PATIENT
        first, second, third = [cluster.restart(node) for node in nodes]
        index = await (await cluster.leader((first, second))).raft.read_index(timeout=20)
        await third.applied(index)
        assert third.machine.order == [ENTRY.decode(), "after"]
        with pytest.raises(ProposalTooLarge):
            await third.raft.propose(ENTRY, timeout=20)


async def test_a_leader_with_higher_limits_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """As while the limits are raised, one node after another."""
    async with LocalCluster(tmp_path, **PATIENT) as cluster:
        founder = await cluster.grow_to(3)
        await cluster.settle()
        await founder.raft.transfer_leader(2)
        await cluster.stop(founder)
        again = cluster.start(1, founder.address, founder.log_dir, **LARGE)
        await cluster.settle()
        await (await cluster.leader()).raft.transfer_leader(1)
        await again.raft.propose(ENTRY, timeout=30)
        await again.raft.propose(b"after", timeout=20)
        await cluster.settle()
        assert all(n.machine.order == [ENTRY.decode(), "after"] for n in cluster.nodes.values())
