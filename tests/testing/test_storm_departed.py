"""What storms demand around members that go: who is told when, and that office is handed over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from raftify import leaving
from raftify.config import Config
from raftify.core.config import RaftConfig
from raftify.core.types import ConfState
from raftify.node import standing
from raftify.peers import Membership, Peer
from raftify.testing.simulation import InvariantViolation, SimulatedCluster, simulate
from raftify.testing.storm import StormFailed
from raftify.testing.storm.departed import Departed
from raftify.testing.storm.farewell import farewell
from raftify.testing.storm.partings import move_unseen, remove_unheard
from raftify.testing.storm.scene import Scene
from raftify.testing.storm.store import Store
from raftify.testing.storm.undisturbed import cut_off_from_the_leader
from tests.testing.scenes import scene_of
from tests.testing.views import FakeNode

Story = Callable[[Scene], Awaitable[None]]


def membership(index: int, *voters: int) -> Membership:
    peers = {i: Peer(i, f"host:{i}") for i in voters}
    return Membership(index=index, conf_state=ConfState(voters), peers=peers, max_id=5)


BEFORE, AFTER = membership(1, 1, 2, 3, 4, 5), membership(9, 1, 2, 3, 4)


def departed(*who_know: int, lost: tuple[int, ...] = ()) -> Departed:
    """Return the watch over five nodes, of which some have on disk that node 5 was removed."""
    watch = Departed(lambda node_id: node_id in lost)
    for node_id in range(1, 6):
        node = FakeNode(node_id)
        node.disk.membership = AFTER if node_id in who_know else BEFORE
        watch.on_start(node)
    return watch


@pytest.mark.parametrize("who_know", [(1,), (1, 2), (1, 5)])
def test_who_asked_must_not_be_told_before_most_that_stay_know(who_know: tuple[int, ...]) -> None:
    with pytest.raises(InvariantViolation, match="was acknowledged, and of the voters that stay"):
        departed(*who_know).demand_known(AFTER)


def test_who_asked_may_be_told_once_most_that_stay_know() -> None:
    departed(1, 2, 3).demand_known(AFTER)
    # It may have known before it was lost.
    departed(1, 2, lost=(3,)).demand_known(AFTER)


def test_the_voters_of_a_later_change_count_as_well() -> None:
    watch = departed()
    nodes = [FakeNode(i) for i in (1, 2)]
    for node in nodes:
        node.disk.membership = membership(12, 1, 2)
        watch.on_start(node)
    watch.demand_known(AFTER)


def test_who_was_removed_must_not_end_before_most_know() -> None:
    node = FakeNode(5)
    node.disk.membership = AFTER
    with pytest.raises(InvariantViolation, match="node 5 ended because it was removed"):
        departed(1, 2).on_end(node, "NodeRemoved")
    departed(1, 2).on_end(node, "stop")
    departed(1, 2, 3).on_end(node, "NodeRemoved")
    departed(1, lost=(5,)).on_end(node, "NodeRemoved")


def live(size: int, seed: int, story: Story, config: Config | None = None) -> None:
    """Let `story` happen to a calm cluster of `size` voters."""

    async def scenario(cluster: SimulatedCluster[Store]) -> None:
        scene = scene_of(cluster, seed)
        cluster.observers.append(scene.departed)
        await cluster.start(size)
        await story(scene)

    simulate(scenario, machine=Store, seed=seed, config=config or Config())


def say_goodbye(size: int, seed: int, *, handover: bool = True) -> list[str]:
    """Let the leader of a calm cluster go as storms do; return what was counted."""
    counted: list[str] = []

    async def story(scene: Scene) -> None:
        if not handover:
            for node in scene.running():
                succession: Any = node.runtime.api.succession
                succession._voters_there = lambda _=None: {}
        await farewell(scene, Random(seed))
        counted.extend(scene.milestones)

    live(size, seed, story)
    return counted


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_leader_that_goes_hands_over(size: int) -> None:
    counted = {each for seed in range(4) for each in say_goodbye(size, seed)}
    leaves, quits = "farewell: the leader leaves", "farewell: the leader quits"
    assert counted == ({leaves} if size == 2 else {leaves, quits})


def test_what_is_not_tried_at_the_end_is_counted() -> None:
    skipped: list[str] = []

    async def story(scene: Scene) -> None:
        await farewell(scene, Random(1))
        await cut_off_from_the_leader(scene, Random(1))
        skipped.extend(scene.undone)

    live(1, 1, story)
    assert skipped == ["farewell: too few voters", "cut off from the leader: too few voters"]
    skipped.clear()
    unguarded = Config(raft_config=RaftConfig(check_quorum=False))

    async def disturb(scene: Scene) -> None:
        await cut_off_from_the_leader(scene, Random(1))
        skipped.extend(scene.undone)

    live(3, 1, disturb, unguarded)
    assert skipped == ["cut off from the leader: not all look for a quorum"]


@pytest.mark.parametrize("seed", range(4))
def test_a_leader_that_goes_without_a_word_is_found(seed: int) -> None:
    with pytest.raises(StormFailed, match="while all was well, and nobody led for"):
        say_goodbye(3, seed, handover=False)


async def cut_off(scene: Scene) -> None:
    await cut_off_from_the_leader(scene, Random(1))
    assert list(scene.faults) == ["cut off from the leader: a voter without pre_vote"]


EAGER = Config(raft_config=RaftConfig(check_quorum=True, pre_vote=False))


@pytest.mark.parametrize("seed", range(3))
def test_a_leader_that_works_is_not_disturbed(seed: int) -> None:
    live(3, seed, cut_off, EAGER)


def test_a_word_that_unseats_a_leader_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cut_off_loudly(scene: Scene) -> None:
        # Not before: all greet each other with that word, which would raise every term at once.
        await scene.cluster.settle()
        monkeypatch.setattr(standing, "_OLDEST_TERM", 1000)
        await cut_off(scene)

    with pytest.raises(StormFailed, match="worked and lost its office"):
        live(3, 0, cut_off_loudly, EAGER)


@pytest.mark.parametrize("seed", range(3))
def test_a_voter_is_removed_while_others_have_not_written_it_down(seed: int) -> None:
    async def story(scene: Scene) -> None:
        removing = asyncio.create_task(remove_unheard(scene, Random(seed), leaves=False))
        leader = await scene.cluster.leader()
        await scene.cluster.until(lambda: leader.view.disk.membership.index > 1)
        voters = leader.view.disk.membership.conf_state.voters
        assert len(voters) == 2
        slow = next(scene.cluster.nodes[i] for i in voters if i != leader.id)
        assert slow.view.disk.membership.index == 1
        assert not removing.done()
        await removing
        assert slow.view.disk.membership.conf_state.voters == voters

    live(3, seed, story)


async def leave_unheard(scene: Scene) -> None:
    """Let a voter of three leave while one does not hear of it, and the leader crashes."""
    leader = await scene.cluster.leader()
    await remove_unheard(scene, Random(1), leaves=True)
    assert not leader.running
    known = [node.view.disk.membership for node in scene.cluster.nodes.values()]
    assert [len(each.conf_state.voters) for each in known] == [2, 2, 2]


@pytest.mark.parametrize("seed", range(3))
def test_a_voter_leaves_only_once_enough_know(seed: int) -> None:
    live(3, seed, leave_unheard)


def test_a_voter_that_leaves_before_that_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def believe_it(*_: object) -> None:
        return

    monkeypatch.setattr(leaving, "_be_told", believe_it)
    with pytest.raises(InvariantViolation, match="ended because it was removed"):
        live(3, 0, leave_unheard)


@pytest.mark.parametrize("seed", range(3))
def test_a_voter_moves_while_much_happens_without_it(seed: int) -> None:
    async def story(scene: Scene) -> None:
        cluster = scene.cluster
        places = {node.id: node.address for node in cluster.running()}
        await move_unseen(scene, Random(seed))
        leader = await cluster.leader()
        assert leader.id not in places
        assert len(cluster.nodes) == len(places)
        moved = [node for node in cluster.running() if node.address != places.get(node.id)]
        away = next(node for node in moved if node is not leader)
        assert not away.runtime.state.membership.is_member(leader.id)
        await cluster.converge()
        peers = leader.raft.get_peers()
        assert peers[away.id].address == away.address

    live(3, seed, story)
