"""The same over gRPC, LMDB and threads, where those are what could break."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from raftify.client import create_client
from raftify.peers import Peers
from raftify.raft import Raft
from tests.cluster.local_cluster import LocalCluster, LocalNode, make_config
from tests.cluster.machines import PlainTally
from tests.ports import free_address


class SlowPlain(PlainTally):
    """Blocks its thread: for long when told to, else for a moment."""

    def apply(self, data: bytes) -> bytes:  # type: ignore[override]  # plain or async, both are fine
        time.sleep(2.5 if data == b"slow" else 0.01 if data.startswith(b"moment") else 0)
        return super().apply(data)

    def snapshot(self) -> bytes:  # type: ignore[override]  # likewise
        time.sleep(1.5)
        return super().snapshot()

    def restore(self, data: bytes) -> None:  # type: ignore[override]  # likewise
        time.sleep(1.5)
        super().restore(data)


async def follower_of(cluster: LocalCluster) -> LocalNode:
    leader = await cluster.leader()
    return next(node for node in cluster.nodes.values() if node is not leader)


async def knows(node: LocalNode, moved: LocalNode) -> None:
    """Wait until `node` has the present address of `moved`."""
    state = node.raft._node.state
    await state.wait_until(
        lambda: state.membership.address_of(moved.id) == moved.address,
        timeout=15,
        what="learning the new address",
    )


@pytest.mark.slow
async def test_functions_that_block_their_thread_delay_no_heartbeat(tmp_path: Path) -> None:
    """b44: each blocks for longer than an election takes."""
    async with LocalCluster(tmp_path, SlowPlain, snapshot_keep_entries=0) as cluster:
        await cluster.grow_to(2)
        leader = await cluster.leader()
        term = leader.raft.inspect()["term"]
        assert await leader.raft.propose(b"slow") == b"slow:1"
        await leader.raft.make_snapshot()
        joiner = await cluster.join(leader)
        await cluster.settle()
        assert joiner.machine.restored == 1
        assert leader.raft.is_leader()
        assert leader.raft.inspect()["term"] == term


async def test_answers_do_not_wait_for_the_whole_batch(tmp_path: Path) -> None:
    """A hundred entries of 10 ms each: the first is answered long before the last."""
    async with LocalCluster(tmp_path, SlowPlain) as cluster:
        node = await cluster.found()
        tasks = [asyncio.create_task(node.raft.propose(f"moment{i}".encode())) for i in range(100)]
        await tasks[0]
        assert not tasks[-1].done()
        # Nor does the end: what is left is applied after the next start.
        began = asyncio.get_running_loop().time()
        await cluster.stop(node)
        assert asyncio.get_running_loop().time() - began < 0.8
        await asyncio.gather(*tasks, return_exceptions=True)
        again = cluster.restart(node)
        await again.raft.read_index()
        assert len(again.machine.order) == 100


async def test_a_proposal_of_exactly_the_limit_goes_through_every_door(tmp_path: Path) -> None:
    """b45: 16 MiB from a follower and from a client; entries larger than an append message."""
    limit = 16 << 20
    # Both nodes and the client share one event loop, which copies each of these some ten times: on
    # a busy machine that is longer than an election of half a second waits.
    large = {
        "max_proposal_bytes": limit,
        "max_grpc_message_bytes": limit + (1 << 20),
        "tick_interval": 0.3,
    }
    async with LocalCluster(tmp_path, PlainTally, **large) as cluster:
        await cluster.grow_to(2)
        follower = await follower_of(cluster)
        assert (await follower.raft.propose(b"f" * limit)).endswith(b":1")
        async with create_client(follower.address, config=make_config(**large)) as client:
            assert (await client.propose(b"c" * limit)).endswith(b":1")
        await cluster.settle()
        for node in cluster.nodes.values():
            assert [len(entry) for entry in node.machine.order] == [limit, limit]


async def test_a_restart_on_another_port_is_noticed(tmp_path: Path) -> None:
    """(a)8 over real connections: the cluster calls back, and keeps the new address."""
    async with LocalCluster(tmp_path) as cluster:
        await cluster.grow_to(3)
        moved = await follower_of(cluster)
        await cluster.stop(moved)
        again = cluster.start(moved.id, free_address(), moved.log_dir)
        await asyncio.gather(*(knows(node, again) for node in cluster.nodes.values()))
        assert await again.raft.propose(b"x") == b"x:1"


async def test_a_leader_that_joined_meanwhile_reaches_who_was_away(tmp_path: Path) -> None:
    """The node that was away has to answer a leader that its membership does not have."""
    async with LocalCluster(tmp_path, snapshot_keep_entries=0) as cluster:
        founder = await cluster.grow_to(3)
        away = cluster.nodes[3]
        await cluster.stop(away)
        joiner = await cluster.join(founder)
        await founder.raft.transfer_leader(joiner.id)
        await joiner.raft.propose(b"x")
        await joiner.raft.make_snapshot()
        back = cluster.restart(away)
        await cluster.settle()
        assert back.raft.get_peers() == joiner.raft.get_peers()
        assert back.machine.order == ["x"]


async def test_two_nodes_that_have_the_same_peers_in_their_settings_move_together(
    tmp_path: Path,
) -> None:
    async with LocalCluster(tmp_path) as cluster:
        await cluster.static(3)
        await (await cluster.leader()).raft.propose(b"x")
        old = list(cluster.nodes.values())
        for node in old:
            await cluster.stop(node)
        addresses = {node.id: free_address() for node in old}
        for node in old:
            cluster.start(node.id, addresses[node.id], node.log_dir, initial_peers=Peers(addresses))
        assert await cluster.nodes[1].raft.propose(b"y") == b"y:1"
        founder: Raft = cluster.nodes[1].raft
        assert founder.get_cluster_size() == 3
