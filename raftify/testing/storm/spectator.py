"""A client of a storm that only looks: follows nodes, waits for them to get somewhere, and judges
what it is told by what `watch`, `wait` and `wait_for_recovery` promise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random
from typing import Any

from raftify.errors import ConfigError, DeadlineExceeded, RaftifyError
from raftify.node.metrics import Metrics
from raftify.raft import Raft
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene, name_of, patient
from raftify.testing.storm.sightings import Sightings

#: A deadline may be noticed so much later by the node's own clock, in seconds: nothing takes time
#: in a simulation but what was told to.
_LATE = 0.01
#: What a node came to is told at the latest with its next turn, which a slow disk may hold up.
_TOLD_WITHIN = 2.0


class Spectator:
    """Follows and waits, one node after the other."""

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.random = Random(f"{scene.plan.seed}/{name}")
        self.sightings = Sightings(scene)

    async def run(self) -> None:
        """Look on until the storm is over."""
        scene, random = self.scene, self.random
        while not scene.over:
            await patient(scene, random.expovariate(1))
            node = scene.any_node(random)
            if node is None or scene.over:
                continue
            look = random.choice([
                self._follow, self._wait, self._wait, self._wait, self._recover, self._inspect,
                self._wait_for_leader,
            ])  # fmt: skip
            try:
                await look(node)
            except (RaftifyError, TimeoutError) as error:
                scene.looks[f"{look.__name__.strip('_')}: {name_of(error)}"] += 1
            else:
                scene.looks[look.__name__.strip("_")] += 1

    # -- watch --------------------------------------------------------------------------------

    async def _follow(self, node: SimulatedNode) -> None:
        """Follow `node` for a while, or to the end of its process."""
        scene, random = self.scene, self.random
        interval = random.choice([0.0, 0.1, 0.1, 1.0])
        until, called, incarnation = scene.now + random.uniform(0.5, 6), scene.now, node.incarnation
        told: list[Metrics] = []
        times: list[float] = []
        node_id = node.id

        async def follow(raft: Raft) -> None:
            loop = asyncio.get_running_loop()
            async for metrics in raft.watch(interval=interval):
                told.append(metrics)
                times.append(loop.time())
            if not told[-1].has_ended or told[-1] != raft.metrics():
                scene.fail(f"{node} was followed to its end, and {told[-1]} was not the last word")
            scene.looks["follow to the end"] += 1

        following = asyncio.create_task(node.call(follow))
        while scene.now < until and not scene.over and not following.done():
            await asyncio.wait([following], timeout=0.5)
        if not following.done() and told:
            await self._demand_latest(node, told, called, interval)
        following.cancel()
        await asyncio.wait([following])
        self.sightings.check(node, node_id, told)
        if self._is_right(node, incarnation, called):
            self._demand_pauses(node, told, times, interval)
        if not following.cancelled():
            following.result()

    async def _demand_latest(
        self, node: SimulatedNode, told: list[Metrics], called: float, interval: float
    ) -> None:
        """Demand that a follower has heard of what `node` is now, or soon hears of something."""
        count, incarnation = len(told), node.incarnation
        latest = node.raft.metrics()
        if latest == told[-1]:
            return
        await asyncio.sleep(interval + _TOLD_WITHIN)
        if self._is_right(node, incarnation, called) and count == len(told):
            self.scene.fail(f"{node} is {latest}, and who follows it was told {told[-1]} at last")

    def _demand_pauses(
        self, node: SimulatedNode, told: list[Metrics], times: list[float], interval: float
    ) -> None:
        pairs = list(pairwise(times))
        if told and told[-1].has_ended:
            pairs = pairs[:-1]
        if pairs and min(after - before for before, after in pairs) < interval - 1e-6:
            self.scene.fail(f"{node} was told of more often than each {interval} s: {times}")

    # -- wait ---------------------------------------------------------------------------------

    def _draw(self, node: SimulatedNode) -> tuple[str, tuple[Any, ...], bool]:
        """Return what to wait for: the name in `Wait`, its arguments, and whether it stays true."""
        random, now = self.random, node.raft.metrics()
        ahead = random.choice([-3, 0, 1, 5, 40])
        conf, term = now.membership.conf_state, now.term + random.choice([0, 1])
        return random.choice([
            ("until", (lambda metrics: metrics.term >= term,), True),
            ("applied_index_at_least", (max(now.applied + ahead, 0),), True),
            ("committed_at_least", (max(now.committed + ahead, 0),), True),
            ("log_at_least", (max(now.last_index + ahead, 0),), False),
            ("snapshot", (max(now.snapshot + ahead, 0),), True),
            ("purged", (max(now.purged + ahead, 0),), True),
            ("leader", (random.choice([0, *self.scene.cluster.nodes]),), False),
            ("members", (conf.voters or (1,), conf.learners), False),
        ])  # fmt: skip

    async def _wait(self, node: SimulatedNode) -> None:
        """Wait for something of `node` that may be so, may come, or never."""
        random, scene = self.random, self.scene
        if node.runtime.state.has_ended():
            return
        name, arguments, stays = self._draw(node)
        timeout = random.choice([0.05, 0.5, 3.0])
        held = False

        def look(raft: Raft) -> None:
            nonlocal held
            held = fulfils(raft.metrics(), name, arguments)

        async def begin(raft: Raft) -> Metrics:
            loop = asyncio.get_running_loop()
            early = loop.call_later(max(timeout - _TOLD_WITHIN, 0), look, raft)
            try:
                return await self._timed(
                    node, timeout, lambda: getattr(raft.wait(timeout), name)(*arguments)
                )
            finally:
                early.cancel()

        called, incarnation = scene.now, node.incarnation
        what = f"wait({timeout}).{name}{arguments} at {node}"
        try:
            metrics = await node.call(begin)
        except DeadlineExceeded:
            if held and stays and timeout > _TOLD_WITHIN and self._is_right(
                node, incarnation, called
            ):  # fmt: skip
                scene.fail(f"{what} was true long before it was given up")
            raise
        if not fulfils(metrics, name, arguments):
            scene.fail(f"{what} returned {metrics}")

    async def _timed(
        self, node: SimulatedNode, timeout: float, begin: Callable[[], Awaitable[Metrics]]
    ) -> Metrics:
        """Demand that `begin()`, in the process of `node`, ends by its deadline, and fails by
        DeadlineExceeded no earlier."""
        scene, loop = self.scene, asyncio.get_running_loop()
        began, called, incarnation = loop.time(), scene.now, node.incarnation
        try:
            return await begin()
        except DeadlineExceeded:
            if loop.time() < began + timeout - 1e-6 and self._is_right(node, incarnation, called):
                scene.fail(f"a wait of {timeout} s at {node} ended after {loop.time() - began} s")
            raise
        finally:
            late = loop.time() - began - timeout
            if late > _LATE and self._is_right(node, incarnation, called):
                scene.fail(f"a wait of {timeout} s at {node} ended {late} s late")

    async def _recover(self, node: SimulatedNode) -> None:
        """Wait until `node` may serve: it holds then what was committed anywhere before."""
        scene = self.scene
        committed = max(other.runtime.state.committed for other in scene.running())
        index = await node.raft.wait_for_recovery(timeout=self.random.choice([0.5, 5.0]))
        applied = node.runtime.state.applied
        if applied < index or (index < committed and not scene.plan.leases):
            scene.fail(
                f"{node} has recovered up to {index}, and applied {applied}, but {committed} was "
                "committed before"
            )

    async def _wait_for_leader(self, node: SimulatedNode) -> None:
        """Wait until `node` knows who leads; by the time it is said another may, or nobody."""
        scene, node_id = self.scene, node.id

        async def begin(raft: Raft) -> Metrics:
            leader_id = await raft.wait_for_leader(timeout=self.random.choice([0.05, 3.0]))
            metrics = raft.metrics()
            if not leader_id or raft.get_leader_id() != metrics.leader_id:
                scene.fail(f"{node} said that {leader_id} leads, and says {metrics} at once")
            return metrics

        self.sightings.check(node, node_id, [await node.call(begin)])

    async def _inspect(self, node: SimulatedNode) -> None:
        """Look inside: that must not disturb anybody, whatever the node is doing."""
        scene, raft = self.scene, node.raft
        try:
            report, peers = raft.inspect(decoder=bytes.hex), raft.get_peers()
        except ConfigError as error:
            scene.fail(f"{node} cannot be looked into", error)
            return
        if report["node_id"] != node.id or raft.get_id() != node.id:
            scene.fail(f"{node} says that it is {report['node_id']}")
        if raft.get_cluster_size() != len(peers):
            scene.fail(f"{node} has {len(peers)} peers in a cluster of other size")

    def _is_right(self, node: SimulatedNode, incarnation: int, since: float) -> bool:
        """Say whether the same process runs, and neither stood still nor had a wrong clock."""
        machine = self.scene.machine(node)
        same = node.running and node.incarnation == incarnation
        return same and machine.odd_until < since and not machine.is_odd()


def fulfils(metrics: Metrics, name: str, arguments: tuple[Any, ...]) -> bool:
    """Say whether `metrics` are what `Wait` was to wait for."""
    first = arguments[0]
    conf = metrics.membership.conf_state
    if name == "until":
        return bool(first(metrics))
    if name == "members":
        return not conf.voters_outgoing and [set(conf.voters), set(conf.learners)] == [
            set(argument) for argument in arguments
        ]
    if name == "leader":
        return metrics.leader_id == first if first else metrics.leader_id > 0
    reached = {
        "applied_index_at_least": metrics.applied,
        "committed_at_least": metrics.committed,
        "log_at_least": metrics.last_index,
        "snapshot": metrics.snapshot,
        "purged": metrics.purged,
    }
    return bool(first <= reached[name])
