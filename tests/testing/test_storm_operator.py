"""What storms do to members, disks and options, and what they demand of leases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from raftify.config import Config
from raftify.errors import IncarnationMismatch, RaftifyError
from raftify.node.peer_endpoint import PeerEndpoint
from raftify.testing.history.checks import CheckFailed
from raftify.testing.history.linearizability import NotLinearizable
from raftify.testing.simulation import SimulatedCluster, simulate
from raftify.testing.storm import ALL_FAULTS, StoreWorkload, StormFailed, run_storm
from raftify.testing.storm.leases import bearable
from raftify.testing.storm.members import Operator
from raftify.testing.storm.plan import Plan, draw_config, draw_plan
from raftify.testing.storm.replacing import damage
from raftify.testing.storm.scene import Scene
from raftify.testing.storm.store import Store
from raftify.testing.storm.upgrading import upgrade
from tests.testing.scenes import scene_of


@pytest.mark.parametrize("size", [3, 5, 7])
def test_every_voter_is_replaced_in_one_change(size: int) -> None:
    """By some of a few seeds; no voter of before is left then, and the cluster works."""
    milestones: Counter[str] = Counter()

    async def story(cluster: SimulatedCluster[Store]) -> None:
        await cluster.start(size)
        scene = scene_of(cluster, seed)
        cluster.observers.append(scene.departed)
        # Whom it asks may be a machine that is no member yet.
        with suppress(RaftifyError):
            await Operator(scene)._replace_all()
        milestones.update(scene.milestones)
        leader = await cluster.leader()
        voters = leader.runtime.state.membership.conf_state.voters
        assert len(voters) == size
        if scene.milestones["every voter replaced in one change"]:
            assert min(voters) > size
        await leader.raft.propose(b'[1, ["put", "x", 1]]')

    for seed in range(8):
        simulate(story, machine=Store, seed=seed)
    assert 0 < milestones["every voter replaced in one change"] < 8


def lose_a_disk(seed: int, *, but: int = 0) -> Scene:
    """Let a follower of three founders and a learner, of which one was to lead first, lose its disk
    as storms do; return the scene.

    So many of the others as `but` says have forgotten whom they met.
    """
    scenes: list[Scene] = []

    async def story(cluster: SimulatedCluster[Store]) -> None:
        await cluster.start(3, learners=1, first_leader=1)
        await cluster.converge()
        scene = scene_of(cluster, seed)
        scenes.append(scene)
        node = next(node for node in cluster.running() if not node.leads)
        others = [other for other in cluster.running() if other is not node]
        # So that it answers all of them; the learner it calls itself.
        await node.raft.transfer_leader(node.id)
        for other in others[:2]:
            await other.raft.transfer_leader(other.id)
        for other in others[:but]:
            other.runtime.storage._incarnations.clear()  # type: ignore[attr-defined]
        scene.machine(node).lost = True
        await damage(scene, node, Random(seed))

    simulate(story, machine=Store, seed=seed)
    return scenes[0]


def test_an_emptied_disk_is_refused_under_its_old_id() -> None:
    """However its node is started: with the members that it had, with those of today, or none."""
    ends: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for seed in range(24):
        scene = lose_a_disk(seed)
        ends.update(scene.ends)
        faults.update(scene.faults)
        # Nobody was to lead first among the members of today: these are another cluster's.
        if not scene.faults["disk: empty, started with the members of today"]:
            assert not scene.ends["empty disk: no word"]
    assert ends[f"empty disk: {IncarnationMismatch.__name__}"] >= 3
    for way in ("with the members of today", "with the peers of before", "to be called"):
        assert faults[f"disk: empty, started {way}"]


def test_an_empty_disk_comes_back_under_its_old_id_only_where_all_can_tell() -> None:
    """Whoever never met the node takes an empty disk for its own, and cannot know better."""
    faults: Counter[str] = Counter()
    for seed in range(12):
        faults.update(lose_a_disk(seed, but=1).faults)
    assert faults["disk: wipe"] >= 3
    assert not faults["disk: empty, under the old id"]


def test_an_emptied_disk_that_works_on_under_its_old_id_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PeerEndpoint, "report_refused", lambda *_: None)
    with pytest.raises(StormFailed, match="with an empty disk was not told so"):
        list(map(lose_a_disk, range(12)))


def test_a_node_whose_disk_is_lost_is_not_asked() -> None:
    """It may found a cluster of its own: what it acknowledges is rightly nowhere else."""

    async def story(cluster: SimulatedCluster[Store]) -> None:
        await cluster.start(3)
        scene = scene_of(cluster, 1)
        leader = await cluster.leader()
        scene.machine(leader).lost = True
        assert scene.a_leader() is None
        asked = {scene.any_node(scene.random) for _ in range(30)}
        assert asked == {node for node in cluster.running() if node is not leader}

    simulate(story, machine=Store, seed=1)


def test_new_options_go_through_the_cluster_node_by_node() -> None:
    async def story(cluster: SimulatedCluster[Store]) -> None:
        await cluster.start(3)
        scene = scene_of(cluster, 1)
        await upgrade(scene, Random(1))
        assert scene.requests["node upgraded"] == 3
        assert list(scene.milestones) == ["every node upgraded, one after the other"]
        assert [node.incarnation for node in cluster.running()] == [2, 2, 2]
        await cluster.converge()
        assert len({repr(node.config) for node in cluster.running()}) == 3

    config = draw_config(Random(1), draw_plan(1))
    simulate(story, machine=Store, seed=1, config=config)


def test_the_options_that_storms_can_bear_are_drawn() -> None:
    """Also those of elections, and of sizes."""
    configs = [
        draw_config(Random(seed), draw_plan(seed, proposal_bytes=2500)) for seed in range(60)
    ]
    rafts = [config.raft_config for config in configs]
    assert {raft.disable_proposal_forwarding for raft in rafts} == {True, False}
    assert len({raft.election_tick for raft in rafts}) == 3
    assert {bool(raft.min_election_tick) for raft in rafts} == {True, False}
    assert {bool(raft.max_election_tick) for raft in rafts} == {True, False}
    assert 2500 in {config.max_proposal_bytes for config in configs}
    assert all(raft.step_down_on_removal for raft in rafts)
    for config in configs:
        Config.validate(config)


def steady_plan(seed: int) -> Plan:
    """Return the plan of a storm with leases that nothing shakes."""
    plan = draw_plan(f"lease {seed}")
    while not (plan.leases and plan.steady):
        seed += 100
        plan = draw_plan(f"lease {seed}")
    return plan


def test_faults_that_a_lease_cannot_bear_are_left_out_where_it_is_judged() -> None:
    names = {fault.__name__ for group in bearable(ALL_FAULTS) for fault in group}
    assert {"crash", "stop", "crash_all", "stalled_disk", "transfer", "upgrade"} <= names
    assert not names & {"pause", "drift", "isolate", "split", "campaign", "switched_off"}


@pytest.mark.parametrize("seed", range(3))
def test_reads_by_a_lease_that_nothing_shakes_are_judged(seed: int) -> None:
    report = run_storm(steady_plan(seed).seed, seconds=10)
    assert report.operations["ok"]
    assert not report.faults["pause"]
    assert not report.faults["drift"]


def test_an_old_answer_by_such_a_lease_is_found() -> None:
    class Stale(Store):
        """Answers by what was there before the last write."""

        def change(self, number: int, asked: Sequence[Any]) -> Any:
            self.before = dict(self.keys)
            return super().change(number, asked)

        def look(self, asked: Sequence[Any]) -> Any:
            kind, name = asked
            before: dict[str, Any] = getattr(self, "before", {})
            return before.get(name) if kind == "get" else super().look(asked)

    class Staling(StoreWorkload):
        def machine(self, random: Random) -> Store:
            return Stale()

    def ravage() -> None:
        # In ten seconds with few faults not every storm reads at the wrong moment.
        for seed in range(8):
            plan = steady_plan(seed)
            run_storm(plan.seed, workload=Staling(), size=3, seconds=10, operator=False)

    with pytest.raises((CheckFailed, NotLinearizable)):
        ravage()
