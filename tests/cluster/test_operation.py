"""What operators and tests set in motion: purges, heartbeats, switches, queries, messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftify import Message, MessageType, create_client
from raftify.errors import ConfigError, DeadlineExceeded, NotLeader, QueryFailed, RaftifyError
from tests.cluster.local_cluster import LocalCluster, LocalNode
from tests.cluster.machines import PlainTally, Tally


class AskedOnLoop(Tally):
    async def query(self, data: bytes) -> bytes:
        return str(self.counts[data.decode()]).encode()


class AskedOnThread(PlainTally):
    def query(self, data: bytes) -> bytes:
        if data == b"broken":
            raise ZeroDivisionError("of all things")
        if data == b"text":
            return "text"  # type: ignore[return-value]
        return str(self.counts[data.decode()]).encode()


async def leader_and_follower(cluster: LocalCluster) -> tuple[LocalNode, LocalNode]:
    await cluster.static(3)
    leader = await cluster.leader()
    return leader, next(n for n in cluster.nodes.values() if n is not leader)


@pytest.mark.parametrize("machine", [AskedOnLoop, AskedOnThread])
async def test_queries_are_linearizable_on_every_node(tmp_path: Path, machine: type[Tally]) -> None:
    async with LocalCluster(tmp_path, machine) as cluster:
        leader, follower = await leader_and_follower(cluster)
        async with create_client(follower.address) as client:
            for number in range(1, 6):
                await leader.raft.propose(b"e")
                expected = str(number).encode()
                assert await follower.raft.query(b"e") == expected
                assert await leader.raft.query(b"e") == expected
                assert await client.query(b"e") == expected
            await follower.raft.read_index()
            assert await client.query(b"e", stale=True) == b"5"
            assert await follower.raft.query(b"e", stale=True) == b"5"


async def test_a_query_that_fails_stops_nothing(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, AskedOnThread) as cluster:
        node = await cluster.found()
        with pytest.raises(QueryFailed, match="query of AskedOnThread raised ZeroDivisionError"):
            await node.raft.query(b"broken")
        with pytest.raises(QueryFailed, match="returned str, not bytes"):
            await node.raft.query(b"text")
        with pytest.raises(ConfigError, match="a query is bytes"):
            await node.raft.query("e")  # type: ignore[arg-type]
        async with create_client(node.address) as client:
            with pytest.raises(QueryFailed, match="of all things"):
                await client.query(b"broken")
        assert await node.raft.propose(b"e") == b"e:1"
    async with LocalCluster(tmp_path / "other") as cluster:
        node = await cluster.found()
        with pytest.raises(QueryFailed, match="Tally has no query"):
            await node.raft.query(b"e")


async def test_a_stale_query_needs_no_leader_and_another_does(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, AskedOnLoop) as cluster:
        leader, follower = await leader_and_follower(cluster)
        await leader.raft.propose(b"e")
        await follower.raft.read_index()
        for node in list(cluster.nodes.values()):
            if node is not follower:
                await node.stop()
                cluster.nodes.pop(node.id)
        assert await follower.raft.query(b"e", stale=True) == b"1"
        with pytest.raises(RaftifyError):
            await follower.raft.query(b"e", timeout=0.2)


async def test_the_log_is_purged_as_far_as_the_snapshot_goes(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, purge_batch_entries=3) as cluster:
        node = await cluster.found()
        for number in range(20):
            await node.raft.propose(f"e{number}".encode())
        before = node.raft.metrics().purged
        assert await node.raft.purge_log(10) == before  # there is no snapshot yet
        index = await node.raft.make_snapshot()
        assert node.raft.metrics().purged == before  # a tail is kept
        assert await node.raft.purge_log(10) == 10
        assert await node.raft.purge_log(5) == 10
        assert await node.raft.purge_log(index + 100) == index
        assert node.raft.metrics().purged == index
        with pytest.raises(ConfigError):
            await node.raft.purge_log(-1)
        assert await node.raft.propose(b"e0") == b"e0:2"


async def test_switched_off_elections(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        leader, follower = await leader_and_follower(cluster)
        others = [n for n in cluster.nodes.values() if n is not leader]
        for node in others:
            node.raft.switches.elect = False
        term = leader.raft.metrics().term
        await leader.raft.quit(handover=False)
        await leader.task
        cluster.nodes.pop(leader.id)
        with pytest.raises(DeadlineExceeded):
            # Several election timeouts: without the switch another would lead by then.
            await follower.raft.wait(2.5).until(lambda m: m.term > term, "an election")
        await follower.raft.campaign()
        await follower.raft.wait(10).leader(follower.id)


async def test_switched_off_heartbeats_cost_the_office(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        leader, follower = await leader_and_follower(cluster)
        term = leader.raft.metrics().term
        leader.raft.switches.heartbeat = False
        await follower.raft.wait(20).until(lambda m: m.term > term, "another election")


async def test_switched_off_time(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        leader, follower = await leader_and_follower(cluster)
        term = leader.raft.metrics().term
        for node in cluster.nodes.values():
            node.raft.switches.tick = False
        with pytest.raises(DeadlineExceeded):
            await follower.raft.wait(2.5).until(lambda m: m.term > term, "an election")
        # Entries still go round, and deadlines still pass.
        assert await follower.raft.propose(b"e") == b"e:1"


async def test_demoted_and_elected_again(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        leader, follower = await leader_and_follower(cluster)
        term = leader.raft.metrics().term
        await follower.raft.demote()
        assert leader.raft.is_leader()
        await leader.raft.demote()
        assert not leader.raft.is_leader()
        metrics = await leader.raft.wait(20).until(
            lambda m: bool(m.leader_id) and m.term > term, "another leader"
        )
        assert metrics.leader_id


async def test_a_ping_is_for_the_leader(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        leader, follower = await leader_and_follower(cluster)
        await leader.raft.ping()
        with pytest.raises(NotLeader):
            await follower.raft.ping()


async def test_one_message_by_hand(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        leader, follower = await leader_and_follower(cluster)
        term = follower.raft.metrics().term
        message = Message(
            msg_type=MessageType.TIMEOUT_NOW, to=follower.id, from_=leader.id, term=term
        )
        await follower.raft.send_message(message)
        await follower.raft.wait(10).leader(follower.id)
        with pytest.raises(ConfigError, match="a Message is wanted"):
            await follower.raft.send_message(b"x")  # type: ignore[arg-type]
