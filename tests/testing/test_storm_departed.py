"""What storms demand around members that go: who is told when, and that office is handed over."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from raftify.core.types import ConfState
from raftify.peers import Membership, Peer
from raftify.testing.history.recorder import Recorder
from raftify.testing.invariants import Invariants
from raftify.testing.simulation import InvariantViolation, SimulatedCluster, simulate
from raftify.testing.storm import StormFailed
from raftify.testing.storm.departed import Departed
from raftify.testing.storm.farewell import farewell
from raftify.testing.storm.plan import draw_plan
from raftify.testing.storm.scene import Scene
from raftify.testing.storm.store import Store, StoreWorkload
from tests.testing.views import FakeNode


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


def say_goodbye(size: int, seed: int, *, handover: bool = True) -> list[str]:
    """Let the leader of a calm cluster go as storms do; return what was counted."""
    counted: list[str] = []

    async def story(cluster: SimulatedCluster[Store]) -> None:
        await cluster.start(size)
        recorder = Recorder(lambda: cluster.now)
        scene = Scene(
            plan=draw_plan(seed),
            cluster=cluster,
            workload=StoreWorkload(),
            invariants=Invariants(),
            recorder=recorder,
            stale=recorder,
            random=Random(seed),
        )
        if not handover:
            for node in cluster.nodes.values():
                succession: Any = node.runtime.api.succession
                succession._voters_there = lambda _=None: {}
        await farewell(scene, Random(seed))
        counted.extend(scene.faults)

    simulate(story, machine=Store, seed=seed)
    return counted


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_leader_that_goes_hands_over(size: int) -> None:
    counted = {each for seed in range(4) for each in say_goodbye(size, seed)}
    leaves, quits = "farewell: the leader leaves", "farewell: the leader quits"
    assert counted == ({leaves} if size == 2 else {leaves, quits})


@pytest.mark.parametrize("seed", range(4))
def test_a_leader_that_goes_without_a_word_is_found(seed: int) -> None:
    with pytest.raises(StormFailed, match="while all was well, and nobody led for"):
        say_goodbye(3, seed, handover=False)
