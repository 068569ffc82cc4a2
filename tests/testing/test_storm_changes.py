"""Storms ask for changes while others are under way, and leave joint configurations to leaders."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import pytest

from raftify.core.raft_core import RaftCore
from raftify.core.types import ConfChangeTransition
from raftify.errors import PendingConfChange, RaftifyError
from raftify.testing.invariants import Invariants
from raftify.testing.simulation import InvariantViolation, SimulatedCluster, simulate
from raftify.testing.storm import StormFailed
from raftify.testing.storm.impatience import again_while_pending, perhaps_a_slow_leader
from raftify.testing.storm.members import Operator
from raftify.testing.storm.store import Store
from tests.testing.scenes import scene_of


def test_a_change_that_has_to_wait_is_asked_for_again_for_a_while() -> None:
    async def story(cluster: SimulatedCluster[Store]) -> None:
        scene = scene_of(cluster, 1)

        async def change() -> None:
            asked.append(scene.now)
            if len(asked) != 4:
                raise PendingConfChange("another one is under way")

        await again_while_pending(scene, change)
        assert len(asked) == 4
        with pytest.raises(PendingConfChange):
            await again_while_pending(scene, change)

    asked: list[float] = []
    simulate(story, machine=Store, seed=1)
    assert len(asked) > 20
    assert 0.9 < asked[-1] - asked[4] < 1.1


def remove_two(seed: int) -> bool:
    """Remove two of five voters at once, perhaps by a leader whose disk is slow; say whether both
    are gone."""
    gone: list[bool] = []

    async def story(cluster: SimulatedCluster[Store]) -> None:
        await cluster.start(5)
        scene, leader = scene_of(cluster, seed), await cluster.leader()
        others = [node.id for node in cluster.running() if node is not leader]

        async def remove(node_id: int) -> None:
            await leader.raft.change_config(remove=[node_id], timeout=5)

        with perhaps_a_slow_leader(scene, Random(seed)):
            asking = [again_while_pending(scene, lambda i=i: remove(i)) for i in others[:2]]  # type: ignore[misc]
            await asyncio.gather(*asking, return_exceptions=True)
        assert leader.disk_pace == 0.001
        leader = await cluster.leader()
        gone.append(len(leader.runtime.state.membership.member_ids()) == 3)

    simulate(story, machine=Store, seed=seed, observers=[Invariants()])
    return gone[0]


def test_of_two_changes_at_once_one_waits_until_the_other_is_in_force() -> None:
    assert all(remove_two(seed) for seed in range(6))


def test_a_change_that_is_over_before_it_is_in_force_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only where the leader has on its disk late what the others have."""

    def has_pending_conf(self: RaftCore) -> bool:
        return self.pending_conf_index > self.raft_log.committed

    monkeypatch.setattr(RaftCore, "has_pending_conf", has_pending_conf)
    found = list[str]()
    for seed in range(6):
        try:
            remove_two(seed)
        except InvariantViolation as error:
            found.append(error.name)
    assert 0 < len(found) < 6
    assert set(found) == {"OneChangeAtATime"}


def test_a_joint_configuration_that_no_leader_leaves_by_itself_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The storm does not leave it for them."""

    async def story(cluster: SimulatedCluster[Store]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        follower = next(node for node in cluster.running() if node is not leader)
        with suppress(RaftifyError):
            await leader.raft.change_config(
                add_learners=[follower.id], transition=ConfChangeTransition.IMPLICIT, timeout=1
            )
        await Operator(scene_of(cluster, 1)).finish(5)

    simulate(story, machine=Store, seed=1)
    monkeypatch.setattr(
        RaftCore, "commit_apply", lambda self, applied: self.raft_log.applied_to(applied)
    )
    with pytest.raises(StormFailed, match="did not come to rest"):
        simulate(story, machine=Store, seed=1)
