"""Mishaps of storms: each brings about the situation that it is for, and a cluster survives it."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random

from raftify.config import Config
from raftify.core.types import Message, MessageType, Role
from raftify.testing.invariants import Invariants, LogInvariant
from raftify.testing.invariants.watch import Step
from raftify.testing.simulation import SimulatedCluster, simulate
from raftify.testing.simulation.observer import NodeView, Observer
from raftify.testing.storm.mishaps import (
    Mishap,
    half_dead,
    left_behind,
    outvoted,
    overtaken,
    slow_return,
    told_twice,
)
from raftify.testing.storm.scene import NotPossible
from raftify.testing.storm.store import Store
from tests.testing.scenes import scene_of


class Corrections(LogInvariant):
    """Counts the nodes whose logs were corrected by a new leader."""

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[int] = Counter()

    def on_log(self, node: NodeView, step: Step) -> None:
        self.of[node.id] += step.replaced


class Snapshots(Observer):
    """Counts the snapshots that were sent, by who was to get them."""

    def __init__(self) -> None:
        self.to: Counter[int] = Counter()

    def on_send(self, node: NodeView, message: Message) -> None:
        self.to[message.to] += message.msg_type is MessageType.SNAPSHOT


class Arrivals(Observer):
    """Counts what came at a moment at which it had to be taken with care."""

    def __init__(self) -> None:
        #: Entries of a leader that differ from others of the same heap, which are not written yet.
        self.corrected_at_once = 0
        #: Snapshots behind which there are entries that no leader has any more.
        self.into_another_log = 0
        #: Snapshots of what was committed there already.
        self.late = 0

    def on_receive(self, node: NodeView, message: Message) -> None:
        core = node.raft
        if core is None or message.term < core.term:
            return
        log, snapshot = core.raft_log, message.snapshot
        if message.msg_type is MessageType.SNAPSHOT and snapshot is not None:
            index, term = snapshot.metadata.index, snapshot.metadata.term
            self.late += index <= log.committed
            self.into_another_log += index <= log.last_index() and log.term(index) != term
        elif message.msg_type is MessageType.APPEND and log.unstable.entries:
            indexes = [entry.index for entry in message.entries if entry.index <= log.last_index()]
            terms = [entry.term for entry in message.entries[: len(indexes)]]
            self.corrected_at_once += [log.term(index) for index in indexes] != terms


class Deposed(Observer):
    """Counts who went on following the first leader after another one was elected."""

    def __init__(self) -> None:
        self.first = (0, 0)
        self.newest = 0
        self.followed: Counter[int] = Counter()

    def on_step(self, node: NodeView) -> None:
        core = node.raft
        if core is not None and core.role is Role.LEADER:
            self.first = self.first if self.newest else (node.id, core.term)
            self.newest = max(self.newest, core.term)

    def on_send(self, node: NodeView, message: Message) -> None:
        is_answer = message.msg_type is MessageType.HEARTBEAT_RESPONSE
        if is_answer and (message.to, message.term) == self.first and self.newest > message.term:
            self.followed[node.id] += 1


def live_through(mishap: Mishap, seed: int, *observers: Observer, size: int = 3) -> list[str]:
    """Let so many nodes live through `mishap`; return how those ended that do not run then."""
    ends: list[str] = []

    async def story(cluster: SimulatedCluster[Store]) -> None:
        await cluster.start(size)
        scene = scene_of(cluster, seed)
        await mishap(scene, Random(seed))
        assert all(node.disk_pace == 0.001 for node in cluster.nodes.values())
        ends.extend(node.last_end for node in cluster.nodes.values() if not node.running)
        for node in cluster.nodes.values():
            if not node.running:
                node.start()
        await cluster.converge()

    config = Config(snapshot_keep_entries=0)
    simulate(story, machine=Store, seed=seed, config=config, observers=[Invariants(), *observers])
    return ends


def test_a_half_dead_leader_is_corrected_by_its_successor() -> None:
    corrected = 0
    for seed in range(6):
        corrections = Corrections()
        assert live_through(half_dead, seed, corrections) == []
        corrected += corrections.of.total()
    assert corrected >= 2


def test_a_machine_returns_with_a_slow_disk() -> None:
    assert live_through(slow_return, 1) == ["crash"]


def test_who_was_left_behind_gets_its_snapshot_at_last() -> None:
    """Some of the links break while it is under way, so that it has to be sent again."""
    times = []
    for seed in range(8):
        snapshots = Snapshots()
        assert live_through(left_behind, seed, snapshots) == []
        times.append(snapshots.to.total())
    assert max(times) >= 2
    assert sum(times) >= 8


def test_who_stays_with_an_outvoted_leader_follows_it_while_another_is_elected() -> None:
    """Of five, one stays with the leader; three elect another, whom it hears of at last."""
    followed = []
    for seed in range(6):
        deposed = Deposed()
        assert live_through(outvoted, seed, deposed, size=5) == []
        followed.append(max(deposed.followed.values(), default=0))
    assert sum(count >= 3 for count in followed) >= 2


def test_who_stays_behind_with_an_outvoted_leader_may_need_a_snapshot_in_place_of_its_log() -> None:
    arrivals = Arrivals()
    for seed in range(12):
        with suppress(NotPossible):
            assert live_through(outvoted, seed, arrivals, size=5) == []
    assert arrivals.into_another_log >= 2


def test_who_stood_still_is_overtaken_finds_the_words_of_both_leaders_in_one_heap() -> None:
    arrivals = Arrivals()
    for seed in range(12):
        assert live_through(overtaken, seed, arrivals, size=5) == []
    assert arrivals.corrected_at_once >= 3


def test_a_snapshot_comes_again_when_its_node_has_gone_on() -> None:
    arrivals = Arrivals()
    for seed in range(12):
        assert live_through(told_twice, seed, arrivals) == []
    assert arrivals.late >= 4
