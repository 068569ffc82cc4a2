"""The facade end to end: real nodes, real LMDB, real gRPC."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from raftify.client import create_client
from raftify.core.config import RaftConfig
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import (
    AddressInUse,
    ConfChangeRejected,
    ConfigError,
    IncarnationMismatch,
    InvariantViolation,
    JoinRejected,
    NodeStopped,
    NoLeader,
    ProposalTooLarge,
    StateMachineError,
    StorageForeign,
    TransferRejected,
)
from raftify.peers import InitialRole, Peer, Peers
from raftify.raft import Raft
from tests.cluster.local_cluster import LocalCluster, make_config
from tests.cluster.machines import PlainTally, Tally
from tests.ports import free_address


async def test_one_node_alone_answers(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        assert await node.raft.propose(b"a") == b"a:1"
        assert node.raft.is_leader()
        assert node.raft.get_cluster_size() == 1
        assert node.machine.counts == {"a": 1}


@pytest.mark.parametrize("size", [2, 3, 5])
async def test_clusters_that_grow_by_joining(tmp_path: Path, size: int) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(size)
        for i in range(20):
            assert await founder.raft.propose(f"k{i}".encode()) == f"k{i}:1".encode()
        await cluster.settle()
        for node in cluster.nodes.values():
            assert node.machine.order == founder.machine.order
            assert not node.machine.twice()
            assert node.raft.get_cluster_size() == size


@pytest.mark.parametrize("size", [1, 2, 3, 5])
async def test_static_clusters(tmp_path: Path, size: int) -> None:
    async with LocalCluster(tmp_path) as cluster:
        await cluster.static(size)
        leader = await cluster.leader()
        assert await leader.raft.propose(b"a") == b"a:1"
        await cluster.settle()
        assert all(n.machine.counts == {"a": 1} for n in cluster.nodes.values())


@pytest.mark.parametrize("make_machine", [Tally, PlainTally])
async def test_followers_pass_proposals_on(tmp_path: Path, make_machine: type[Tally]) -> None:
    async with LocalCluster(tmp_path, make_machine) as cluster:
        await cluster.grow_to(3)
        results = await asyncio.gather(
            *(
                n.raft.propose(f"from {n.id} {i}".encode())
                for n in cluster.nodes.values()
                for i in range(30)
            )
        )
        assert all(result.endswith(b":1") for result in results)
        await cluster.settle()
        assert all(len(n.machine.counts) == 90 for n in cluster.nodes.values())


async def test_a_restart_resumes_and_applies_each_entry_once(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        for i in range(10):
            await node.raft.propose(f"k{i}".encode())
        await cluster.stop(node)
        again = cluster.restart(node)
        await again.raft.read_index()
        assert again.machine.order == [f"k{i}" for i in range(10)]
        assert not again.machine.twice()
        assert await again.raft.propose(b"k0") == b"k0:2"


async def test_all_nodes_restart_at_once(tmp_path: Path) -> None:
    """PySyncObj#84: committed data must not change because everybody was down."""
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(3)
        await asyncio.gather(*(founder.raft.propose(f"k{i}".encode()) for i in range(50)))
        old = list(cluster.nodes.values())
        await asyncio.gather(*(cluster.stop(node) for node in old))
        for node in old:
            cluster.restart(node)
        await cluster.settle()
        for node in cluster.nodes.values():
            assert sorted(node.machine.counts) == sorted(f"k{i}" for i in range(50))
            assert not node.machine.twice()


async def test_the_leader_stops_and_another_leads(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(3)
        await founder.raft.propose(b"before")
        await cluster.stop(founder)
        leader = await cluster.leader()
        assert await leader.raft.propose(b"after") == b"after:1"
        back = cluster.restart(founder)
        await cluster.settle()
        assert back.machine.order == ["before", "after"]


async def test_a_follower_far_behind_gets_a_snapshot(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, snapshot_entries=50, snapshot_keep_entries=5) as cluster:
        founder = await cluster.grow_to(3)
        late = cluster.nodes[3]
        await cluster.stop(late)
        for start in range(0, 400, 100):
            await asyncio.gather(
                *(founder.raft.propose(f"k{i}".encode()) for i in range(start, start + 100))
            )
        await founder.raft.make_snapshot()
        back = cluster.restart(late)
        await cluster.settle()
        assert back.machine.restored >= 1
        assert back.machine.order == founder.machine.order
        assert len(back.machine.order) == 400
        assert not back.machine.twice()


async def test_a_snapshot_is_where_a_restart_begins(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, snapshot_keep_entries=0) as cluster:
        node = await cluster.found()
        await asyncio.gather(*(node.raft.propose(f"k{i}".encode()) for i in range(100)))
        index = await node.raft.make_snapshot()
        assert node.raft.storage().first_index() == index + 1
        await node.raft.propose(b"later")
        await cluster.stop(node)
        again = cluster.restart(node)
        await again.raft.read_index()
        assert again.machine.restored == 1
        assert len(again.machine.order) == 101
        assert not again.machine.twice()


async def test_a_retried_request_brings_the_same_id(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        address = free_address()
        first = await Raft.request_id(address, founder.address)
        second = await Raft.request_id(address, founder.address)
        other = await Raft.request_id(free_address(), founder.address)
        assert first.reserved_id == second.reserved_id == 2
        assert other.reserved_id == 3


async def test_a_joiner_may_ask_any_node_and_join_twice(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        await cluster.grow_to(2)
        follower = next(n for n in cluster.nodes.values() if not n.raft.is_leader())
        address = free_address()
        ticket = await Raft.request_id(address, follower.address)
        node = cluster.start(ticket.reserved_id, address)
        await node.raft.join_cluster([ticket])
        await node.raft.join_cluster([ticket])
        assert await node.raft.propose(b"x") == b"x:1"


async def test_a_joiner_that_died_in_the_middle_tries_again(tmp_path: Path) -> None:
    """It had its id and a running node, but its join was not answered (failures b37)."""
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        address = free_address()
        ticket = await Raft.request_id(address, founder.address)
        first = cluster.start(ticket.reserved_id, address)
        await cluster.stop(first)
        again = cluster.restart(first)
        await again.raft.join_cluster([await Raft.request_id(address, founder.address)])
        assert again.raft.get_cluster_size() == 2


async def test_several_nodes_join_in_one_change(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        addresses = [free_address(), free_address()]
        tickets = [await Raft.request_id(a, founder.address) for a in addresses]
        nodes = [cluster.start(t.reserved_id, t.raft_addr) for t in tickets]
        await nodes[0].raft.join_cluster(tickets)
        await founder.raft.propose(b"x")
        await cluster.settle()
        assert founder.raft.get_cluster_size() == 3
        assert not founder.raft.inspect()["membership"]["voters_outgoing"]  # type: ignore[index]  # plain values


async def test_leaving_and_coming_back_under_a_new_id(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(3)
        leaver = cluster.nodes.pop(3)
        await leaver.raft.leave()
        await leaver.task
        assert founder.raft.get_cluster_size() == 2
        back = await Raft.request_id(leaver.address, founder.address)
        assert back.reserved_id == 4


async def test_the_leader_leaves(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(3)
        await founder.raft.propose(b"a")
        cluster.nodes.pop(1)
        await founder.raft.leave()
        await founder.task
        leader = await cluster.leader()
        assert await leader.raft.propose(b"b") == b"b:1"
        assert leader.raft.get_cluster_size() == 2


async def test_the_last_voter_cannot_leave(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        with pytest.raises(ConfChangeRejected):
            await founder.raft.leave()
        assert await founder.raft.propose(b"a") == b"a:1"


async def test_a_learner_follows_and_is_promoted(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        address = free_address()
        ticket = await Raft.request_id(address, founder.address)
        learner = cluster.start(ticket.reserved_id, address)
        add = ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, learner.id)
        await founder.raft.change_config(ConfChangeV2(changes=(add,)), {learner.id: address})
        await founder.raft.propose(b"a")
        await cluster.settle()
        assert learner.machine.counts == {"a": 1}
        promote = ConfChangeSingle(ConfChangeType.ADD_NODE, learner.id)
        membership = await founder.raft.change_config(ConfChangeV2(changes=(promote,)))
        assert membership.conf_state.voters == (1, 2)
        assert membership.address_of(2) == address


async def test_leadership_is_handed_over(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(3)
        await founder.raft.transfer_leader(2)
        assert (await cluster.leader()).id == 2
        follower = cluster.nodes[3]
        await follower.raft.transfer_leader(3)
        assert (await cluster.leader()).id == 3
        with pytest.raises(TransferRejected):
            await founder.raft.transfer_leader(99)


async def test_campaigning_takes_the_lead(tmp_path: Path) -> None:
    settings = RaftConfig(election_tick=10, heartbeat_tick=2, check_quorum=False, pre_vote=False)
    async with LocalCluster(tmp_path, raft_config=settings) as cluster:
        await cluster.grow_to(3)
        await cluster.settle()
        await cluster.nodes[2].raft.campaign()
        state = cluster.nodes[2].raft._node.state
        await state.wait_until(lambda: state.is_leader, timeout=10, what="winning")


async def test_a_read_index_waits_until_it_is_applied_here(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(3)
        for i in range(10):
            await founder.raft.propose(f"k{i}".encode())
            follower = cluster.nodes[2 + i % 2]
            await follower.raft.read_index()
            assert follower.machine.counts[f"k{i}"] == 1


async def test_without_a_quorum_a_proposal_ends_with_a_typed_error(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(2)
        await cluster.stop(founder)
        with pytest.raises(NoLeader, match="no leader took it"):
            await cluster.nodes[2].raft.propose(b"x", timeout=1.5)


async def test_a_proposal_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, max_proposal_bytes=1000) as cluster:
        founder = await cluster.grow_to(2)
        for node in (founder, cluster.nodes[2]):
            with pytest.raises(ProposalTooLarge, match="allows 1000"):
                await node.raft.propose(b"x" * 1001)
        assert await founder.raft.propose(b"x" * 1000)
        with pytest.raises(ConfigError, match="bytes"):
            await founder.raft.propose("text")  # type: ignore[arg-type]  # bad input on purpose


async def test_an_apply_that_raises_stops_the_node_with_that_error(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        await node.raft.propose(b"fine")
        with pytest.raises(NodeStopped, match="cannot be applied"):
            await node.raft.propose(b"poison")
        with pytest.raises(StateMachineError, match="ValueError"):
            await node.task
        cluster.nodes.clear()
        with pytest.raises(NodeStopped):
            await node.raft.propose(b"more")
        # It is in the log: the node stops there again and never skips it.
        again = cluster.restart(node)
        with pytest.raises(StateMachineError):
            await again.task
        assert again.machine.order == ["fine"]
        cluster.nodes.clear()


async def test_an_empty_proposal_is_the_users_own(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        assert await node.raft.propose(b"") == b":1"
        assert node.machine.counts == {"": 1}


async def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        machine = Tally()
        other = Raft.bootstrap(
            1, node.address, cluster.storage(tmp_path / "other"), machine, make_config()
        )
        with pytest.raises(AddressInUse, match=node.address):
            await other.run()


async def test_a_directory_of_another_node_is_refused(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        await cluster.stop(node)
        with pytest.raises(StorageForeign, match="of node 1, not of node 7"):
            cluster.start(7, node.address, node.log_dir)
        with pytest.raises(StorageForeign, match="belongs to cluster"):
            cluster.start(1, node.address, node.log_dir, cluster_id="elsewhere")


async def test_joining_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoLeader, match="asked"):
        await Raft.request_id(free_address(), free_address(), timeout=1.0)
    with pytest.raises(ConfigError, match="cannot read the address"):
        await Raft.request_id("nowhere", free_address())


async def test_a_ticket_of_another_cluster(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        address = free_address()
        ticket = await Raft.request_id(address, founder.address)
        stranger = cluster.start(ticket.reserved_id, address, cluster_id="another")
        with pytest.raises(JoinRejected, match="'default'"):
            await stranger.raft.join_cluster([ticket])


async def test_initial_peers_must_name_this_node(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path)
    peers = Peers({1: "127.0.0.1:1", 2: "127.0.0.1:2"})
    with pytest.raises(ConfigError, match="but not this node, 3"):
        cluster.start(3, free_address(), initial_peers=peers)
    with pytest.raises(ConfigError, match="would not find it"):
        cluster.start(1, free_address(), tmp_path / "b", initial_peers=peers)


async def test_the_async_context_manager(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path)
    address = free_address()
    storage = cluster.storage(tmp_path / "log")
    async with Raft.bootstrap(1, address, storage, Tally(), make_config()) as raft:
        assert await raft.propose(b"x") == b"x:1"
    with pytest.raises(NodeStopped):
        await raft.propose(b"y")


async def test_remote_proposals_find_the_leader(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        await cluster.grow_to(3)
        leader = await cluster.leader()
        follower = next(n for n in cluster.nodes.values() if n is not leader)
        async with create_client(follower.address) as client:
            results = await asyncio.gather(*(client.propose(f"r{i}".encode()) for i in range(300)))
            assert sorted(results) == sorted(f"r{i}:1".encode() for i in range(300))
            view = await client.get_peers()
            assert view.leader_id == leader.id
            debug = await client.debug_node()
            assert debug["node_id"] == follower.id
            assert await client.create_snapshot() > 0


async def test_a_wiped_disk_under_an_old_id_is_refused(tmp_path: Path) -> None:
    """etcd-io/raft#25: it has forgotten its votes, and must not vote again (failures b16, b17)."""
    async with LocalCluster(tmp_path) as cluster:
        await cluster.static(3)
        leader = await cluster.leader()
        await leader.raft.propose(b"a")
        await cluster.settle()
        victim = next(n for n in cluster.nodes.values() if n is not leader)
        await cluster.stop(victim)
        peers = Peers({n.id: n.address for n in (*cluster.nodes.values(), victim)})
        wiped = cluster.start(victim.id, victim.address, tmp_path / "empty", initial_peers=peers)
        # Whichever comes first: it is refused by the others, or the leader tells it of commits that
        # it cannot have lost but by losing its disk.
        with pytest.raises(
            (IncarnationMismatch, InvariantViolation),
            match=r"another store than before|Its store was wiped, replaced or rolled back",
        ):
            await wiped.task
        cluster.nodes.pop(victim.id)
        assert await leader.raft.propose(b"b") == b"b:1"


async def test_quitting_answers_everyone_who_waits(tmp_path: Path) -> None:
    """failures b64: nothing hangs, nothing is logged as an error, a second quit is harmless."""
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(2)
        await cluster.stop(cluster.nodes[2])
        waiting = [asyncio.create_task(founder.raft.propose(b"x")) for _ in range(20)]
        reading = asyncio.create_task(founder.raft.read_index())
        await asyncio.sleep(0)
        await cluster.stop(founder)
        await founder.raft.quit()
        for task in (*waiting, reading):
            with pytest.raises(NodeStopped):
                await task


@pytest.mark.parametrize("timeout", [float("nan"), float("inf"), 0, -1, "5", True])
async def test_a_timeout_that_is_no_time_is_refused(tmp_path: Path, timeout: Any) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        for call in (node.raft.read_index, node.raft.wait_for_leader, node.raft.make_snapshot):
            with pytest.raises(ConfigError, match="timeout"):
                await call(timeout=timeout)
        with pytest.raises(ConfigError, match="timeout"):
            await node.raft.propose(b"x", timeout=timeout)


async def test_a_node_that_nobody_runs_says_so_at_once(tmp_path: Path) -> None:
    storage = LocalCluster(tmp_path).storage(tmp_path / "log")
    raft = Raft.bootstrap(1, free_address(), storage, Tally(), make_config())
    for call in (raft.propose(b"x"), raft.read_index(), raft.make_snapshot(), raft.campaign()):
        with pytest.raises(NodeStopped, match="does not run: start it"):
            await call
    await raft.quit()


async def test_an_address_that_names_no_machine_is_refused(tmp_path: Path) -> None:
    storage = LocalCluster(tmp_path).storage(tmp_path / "log")
    with pytest.raises(ConfigError, match="names no machine"):
        Raft.bootstrap(1, "0.0.0.0:60061", storage, Tally(), make_config())
    storage.close()


async def test_a_cluster_of_learners_is_refused(tmp_path: Path) -> None:
    address = free_address()
    peers = Peers([Peer(1, address, initial_role=InitialRole.LEARNER)])
    with pytest.raises(ConfigError, match="needs a voter"):
        LocalCluster(tmp_path).start(1, address, initial_peers=peers)
