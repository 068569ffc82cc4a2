"""The membership in a client's hands: the same words as on a node, with the leader found for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftify import InitialRole, Peer, Peers, create_client
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import (
    ConfChangeRejected,
    ConfigError,
    DeadlineExceeded,
    JoinRejected,
    NotLeader,
    OutcomeUnknown,
    QueryFailed,
)
from raftify.records import decode_peers
from raftify.testing.simulation import virtual_time
from tests.client.fake_cluster import FakeCluster, address_of
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.machines import Tally


@virtual_time
async def test_where_nothing_is_to_change_a_leader_confirms_it() -> None:
    """A leader that was replaced and does not know it yet has an older membership."""
    cluster = FakeCluster()
    former, present = cluster.nodes[1], cluster.nodes[2]
    whole = former.membership = cluster.membership
    smaller = cluster.membership_of({1: former, 2: present}, index=9)

    def replaced() -> None:
        cluster.membership = present.membership = smaller
        cluster.elect(2)

    def changed() -> None:
        cluster.membership = whole

    async with cluster.client() as client:
        assert await client.change_membership({3, 2, 1}) == whole
        assert cluster.calls("read_index") == [1, 0, 0]
        # The empty change, which returns once those that stay know.
        assert cluster.calls("change_config") == [1, 0, 0]
        former.script.append(replaced)
        present.script += [lambda: None, changed]  # its read index, and the change
        assert await client.change_membership({3, 2, 1}) == whole
    assert cluster.calls("change_config") == [1, 1, 0]
    assert cluster.changes[0] == ConfChangeV2()
    assert decode_peers(cluster.changes[1].context) == ()
    assert cluster.changes[1].changes == (ConfChangeSingle(ConfChangeType.ADD_NODE, 3),)


@virtual_time
async def test_a_change_of_unknown_outcome_is_not_repeated() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        cluster.nodes[1].script.append(OutcomeUnknown("the connection broke"))
        with pytest.raises(OutcomeUnknown, match="broke"):
            await client.change_membership({1, 2})
        assert cluster.calls("change_config") == [1, 0, 0]


@virtual_time
async def test_the_leader_is_followed_and_the_deadline_covers_all() -> None:
    cluster = FakeCluster()
    async with cluster.client(3) as client:
        cluster.nodes[1].script.append(lambda: cluster.elect(2))
        await client.add_learner(4, "10.0.0.4:60061", metadata=b"rack 7", timeout=3)
        assert cluster.calls("change_config") == [1, 1, 0]
        assert cluster.calls("await_caught_up") == [0, 1, 0]
        assert all(timeout <= 3 for node in cluster.nodes.values() for timeout in node.timeouts)
        (change,) = cluster.changes
        assert change.changes == (ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, 4),)
        assert decode_peers(change.context) == (Peer(4, "10.0.0.4:60061", metadata=b"rack 7"),)
        await client.add_learner(5, "10.0.0.5:60061", blocking=False)
        assert cluster.calls("await_caught_up") == [0, 1, 0]


@virtual_time
async def test_a_deadline_says_what_was_waited_for_also_if_the_leader_does_not() -> None:
    """A busy leader's own answer may come too late."""
    cluster = FakeCluster(1)
    async with cluster.client() as client:
        await client.propose(b"1")
        cluster.nodes[1].silent = True
        with pytest.raises(DeadlineExceeded, match=r"catching up of node 2: no answer within 1 s"):
            await client.wait_for_member(2, timeout=1.0)


@virtual_time
async def test_a_ready_made_change_may_be_given_its_addresses() -> None:
    cluster = FakeCluster()
    change = ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.ADD_NODE, 6),))
    async with cluster.client() as client:
        await client.change_config(change, {6: "10.0.0.6:1"})
    assert decode_peers(cluster.changes[0].context) == (Peer(6, "10.0.0.6:1"),)


@virtual_time
async def test_wrong_arguments_are_refused_before_anything_is_sent() -> None:
    cluster = FakeCluster()
    async with cluster.client() as client:
        for voters, message in (((), "at least one voter"), ([1, 1], "twice"), ("12", "node ids")):
            with pytest.raises(ConfigError, match=message):
                await client.change_membership(voters)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="nobody is named"):
            await client.initialize({})
        with pytest.raises(ConfigError, match="under the id of another"):
            await client.initialize({1: Peer(2, "a:1")})  # type: ignore[dict-item]
        with pytest.raises(ConfigError, match="address"):
            await client.add_learner(4, "nowhere")
    assert cluster.connections == []


@virtual_time
async def test_initialize_is_for_the_node_at_the_clients_address() -> None:
    cluster = FakeCluster()
    async with cluster.client(2, 3) as client:
        cluster.nodes[2].script.append(NotLeader())
        with pytest.raises(NotLeader):
            await client.initialize({2: address_of(2)})
        await client.initialize({2: address_of(2), 3: address_of(3)})
    assert cluster.calls("initialize") == [0, 2, 0]


async def test_from_nodes_that_wait_to_a_cluster_that_changed(tmp_path: Path) -> None:
    """Everything by a client alone, against real nodes."""
    async with LocalCluster(tmp_path, learner_max_lag=10) as cluster:
        nodes = {i: await cluster.waiting(i) for i in (1, 2, 3, 4)}
        addresses = {i: node.address for i, node in nodes.items()}
        founders = Peers(
            [
                Peer(1, addresses[1], metadata=b"rack 1"),
                Peer(2, addresses[2]),
                Peer(3, addresses[3], initial_role=InitialRole.LEARNER),
            ]
        )
        async with create_client(addresses[3]) as learner:
            with pytest.raises(ConfigError, match="node 3 is to be a learner"):
                await learner.initialize(founders)
        async with create_client(addresses[2]) as client:
            membership = await client.initialize(founders)
            assert membership.conf_state.voters == (1, 2)
            assert membership.conf_state.learners == (3,)
            assert membership.peers[1].metadata == b"rack 1"
            assert await client.initialize(founders) == membership
            with pytest.raises(ConfChangeRejected, match="is a member of"):
                await client.initialize({2: addresses[2]})
            assert await client.propose(b"a", timeout=30) == b"a:1"
            await client.add_learner(4, addresses[4])
            assert nodes[4].raft.metrics().membership.is_member(4)
            membership = await client.change_membership({1, 3, 4}, retain=True)
            assert membership.conf_state.voters == (1, 3, 4)
            assert membership.conf_state.learners == (2,)
            membership = await client.change_config(remove=[2])
            assert sorted(membership.peers) == [1, 3, 4]
            with pytest.raises(JoinRejected, match="never used again"):
                await client.add_learner(2, addresses[2])
            with pytest.raises(ConfChangeRejected, match="node 9 is no member"):
                await client.wait_for_member(9)
            assert await client.change_membership({1, 3, 4}) == membership
            assert await client.propose(b"a") == b"a:2"


async def test_the_state_of_a_node(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.found()
        async with create_client(founder.address) as client:
            await client.propose(b"a")
            assert Tally.decode(await client.read_state()).order == ["a"]


async def test_a_state_that_cannot_be_encoded_stops_nothing(tmp_path: Path) -> None:
    class Mute(Tally):
        def encode(self) -> bytes:
            raise OSError("no words")

    async with LocalCluster(tmp_path, make_machine=Mute) as cluster:
        founder = await cluster.found()
        async with create_client(founder.address) as client:
            with pytest.raises(QueryFailed, match="encode of Mute raised OSError: no words"):
                await client.read_state()
            assert await client.propose(b"a") == b"a:1"
