"""Raft.initialize under faults: cut short, called twice, called with other members elsewhere.

All of it runs under virtual time.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from raftify.core.types import Entry, Message, MessageType
from raftify.errors import ConfChangeRejected, IncarnationMismatch, OutcomeUnknown, RaftifyError
from raftify.peers import Membership, Peers
from raftify.storage.log_state import initial_log
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.failures.simulation import membership, simulated, tally


def waiting(cluster: SimulatedCluster, *ids: int) -> tuple[list[SimulatedNode], dict[int, str]]:
    """Start nodes that wait for a cluster; return them and their addresses."""
    nodes = [cluster.new_machine(i) for i in ids]
    for node in nodes:
        cluster.nodes[node.id] = node
        node.start(node.id)
    return nodes, {node.id: node.address for node in nodes}


@pytest.mark.parametrize("writes", range(4))
def test_a_crash_in_the_middle_of_any_write(writes: int) -> None:
    """Before its first membership is durable it is as it was; after, a member of that cluster."""

    @simulated(0, seed=writes)
    async def scenario(cluster: SimulatedCluster) -> None:
        nodes, members = waiting(cluster, 1, 2, 3)
        nodes[0].crash_in_write(writes)
        await _initialize_and_return(cluster, nodes, members)

    scenario()


@pytest.mark.parametrize("callbacks", range(1, 40))
def test_a_crash_at_any_await(callbacks: int) -> None:
    @simulated(0, seed=callbacks)
    async def scenario(cluster: SimulatedCluster) -> None:
        nodes, members = waiting(cluster, 1, 2, 3)
        await nodes[0].raft.wait(10).until(lambda m: m.running_state == "running")
        nodes[0].crash_after(callbacks)
        await _initialize_and_return(cluster, nodes, members)

    scenario()


async def _initialize_and_return(
    cluster: SimulatedCluster, nodes: list[SimulatedNode], members: dict[int, str]
) -> None:
    """Initialize the first node, which is armed to crash; then again, once it is back."""
    founder = nodes[0]
    with suppress(OutcomeUnknown):
        await founder.raft.initialize(members)
    await cluster.until(lambda: not founder.running)
    founder.start(1)
    before = membership(founder)
    answer = await founder.raft.initialize(members)
    assert answer.conf_state.voters == (1, 2, 3)
    assert before in (Membership(), answer)
    assert await nodes[1].raft.propose(b"a") == b"a:1"
    await cluster.converge()
    assert [membership(node) for node in nodes] == [answer] * 3
    assert [tally(node).order for node in nodes] == [["a"]] * 3


@pytest.mark.parametrize("seed", range(20))
def test_all_of_them_found_it_at_the_same_time(seed: int) -> None:
    """They begin with the same log, as the members of a static cluster do."""

    @simulated(0, seed=seed)
    async def scenario(cluster: SimulatedCluster) -> None:
        nodes, members = waiting(cluster, 1, 2, 3)
        await asyncio.gather(*(node.raft.initialize(members) for node in nodes))
        assert await nodes[seed % 3].raft.propose(b"a") == b"a:1"
        await cluster.converge()
        assert [tally(node).order for node in nodes] == [["a"]] * 3

    scenario()


@pytest.mark.parametrize("seed", range(20))
def test_two_nodes_with_different_members_become_two_clusters(seed: int) -> None:
    """Node 3 is named by both. It is of one of them, and the other commits nothing without it."""

    @simulated(0, seed=seed, invariants=False)
    async def scenario(cluster: SimulatedCluster) -> None:
        (one, two, three), members = waiting(cluster, 1, 2, 3)
        await asyncio.gather(
            one.raft.initialize({1: members[1], 3: members[3]}),
            two.raft.initialize({2: members[2], 3: members[3]}),
        )
        proposing = [
            asyncio.create_task(node.raft.propose(name, timeout=60))
            for node, name in ((one, b"one"), (two, b"two"))
        ]
        await asyncio.wait(proposing)
        (won,) = [at for at, task in enumerate(proposing) if task.exception() is None]
        winner, loser, name = [(one, two, "one"), (two, one, "two")][won]
        assert membership(three) == membership(winner) != membership(loser)
        assert await three.raft.propose(b"late") == b"late:1"
        for node in (winner, three):
            await node.raft.read_index()
        assert tally(three).order == tally(winner).order == [name, "late"]
        assert tally(loser).order == []
        with pytest.raises(ConfChangeRejected, match="already"):
            await three.raft.initialize({loser.id: loser.address, 3: members[3]})

    scenario()


@simulated(0)
async def test_what_came_from_elsewhere_before_the_first_snapshot_is_dropped(
    cluster: SimulatedCluster,
) -> None:
    """A node that waits lets everybody in. All founders begin at index 1 of term 1, so an entry of
    another cluster, in the queue already, would fit behind the snapshot."""
    (node,), members = waiting(cluster, 3)
    await node.raft.wait(10).until(lambda m: m.running_state == "running")
    ours, theirs = (
        Membership.of(Peers({i: f"m{i}:1", 3: members[3]}), index=1, origin=f"origin {i}")
        for i in (1, 2)
    )
    messages = [
        Message(MessageType.SNAPSHOT, to=3, from_=1, term=2, snapshot=initial_log(ours).snapshot),
        Message(MessageType.SNAPSHOT, to=3, from_=2, term=3, snapshot=initial_log(theirs).snapshot),
        Message(
            MessageType.APPEND, to=3, from_=2, term=3, index=1, log_term=1,
            entries=[Entry(term=3, index=2, data=b"x")],
        ),
    ]  # fmt: skip
    await node.runtime._inbox.put_messages(messages)
    await node.raft.wait(10).applied_index_at_least(1)
    assert node.runtime.state.term == 2
    assert node.runtime.storage.last_index() == 1
    assert node.runtime.storage.membership() == membership(node) == ours


@simulated(0, invariants=False)
async def test_a_founder_whose_disk_was_wiped_does_not_found_it_again(
    cluster: SimulatedCluster,
) -> None:
    nodes, members = waiting(cluster, 1, 2, 3)
    await nodes[0].raft.initialize(members)
    assert await nodes[0].raft.propose(b"a") == b"a:1"
    await cluster.settle()
    nodes[0].crash()
    nodes[0].wipe()
    nodes[0].start(1)
    with suppress(RaftifyError):
        await nodes[0].raft.initialize(members)
    assert await nodes[1].raft.propose(b"b") == b"b:1"
    await cluster.until(lambda: not nodes[0].running)
    assert isinstance(nodes[0].failure, IncarnationMismatch)
    for node in nodes[1:]:
        await node.raft.read_index()
        assert tally(node).order == ["a", "b"]
