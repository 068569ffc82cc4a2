"""What storms have found, each as a test of its own with the seed that showed it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest

from raftify.config import Config
from raftify.core.config import RaftConfig
from raftify.core.types import ConfState
from raftify.errors import NodeRemoved, RaftifyError
from raftify.node.local_state import LocalState
from raftify.node.peer_endpoint import PeerEndpoint
from raftify.peers import Membership, Peer
from raftify.storage.base import StoreIdentity
from raftify.testing.simulation import SimulatedCluster, simulate
from raftify.testing.storm.store import Store


def endpoint(ended: list[RaftifyError], asked: list[int]) -> PeerEndpoint:
    """Return node 8 of voters 5, 7 and 8 and learners 2 and 3, as others see it."""
    peers = {i: Peer(i, f"n{i}:7000") for i in (2, 3, 5, 7, 8)}
    membership = Membership(5, ConfState((5, 7, 8), (2, 3)), peers, max_id=8)
    state = LocalState(StoreIdentity("c", 8, "own"), "n8:7000", membership)
    made = PeerEndpoint.__new__(PeerEndpoint)
    made._state = state
    made._logger = logging.getLogger("raftify.tests")
    made._refusers = set()
    made._is_leaving = lambda: False
    made._on_refused = ended.append
    made._ask_others = lambda: asked.append(len(asked))
    return made


def test_who_had_not_heard_of_a_removal_is_asked_again() -> None:
    """Storm 45: some refused a removed node. The others had not heard of its removal when they were
    asked, were never asked again, and it campaigned for ever."""
    ended: list[RaftifyError] = []
    asked: list[int] = []
    node = endpoint(ended, asked)
    gone = NodeRemoved("node 8 was removed")
    for member in (5, 2, 5, 2):
        node.report_refused(member, gone)
    assert len(asked) == 4
    assert not ended
    node.report_refused(7, gone)
    assert ended == [gone]


def test_learners_do_not_end_a_voter_that_was_removed() -> None:
    """Storm 156: of two voters one was removed. Two learners had heard of it and told it so, and it
    ended. The other voter had forgotten in a crash that the removal was committed, and its vote was
    needed to find out."""
    ended: list[RaftifyError] = []
    asked: list[int] = []
    node = endpoint(ended, asked)
    gone = NodeRemoved("node 8 was removed")
    for learner in (2, 3):
        node.report_refused(learner, gone)
    node.report_refused(5, gone)
    assert not ended
    node.report_refused(7, gone)
    assert ended == [gone]


def test_a_learner_that_moved_is_found() -> None:
    """Storm 41: a learner was started at another address while there was no leader that knew the
    new one. It never campaigns, so it called nobody, and the leader called at its old address."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.start(3)
        learner = cluster.new_machine()
        learner.start((await cluster.ticket(learner, await cluster.leader())).reserved_id)
        cluster.nodes[learner.id] = learner
        leader = await cluster.leader()
        await leader.raft.add_learner(learner.id, learner.address)
        learner.crash()
        learner.start(address=f"{learner.name}:7001")
        await leader.raft.propose(b'[1, ["put", "x", 1]]')
        await learner.applied(leader.runtime.state.committed)
        await cluster.until(
            lambda: leader.raft.get_peers()[learner.id].address == f"{learner.name}:7001"
        )

    simulate(scenario, machine=Store, config=Config(), timeout=120)


@pytest.mark.parametrize("votes", [False, True])
def test_who_is_called_where_it_is_not_finds_a_leader_that_joined_since(votes: bool) -> None:
    """Storm 228: the cluster was told a wrong address for a learner that had been away while the
    present leader joined. Neither reached the other, and nobody introduced them."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, _, away = await cluster.start(3)
        if not votes:
            await first.raft.change_config(add_learners=[away.id])
        await cluster.settle()
        away.crash()
        joined = await cluster.join()
        await joined.raft.transfer_leader(joined.id, timeout=10)
        async with cluster.client() as client:
            await client.set_peers({away.id: f"{away.name}:9"})
        away.start()
        await cluster.converge()
        await cluster.until(lambda: joined.raft.get_peers()[away.id].address == away.address)

    simulate(scenario, machine=Store, config=Config(), timeout=120)


def test_two_that_moved_at_once_find_each_other() -> None:
    """Storm 233: a leader had moved while a follower was away, and the follower came back at
    another address itself. Each called at the other's old address, and nobody introduced them."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second, third = await cluster.start(3)
        second.crash()
        first.crash()
        first.start(address=f"{first.name}:7001")
        while not first.raft.is_leader():
            with suppress(RaftifyError):  # there may be no leader yet, or it may not know enough
                await third.raft.transfer_leader(first.id, timeout=5)
            await asyncio.sleep(1)
        # Only the third node hears where it is now.
        await first.raft.propose(b'[1, ["put", "x", 1]]')
        second.start(address=f"{second.name}:7002")
        addresses = {f"{first.name}:7001", f"{second.name}:7002"}
        await cluster.until(
            lambda: addresses < {str(p.address) for p in first.raft.get_peers().values()}
        )
        await cluster.converge()

    simulate(scenario, machine=Store, config=Config(), timeout=120)


def test_a_learner_that_moved_calls_a_leader_that_joined_since() -> None:
    """Storm 20018: another member told it who leads, and where. But it called only those that its
    own membership had, and the leader went on to call at the old address."""

    async def scenario(cluster: SimulatedCluster) -> None:
        (first,) = await cluster.start(1)
        learner = cluster.new_machine()
        learner.start((await cluster.ticket(learner, first)).reserved_id)
        cluster.nodes[learner.id] = learner
        await first.raft.add_learner(learner.id, learner.address)
        learner.crash()
        second = await cluster.join()
        await second.raft.transfer_leader(second.id, timeout=10)
        await second.raft.change_config(add_learners=[first.id], timeout=10)
        learner.start(address=f"{learner.name}:7001")
        await cluster.converge()
        assert second.raft.get_peers()[learner.id].address == f"{learner.name}:7001"

    simulate(scenario, machine=Store, config=Config(), timeout=120)


def test_a_learner_that_was_removed_while_it_was_away_ends() -> None:
    """Storms 636 and 670: a leader says nothing to who is removed, a learner says nothing by
    itself, and so it was never told. With its process alive, and with a new one."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        learners = []
        for _ in range(2):
            learner = cluster.new_machine()
            learner.start((await cluster.ticket(learner, leader)).reserved_id)
            cluster.nodes[learner.id] = learner
            await leader.raft.add_learner(learner.id, learner.address)
            learners.append(learner)
        deaf, down = learners
        for node in cluster.nodes.values():
            cluster.network.cut(node.name, deaf.name, both_ways=True)
        down.crash()
        await leader.raft.change_config(remove=[deaf.id, down.id])
        cluster.heal()
        down.start()
        for learner in learners:
            async with asyncio.timeout(30):
                await learner.ended()
            assert isinstance(learner.failure, NodeRemoved)

    simulate(scenario, machine=Store, config=Config(), timeout=120)


def test_a_member_has_the_same_membership_before_and_after_a_restart() -> None:
    """Storms 6000 and 6006: the members of a static cluster kept the roles they began with in the
    membership, where neither the log nor a snapshot has them: whoever restarted had another one."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second, learner = await cluster.start(2, learners=1, first_leader=1)
        for node in (second, learner):
            node.crash()
            node.start()
        await cluster.converge()
        seen = [node.raft.get_peers() for node in (first, second, learner)]
        assert dict(seen[0]) == dict(seen[1]) == dict(seen[2])

    simulate(scenario, machine=Store, config=Config(), timeout=120)


@pytest.mark.parametrize("how", ["quit", "close", "demoted before"])
def test_leader_work_is_stopped_however_it_ends(how: str) -> None:
    """Storms 7100 to 7117: `stop` was not called, or was cancelled, where the end of the node came
    while the work was being cancelled already, as it is at each `quit` of a leader."""
    told: list[str] = []

    async def start(term: int) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.1)
            told.append("put away")

    async def stop(term: int) -> None:
        told.append("stop")
        await asyncio.sleep(0.1)
        told.append("stopped")

    async def scenario(cluster: SimulatedCluster) -> None:
        (node,) = await cluster.start(1)
        assert node.process is not None
        assert node.facade is not None
        work = node.process.run(node.facade.on_leader_change, start, stop)
        await asyncio.sleep(1)
        if how == "close":
            closing = [asyncio.create_task(node.call(lambda _: work.close())) for _ in range(2)]
            await asyncio.gather(*closing)
        elif how == "demoted before":
            node.raft.switches.elect = False
            await node.raft.demote()
            await asyncio.sleep(0.15)
        await node.stop()
        assert told == ["put away", "stop", "stopped"]

    simulate(scenario, machine=Store, config=Config(), timeout=120)


def test_a_candidate_without_guards_comes_back_among_others_that_have_them() -> None:
    """Storm "short 7": options were rolled out, and a node had neither pre-vote nor quorum checks.

    It was away, went ahead in term, was not heard by the others, and did not answer the leader.
    """

    async def scenario(cluster: SimulatedCluster) -> None:
        nodes = await cluster.start(3)
        leader = await cluster.leader()
        node = next(node for node in nodes if node is not leader)
        node.crash()
        node.config = Config(raft_config=RaftConfig(pre_vote=False, check_quorum=False))
        cluster.network.isolate(node.name)
        node.start()
        await cluster.until(lambda: node.runtime.state.term > leader.runtime.state.term + 1)
        cluster.network.heal()
        await cluster.converge()

    simulate(scenario, machine=Store, config=Config(), timeout=120)


def test_who_moves_to_the_place_of_another_leaves_the_peers_readable() -> None:
    """Misplaced members in storms: a node may be started where another, which is down, had been.
    Until that one was back or removed, `get_peers` raised that the two shared an address."""

    async def scenario(cluster: SimulatedCluster) -> None:
        _, second, third = await cluster.start(3)
        third.crash()
        async with cluster.client() as client:
            await client.set_peers({second.id: third.address})
        leader = await cluster.leader()
        taken = [peer.address for peer in leader.raft.get_peers().values()]
        assert taken.count(third.address) == 2
        # Each says itself where it is.
        third.start()
        await cluster.until(
            lambda: (
                [*leader.raft.get_peers()] == [1, 2, 3]
                and leader.raft.get_peers()[second.id].address == second.address
            )
        )
        await cluster.converge()

    simulate(scenario, machine=Store, config=Config(), timeout=120)


@pytest.mark.parametrize("many", [False, True], ids=["one", "many at once"])
def test_who_is_sent_to_a_wrong_address_of_the_leader_asks_again(many: bool) -> None:
    """Storm "short 9": a member was said to be where another one is, and led. Who asked it there
    was refused, and told its caller so, though the leader said a moment later where it is."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        other = next(node for node in cluster.running() if node is not leader)
        async with cluster.client() as client:
            await client.set_peers({leader.id: other.address})
        await other.raft.wait(10).until(
            lambda metrics: metrics.membership.address_of(leader.id) == other.address
        )
        data = b'[1, ["put", "x", 1]]'
        answers = (
            await other.raft.propose_many([data]) if many else [await other.raft.propose(data)]
        )
        assert answers == [b"null"]

    simulate(scenario, seed=9, machine=Store)
