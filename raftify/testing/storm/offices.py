"""Work that only leaders do: registered at every node, and judged by what `on_leader_change`
promises."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from raftify.errors import RaftifyError
from raftify.testing.simulation.node import CRASH, SimulatedNode
from raftify.testing.simulation.observer import InvariantViolation, NodeView, Observer
from raftify.testing.storm.fences import Fences
from raftify.testing.storm.scene import Scene, StormFailed

if TYPE_CHECKING:
    from raftify.leading import LeaderWork

#: How long a job may take to clean up, and `stop` after it; what ends late beyond that is wrong.
_CLEANING = 0.3
_LATE = 0.05
#: How often the nodes are looked at for processes without a job, in seconds.
_LOOK_EVERY = 0.25
#: In how many looks a job is taken away from a node, to be given to it again.
_CLOSED = 0.01


@dataclass(slots=True)
class Job:
    """What one process does while it leads.

    Attributes:
        term: in which it was started.
        is_working: whether `start` has not ended yet.
        lost_at: when its node was first seen not to lead in that term any more, in virtual time.
    """

    term: int
    is_working: bool = True
    lost_at: float | None = None


class Offices(Observer):
    """Gives each process a job to do while it leads, and demands that it begins and ends right.

    Nothing is demanded of a node whose disk is lost, and what it does does not count.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._fences = Fences(scene.fences, scene.is_lost)
        scene.cluster.observers += [self._fences, self]
        self._random = Random(f"{scene.plan.seed}/offices")
        #: By node: the process that has a job, and the job it is at.
        self._works: dict[int, tuple[int, LeaderWork]] = {}
        self._jobs: dict[int, Job] = {}
        #: In which terms each registration had begun, and which node worked in each term.
        self._begun: set[tuple[LeaderWork, int]] = set()
        self._holders: dict[int, int] = {}

    async def run(self) -> None:
        """See that every process has its job, until cancelled."""
        while True:
            for node in self._scene.running():
                await self._look_after(node)
            await asyncio.sleep(_LOOK_EVERY)

    async def _look_after(self, node: SimulatedNode) -> None:
        incarnation, work = self._works.get(node.id, (0, None))
        facade, process = node.facade, node.process
        if self._scene.is_lost(node.id):
            return
        if facade is None or process is None or node.paused or node.runtime.state.has_ended():
            return
        if incarnation != node.incarnation:
            registration = Registration(
                self, self._scene, node, Random(self._random.getrandbits(64))
            )
            work = process.run(facade.on_leader_change, registration.start, registration.stop)
            registration.work = work
            self._works[node.id] = (node.incarnation, work)
        elif work is not None and self._random.random() < _CLOSED:
            del self._works[node.id]
            closing = work
            try:
                await node.call(lambda _raft: closing.close())
            except RaftifyError:
                return
            self._scene.looks["job taken away"] += 1
            if node.id in self._jobs and node.incarnation == incarnation:
                raise StormFailed(f"{node} is at {self._jobs[node.id]}, which was taken from it")

    # -- word from the jobs -------------------------------------------------------------------

    def begin(self, node: SimulatedNode, work: LeaderWork, term: int) -> Job:
        """A job begins."""
        scene, state = self._scene, node.runtime.state
        if scene.is_lost(node.id):
            job = self._jobs[node.id] = Job(term)
            return job
        scene.looks["job begun"] += 1
        if node.id in self._jobs:
            scene.fail(f"{node} begins a job in {term} at {self._jobs[node.id]}")
        if (work, term) in self._begun or self._holders.setdefault(term, node.id) != node.id:
            scene.fail(f"{node} begins a second job in {term}")
        if not (state.is_leader and state.term == term):
            scene.fail(f"{node} begins a job in {term}, and is {state.role.name} of {state.term}")
        reached = self._fences.reached_before(term)
        if state.applied < reached:
            scene.fail(
                f"{node} begins a job in {term}, and applied {state.applied}, but {reached} was "
                "committed in an earlier term"
            )
        self._begun.add((work, term))
        job = self._jobs[node.id] = Job(term)
        return job

    def end(self, node: SimulatedNode, term: int) -> None:
        """`stop` was called for a job."""
        scene, job = self._scene, self._jobs.get(node.id)
        if scene.is_lost(node.id):
            return
        if job is None or job.term != term or job.is_working:
            scene.fail(f"{node} was told to stop its job in {term}, and is at {job}")
            return
        late = 0.0 if job.lost_at is None else scene.now - job.lost_at
        machine = scene.machine(node)
        is_right = not machine.is_odd() and machine.odd_until < scene.now - late
        if late > _CLEANING + _LATE and is_right:
            scene.fail(f"{node} stopped its job in {term} {late} s after it had lost the office")

    def ended(self, node: SimulatedNode) -> None:
        """`stop` has returned."""
        self._jobs.pop(node.id, None)
        self._scene.looks["job ended"] += 1

    # -- word from the nodes ------------------------------------------------------------------

    def on_step(self, node: NodeView) -> None:
        job = self._jobs.get(node.id)
        if job is not None and job.lost_at is None:
            core = node.raft
            if core is not None and (core.term != job.term or core.leader_id != node.id):
                job.lost_at = self._scene.now

    def on_end(self, node: NodeView, how: str) -> None:
        job = self._jobs.pop(node.id, None)
        if job is not None and how != CRASH and not self._scene.is_lost(node.id):
            raise InvariantViolation(
                "StoppedJobs", "Leadership.on_leader_change", f"node {node.id} ended at {job}"
            )

    async def demand_at_work(self, seconds: float) -> None:
        """Demand that the one leader there is at rest soon does its job, and nobody else.

        Raises:
            StormFailed: it does not within `seconds`.
        """
        leader = await self._scene.cluster.leader()

        def is_right() -> bool:
            at_work = {node_id: job.term for node_id, job in self._jobs.items()}
            return at_work == {leader.id: leader.runtime.state.term}

        try:
            await self._scene.cluster.until(is_right, seconds)
        except TimeoutError:
            raise StormFailed(f"{leader} leads, and these are at work: {self._jobs}") from None


class Registration:
    """The functions of one call of `on_leader_change`."""

    def __init__(self, offices: Offices, scene: Scene, node: SimulatedNode, random: Random) -> None:
        self._offices = offices
        self._scene = scene
        self._node = node
        self._random = random
        self.work: LeaderWork

    def start(self, term: int) -> object:
        """Begin; some return at once, most are coroutines."""
        job = self._offices.begin(self._node, self.work, term)
        if self._random.random() < 0.2:
            job.is_working = False
            return None
        return self._do(job)

    async def _do(self, job: Job) -> None:
        random = self._random
        try:
            if random.random() < 0.1:
                raise ValueError("a job that cannot be done")
            while True:
                await asyncio.sleep(random.uniform(0.1, 6))
                if not self._scene.over:
                    await self._write(job.term)
        finally:
            # As work does that has to put something away, and is not in a hurry. One that failed by
            # itself may be cancelled here.
            try:
                await asyncio.sleep(random.choice([0.0, 0.0, _CLEANING / 2]))
            finally:
                job.is_working = False

    async def stop(self, term: int) -> None:
        """Stop; this too may take its time."""
        self._offices.end(self._node, term)
        await asyncio.sleep(self._random.choice([0.0, 0.0, _CLEANING / 2]))
        self._offices.ended(self._node)

    async def _write(self, term: int) -> None:
        """Write in the name of the office."""
        scene = self._scene
        number = scene.number()
        asked = scene.workload.draw_write(self._random, number)
        data = scene.workload.encode(asked, number)
        call = scene.recorder.call(f"job {number}", asked)
        scene.writes.append((number, call))
        scene.fence(data, term)
        facade = self._node.facade
        assert facade is not None
        try:
            result = await facade.propose(data, term=term, timeout=3.0)
        except RaftifyError as error:
            if isinstance(error, scene.recorder.nothing_happened):
                call.failed()
            else:
                call.unknown()
        except asyncio.CancelledError:
            call.unknown()
            raise
        else:
            call.ok(scene.workload.decode(asked, result))
