"""What a node does about its own place in the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from raftify.config import Config
from raftify.core.config import RaftConfig
from raftify.core.types import Message
from raftify.node.background import Background
from raftify.node.standing import Standing
from raftify.peers import ClusterView, Membership, Peer, Peers
from raftify.testing.simulation import SimulatedCluster, simulate
from raftify.testing.storm.store import Store


class Outbox:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        self.sent += messages


def make_standing(outbox: Outbox, incarnation: str = "own") -> Standing:
    peers = Peers([Peer(1, "a:1", incarnation=incarnation), Peer(2, "b:1"), Peer(3, "c:1")])
    state: Any = SimpleNamespace(
        node_id=1, address="a:1", term=1, leader_id=2, membership=Membership.of(peers, index=1)
    )
    nobody: Any = None
    transport: Any = outbox
    return Standing(
        state=state,
        transport=transport,
        leader=nobody,
        heard=lambda _id, _address: None,
        is_forgotten=lambda: False,
        config=Config(),
        background=Background(1, logging.getLogger("test")),
        logger=logging.getLogger("test"),
    )


def test_refusals_are_answered_once_a_tick() -> None:
    """Asked at once, each refusal brought the next: the event loop did nothing else."""
    outbox = Outbox()
    standing = make_standing(outbox)
    for _ in range(5):
        standing.call_everybody_soon()
    assert outbox.sent == []
    standing.on_tick()
    assert sorted(message.to for message in outbox.sent) == [1, 2, 3]
    standing.on_tick()
    assert len(outbox.sent) == 3


def test_every_member_is_greeted_at_once_and_again() -> None:
    """Static members have no store's name in the log: who never met another one cannot know it."""
    outbox = Outbox()
    standing = make_standing(outbox, incarnation="")
    standing.on_tick()
    assert [message.to for message in outbox.sent] == [2, 3]
    for _ in range(Config().raft_config.election_tick - 1):
        standing.on_tick()
    assert [message.to for message in outbox.sent] == [2, 3, 2, 3]


@pytest.mark.parametrize(("index", "address"), [(1, "new:2"), (2, "new:2"), (3, "newer:2")])
async def test_who_lags_does_not_know_better_where_the_leader_is(index: int, address: str) -> None:
    """What it said went before the newer membership of who asked, and the leader was called where
    it was no more."""
    standing, heard = make_standing(Outbox()), dict[int, str]()
    state: Any = standing._state
    old = state.membership
    state.membership = old.with_addresses([Peer(2, "new:2")], index=2)
    moves = {1: "b:1", 2: "new:2", 3: "newer:2"}
    theirs = old.with_addresses([Peer(2, moves[index])], index=index)
    view = ClusterView(3, "c", leader_id=2, leader_address=moves[index], membership=theirs)

    class Remote:
        async def get_peers(self, *, timeout: float) -> ClusterView:
            return view

        async def close(self) -> None:
            pass

    transport: Any = standing._transport
    transport.connect = lambda _address, to_id: Remote()
    standing._heard = heard.__setitem__
    await standing._ask_for_the_leader()
    assert heard == {2: address}


def test_who_cannot_be_reached_by_a_leader_that_works_does_not_unseat_it() -> None:
    """Without pre-votes its term runs ahead, and its campaigns are ignored. It asks others who
    leads; its word to the leader had its own term, and unseated it again and again."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        deaf = next(node for node in cluster.nodes.values() if node is not leader)
        term = leader.runtime.state.term
        cluster.network.cut(leader.name, deaf.name)
        await asyncio.sleep(60)
        assert deaf.runtime.state.term > term + 3
        assert leader.runtime.state.is_leader
        assert leader.runtime.state.term == term

    config = Config(raft_config=RaftConfig(pre_vote=False))
    simulate(scenario, machine=Store, config=config, timeout=120)
