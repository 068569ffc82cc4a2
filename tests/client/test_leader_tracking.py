"""A client finds the leader, follows it, repeats what is safe and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from raftify.client import RaftServiceClient
from raftify.client.backoff import LONGEST_DELAY
from raftify.client.directory import PROBE_TIMEOUT, RETIREMENT, STOPPING_TIME
from raftify.errors import (
    ConfChangeRejected,
    DeadlineExceeded,
    LeadershipLost,
    LeaderTransferring,
    NodeStopped,
    NoLeader,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PeerRefused,
    PeerUnreachable,
    PendingConfChange,
    ProposalDropped,
    ProposalTooLarge,
    RaftifyError,
    StateMachineError,
    TransferRejected,
    TransportError,
)
from raftify.testing.simulation import virtual_time
from tests.client.fake_cluster import FakeCluster, address_of, now


@pytest.mark.parametrize("way_in", [1, 2, 3])
def test_any_member_is_a_way_in(way_in: int) -> None:
    @virtual_time
    async def scenario() -> None:
        cluster = FakeCluster()
        async with cluster.client(way_in) as client:
            assert await client.propose(b"x") == b"applied x"
        assert cluster.nodes[1].applied == [b"x"]
        assert cluster.calls("propose") == [1, 0, 0]

    scenario()


@virtual_time
async def test_a_known_leader_is_asked_directly() -> None:
    cluster = FakeCluster()
    async with cluster.client(2) as client:
        await client.propose(b"1")
        before = cluster.calls("get_peers")
        await client.propose(b"2")
        assert cluster.calls("get_peers") == before
        assert cluster.calls("propose") == [2, 0, 0]


@virtual_time
async def test_many_proposals_share_one_connection() -> None:
    cluster = FakeCluster()
    async with cluster.client(3) as client:
        results = await asyncio.gather(*(client.propose(b"%d" % i) for i in range(512)))
        assert results == [b"applied %d" % i for i in range(512)]
        addresses = [address for address, _ in cluster.connections]
        assert len(addresses) == len(set(addresses))
        assert cluster.calls("get_peers") == [1, 1, 1]


@virtual_time
async def test_a_hint_is_followed_at_once() -> None:
    cluster = FakeCluster()
    async with cluster.client(1) as client:
        await client.propose(b"1")
        cluster.elect(3)
        started = now()
        await client.propose(b"2")
        assert now() - started == pytest.approx(0.002)
        assert cluster.nodes[3].applied == [b"2"]


@virtual_time
async def test_a_hint_without_address_is_looked_up_among_the_members() -> None:
    cluster = FakeCluster()
    for node in cluster.nodes.values():
        node.hides_addresses = True
    async with cluster.client(2) as client:
        await client.propose(b"1")
        cluster.elect(3)
        await client.propose(b"2")
    assert cluster.nodes[1].applied == [b"1"]
    assert cluster.nodes[3].applied == [b"2"]


@virtual_time
async def test_the_way_in_may_die_once_members_are_known() -> None:
    cluster = FakeCluster()
    async with cluster.client(1) as client:
        await client.propose(b"1")
        cluster.nodes[1].up = False
        cluster.elect(2)
        assert await client.propose(b"2") == b"applied 2"


@virtual_time
async def test_a_dead_way_in_does_not_matter_if_another_was_given() -> None:
    cluster = FakeCluster()
    cluster.nodes[2].up = False
    async with cluster.client(2, 3) as client:
        assert await client.propose(b"x") == b"applied x"


@virtual_time
async def test_an_election_is_waited_for() -> None:
    cluster = FakeCluster()
    async with cluster.client(1) as client:
        await client.propose(b"1")
        cluster.nodes[1].up = False
        cluster.elect(0)
        asyncio.get_running_loop().call_later(1.5, cluster.elect, 3)
        started = now()
        await client.propose(b"2")
        assert 1.5 <= now() - started < 2.1
        assert cluster.nodes[3].applied == [b"2"]


@virtual_time
async def test_old_views_of_a_dead_leader_do_not_hide_the_new_one() -> None:
    cluster = FakeCluster(5)
    async with cluster.client(2) as client:
        await client.propose(b"1")
        cluster.nodes[1].up = False
        cluster.nodes[4].believes = cluster.nodes[5].believes = 5
        await client.propose(b"2")
        assert cluster.nodes[5].applied == [b"2"]


@virtual_time
async def test_followers_that_still_name_a_vanished_leader_are_not_believed() -> None:
    cluster = FakeCluster()
    cluster.nodes[1].vanished = True
    asyncio.get_running_loop().call_later(2.5, cluster.elect, 3)
    async with cluster.client(2) as client:
        await client.propose(b"x")
        assert now() < 2.5 + PROBE_TIMEOUT + LONGEST_DELAY
        assert cluster.calls("propose") == [0, 0, 1]


@virtual_time
async def test_a_silent_node_does_not_hold_up_the_search() -> None:
    cluster = FakeCluster()
    cluster.nodes[3].silent = True
    async with cluster.client(3, 2) as client:
        started = now()
        await client.propose(b"x")
        assert now() - started < 0.1


@virtual_time
async def test_a_single_node_that_restarts_is_found_again() -> None:
    cluster = FakeCluster(1)
    async with cluster.client() as client:
        await client.propose(b"1")
        cluster.nodes[1].up = False
        asyncio.get_running_loop().call_later(2.0, setattr, cluster.nodes[1], "up", True)
        await client.propose(b"2")
        assert cluster.nodes[1].applied == [b"1", b"2"]


@virtual_time
async def test_hints_in_a_circle_end_at_the_deadline_and_are_not_chased_at_full_speed() -> None:
    cluster = FakeCluster()
    cluster.nodes[1].believes, cluster.nodes[2].believes, cluster.nodes[3].believes = 2, 3, 1
    async with cluster.client(timeout=5.0) as client:
        with pytest.raises(NoLeader, match=r"within 5 s"):
            await client.propose(b"x")
        assert now() == pytest.approx(5.0, abs=0.01)
        assert sum(cluster.calls("propose")) < 60


@virtual_time
async def test_without_a_leader_the_error_says_who_was_asked_and_what_they_said() -> None:
    cluster = FakeCluster()
    cluster.elect(0)
    cluster.nodes[3].up = False
    async with cluster.client(1, timeout=2.0) as client:
        with pytest.raises(NoLeader) as caught:
            await client.propose(b"x")
    text = str(caught.value)
    assert f"{address_of(1)} (knows of no leader)" in text
    assert f"{address_of(2)} (knows of no leader)" in text
    assert f"{address_of(3)} (PeerUnreachable: connection to {address_of(3)} refused)" in text
    assert now() == pytest.approx(2.0, abs=0.01)


@virtual_time
async def test_with_everyone_silent_the_deadline_still_holds() -> None:
    cluster = FakeCluster(1)
    cluster.nodes[1].silent = True
    async with cluster.client(timeout=0.4) as client:
        with pytest.raises(NoLeader, match="no answer"):
            await client.propose(b"x")
    assert now() == pytest.approx(0.4, abs=0.01)


@virtual_time
async def test_a_call_has_one_deadline_which_shrinks_from_attempt_to_attempt() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        await client.propose(b"1")
        cluster.nodes[1].script.extend(Overloaded("full") for _ in range(5))
        before = len(cluster.nodes[1].timeouts)
        await client.propose(b"2", timeout=3.0)
    budgets = cluster.nodes[1].timeouts[before:]
    assert len(budgets) == 6
    assert budgets[0] == 3.0
    assert budgets == sorted(budgets, reverse=True)
    assert 3.0 - budgets[-1] == pytest.approx(now() - 0.003, abs=0.01)


@pytest.mark.parametrize(
    "refusal",
    [
        Overloaded("inbox full"),
        LeaderTransferring("handing over"),
        NoLeader("an election is under way"),
        NotLeader(),
        PeerUnreachable("connection reset before the request was sent"),
        ProposalDropped("replaced by another entry; it will never take effect"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("known", [False, True], ids=["leader unknown", "leader known"])
def test_a_refusal_that_changed_nothing_is_repeated(*, refusal: RaftifyError, known: bool) -> None:
    @virtual_time
    async def scenario() -> None:
        cluster = FakeCluster()
        async with cluster.client() as client:
            if known:
                await client.propose(b"before")
            cluster.nodes[1].script.append(refusal)
            assert await client.propose(b"x") == b"applied x"
        assert cluster.nodes[1].applied[-1:] == [b"x"]
        assert cluster.calls("propose") == [2 + known, 0, 0]

    scenario()


MUTATIONS: dict[str, Callable[[RaftServiceClient], object]] = {
    "propose": lambda client: client.propose(b"x"),
    "change_config": lambda client: client.change_config(remove=[3]),
    "leave_joint": lambda client: client.leave_joint(),
    "set_peers": lambda client: client.set_peers({2: "10.0.0.2:1"}),
    "transfer_leader": lambda client: client.transfer_leader(2),
}


@pytest.mark.parametrize("operation", MUTATIONS)
@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("?"),
        LeadershipLost("lost"),
        DeadlineExceeded("late"),
        NodeStopped("node 1 is stopping"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unknown_outcome_is_never_repeated(operation: str, error: RaftifyError) -> None:
    @virtual_time
    async def scenario() -> None:
        cluster = FakeCluster()
        async with cluster.client() as client:
            for known in (False, True):
                cluster.nodes[1].script.append(error)
                with pytest.raises(OutcomeUnknown) as caught:
                    await MUTATIONS[operation](client)  # type: ignore[misc]  # all are coroutines
                if isinstance(error, OutcomeUnknown):
                    assert caught.value is error
                assert cluster.calls(operation) == [1 + known, 0, 0]

    scenario()


@virtual_time
async def test_after_an_unknown_outcome_the_next_call_looks_for_the_leader_anew() -> None:
    cluster = FakeCluster()
    async with cluster.client(timeout=2.0) as client:
        await client.propose(b"1")
        cluster.nodes[1].silent = True
        with pytest.raises(DeadlineExceeded):
            await client.propose(b"2")
        cluster.nodes[2].believes = cluster.nodes[3].believes = 3
        started = now()
        await client.propose(b"3")
        assert now() - started < 0.1
        assert cluster.nodes[3].applied == [b"3"]


@virtual_time
async def test_a_leader_that_is_stopping_costs_one_unknown_outcome_not_more() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        await client.propose(b"1")
        cluster.nodes[1].script.extend(NodeStopped("node 1 is stopping") for _ in range(100))
        asyncio.get_running_loop().call_later(0.5, cluster.elect, 2)
        with pytest.raises(OutcomeUnknown):
            await client.propose(b"2")
        await client.propose(b"3")
        assert cluster.nodes[2].applied == [b"3"]


@virtual_time
async def test_a_node_that_comes_back_after_stopping_is_believed_again() -> None:
    cluster = FakeCluster(1)
    async with cluster.client() as client:
        cluster.nodes[1].script.append(NodeStopped("node 1 is stopping"))
        with pytest.raises(OutcomeUnknown):
            await client.propose(b"1")
        await client.propose(b"2")
        assert now() < STOPPING_TIME + LONGEST_DELAY
        assert cluster.nodes[1].applied == [b"2"]


@pytest.mark.parametrize(
    "error",
    [OutcomeUnknown("?"), LeadershipLost("lost"), DeadlineExceeded("late"), NodeStopped("bye")],
    ids=lambda error: type(error).__name__,
)
def test_reads_and_id_requests_are_repeated_whatever_happened(error: RaftifyError) -> None:
    @virtual_time
    async def scenario() -> None:
        cluster = FakeCluster()
        async with cluster.client() as client:
            cluster.nodes[1].script.append(error)
            assert await client.read_index() == 0
            cluster.nodes[1].script.append(error)
            assert (await client.request_id("10.0.0.9:1")).reserved_id == 9

    scenario()


@virtual_time
async def test_a_read_does_not_wait_for_a_frozen_leader_until_its_deadline() -> None:
    cluster = FakeCluster()
    async with cluster.client(timeout=20.0) as client:
        await client.propose(b"1")
        cluster.nodes[1].silent = True
        cluster.nodes[2].believes = cluster.nodes[3].believes = 2
        assert await client.read_index() == 0
        assert now() < 6.0


@virtual_time
async def test_a_read_nobody_answered_exceeds_its_deadline() -> None:
    cluster = FakeCluster(1)
    async with cluster.client() as client:
        await client.propose(b"1")
        cluster.nodes[1].silent = True
        with pytest.raises(DeadlineExceeded, match=r"no answer within 1 s.*did not answer"):
            await client.read_index(timeout=1.0)


@pytest.mark.parametrize(
    "error",
    [
        ProposalTooLarge("17 MiB"),
        ConfChangeRejected("no"),
        PendingConfChange("another is under way"),
        TransferRejected("lags"),
        StateMachineError("apply raised", index=5),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_answer_that_repeating_cannot_change_is_raised_at_once(error: RaftifyError) -> None:
    @virtual_time
    async def scenario() -> None:
        cluster = FakeCluster()
        async with cluster.client() as client:
            cluster.nodes[1].script.append(error)
            with pytest.raises(type(error)) as caught:
                await client.propose(b"x")
            assert caught.value is error
            assert cluster.calls("propose") == [1, 0, 0]

    scenario()


@pytest.mark.parametrize("kind", [Overloaded, LeaderTransferring])
def test_an_overload_that_lasts_is_raised_as_what_it_is(kind: type[RaftifyError]) -> None:
    @virtual_time
    async def scenario() -> None:
        cluster = FakeCluster()
        cluster.nodes[1].script.extend(kind("not now") for _ in range(1000))
        async with cluster.client(timeout=3.0) as client:
            with pytest.raises(kind, match=r"not now.*3 s"):
                await client.propose(b"x")
        assert now() == pytest.approx(3.0, abs=0.01)
        assert sum(cluster.calls("propose")) < 20
        assert cluster.nodes[1].applied == []

    scenario()


@virtual_time
async def test_another_cluster_is_refused_without_waiting() -> None:
    cluster = FakeCluster(1)
    cluster.nodes[1].refuses = True
    async with cluster.client() as client:
        with pytest.raises(PeerRefused, match="other"):
            await client.propose(b"x")
        with pytest.raises(PeerRefused, match="other"):
            await client.get_peers()
    assert now() < 0.1


@virtual_time
async def test_an_address_that_another_cluster_took_over_is_not_believed() -> None:
    cluster = FakeCluster()
    async with cluster.client(1, 2) as client:
        await client.propose(b"1")
        stranger = FakeCluster(cluster_id="stranger")
        cluster.nodes[1].up = False
        cluster.nodes[2].cluster = stranger
        cluster.nodes[3].believes = 3
        await client.propose(b"2")
        assert cluster.nodes[3].applied == [b"2"]
    assert (address_of(3), "test") in cluster.connections


@virtual_time
async def test_the_cluster_id_given_is_said_in_every_connection() -> None:
    cluster = FakeCluster()
    async with cluster.client(2, cluster_id="test") as client:
        await client.propose(b"1")
    assert sorted(cluster.connections) == [(address_of(i), "test") for i in (1, 2, 3)]
    other = FakeCluster()
    async with other.client(cluster_id="mine", timeout=1.0) as client:
        with pytest.raises(PeerRefused, match="cluster 'test', not cluster 'mine'"):
            await client.propose(b"1")


@virtual_time
async def test_an_older_membership_does_not_replace_a_newer() -> None:
    cluster = FakeCluster(4)
    cluster.membership = FakeCluster.membership_of([1, 2, 3, 4], index=9)
    cluster.nodes[2].membership = FakeCluster.membership_of([1, 2], index=3)
    async with cluster.client(1) as client:
        await client.propose(b"1")
        cluster.nodes[1].up = False
        cluster.elect(4)
        cluster.nodes[2].believes = 0
        await client.propose(b"2")
        cluster.nodes[4].up = False
        cluster.elect(3)
        await client.propose(b"3")
        assert cluster.nodes[3].applied == [b"3"]


@virtual_time
async def test_connections_to_former_members_are_closed_in_the_end() -> None:
    cluster = FakeCluster(4)
    async with cluster.client(1, timeout=300.0) as client:
        await client.propose(b"1")
        cluster.elect(4)
        await client.propose(b"2")
        cluster.elect(2)
        cluster.membership = FakeCluster.membership_of([1, 2, 3], index=5)
        await client.propose(b"3")
        (former,) = [r for r in cluster.remotes if r.node.node_id == 4]
        for _ in range(2):
            cluster.nodes[2].script.append(NoLeader("?"))
            await client.propose(b"4")
            assert not former.closed
            await asyncio.sleep(RETIREMENT / 2 + 1)
        cluster.nodes[2].script.append(NoLeader("?"))
        await client.propose(b"5")
        assert former.closed
        assert not any(r.closed for r in cluster.remotes if r is not former)


@virtual_time
async def test_concurrent_calls_share_one_search_and_all_recover() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        await client.propose(b"0")
        cluster.nodes[1].up = False
        cluster.elect(2)
        before = sum(cluster.calls("get_peers"))
        await asyncio.gather(*(client.propose(b"%d" % i) for i in range(256)))
        assert len(cluster.nodes[2].applied) == 256
        assert sum(cluster.calls("get_peers")) - before <= 3


@virtual_time
async def test_a_cancelled_call_leaves_the_search_to_the_others() -> None:
    cluster = FakeCluster()
    cluster.elect(0)
    async with cluster.client() as client:
        first = asyncio.create_task(client.propose(b"1"))
        second = asyncio.create_task(client.propose(b"2"))
        await asyncio.sleep(0.0005)
        first.cancel()
        cluster.elect(1)
        assert await second == b"applied 2"
        with pytest.raises(asyncio.CancelledError):
            await first
        assert cluster.nodes[1].applied == [b"2"]


@virtual_time
async def test_close_closes_every_connection_and_ends_the_calls() -> None:
    cluster = FakeCluster()
    client = cluster.client()
    await client.propose(b"1")
    cluster.elect(0)
    waiting = asyncio.create_task(client.propose(b"2"))
    await asyncio.sleep(PROBE_TIMEOUT)
    await client.close()
    await client.close()
    assert all(remote.closed for remote in cluster.remotes)
    with pytest.raises(TransportError, match="closed"):
        await waiting
    with pytest.raises(TransportError, match="closed"):
        await client.propose(b"3")
    with pytest.raises(TransportError, match="closed"):
        await client.get_peers()
