"""One storm from its beginning to its end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from raftify.peers import Membership
from raftify.testing.history.recorder import Recorder
from raftify.testing.invariants import Invariants
from raftify.testing.simulation.cluster import SimulatedCluster
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.simulation.observer import Observer
from raftify.testing.simulation.run import simulate
from raftify.testing.simulation.trace import Trace
from raftify.testing.storm.archives import Archives
from raftify.testing.storm.callers import Caller
from raftify.testing.storm.checks import check_history, check_nodes
from raftify.testing.storm.disk_faults import DISK_FAULTS
from raftify.testing.storm.farewell import farewell
from raftify.testing.storm.founding import found
from raftify.testing.storm.greeter import Greeter
from raftify.testing.storm.keeper import Keeper
from raftify.testing.storm.leases import BEARABLE_MISHAPS, bearable
from raftify.testing.storm.members import Operator
from raftify.testing.storm.mishaps import Mishap, Mishaps
from raftify.testing.storm.network_faults import NETWORK_FAULTS
from raftify.testing.storm.node_faults import NODE_FAULTS
from raftify.testing.storm.offices import Offices
from raftify.testing.storm.outside import Mailbag
from raftify.testing.storm.plan import Plan, draw_config, draw_plan
from raftify.testing.storm.refounding import refound
from raftify.testing.storm.report import StormReport
from raftify.testing.storm.requests import REQUESTS
from raftify.testing.storm.scene import Fault, Scene, StormFailed, patient
from raftify.testing.storm.spectator import Spectator
from raftify.testing.storm.store import StoreWorkload
from raftify.testing.storm.undisturbed import cut_off_from_the_leader
from raftify.testing.storm.witness import Witness
from raftify.testing.storm.workload import Workload

#: Everything that may go wrong; a storm draws from it, and uses about half in each.
ALL_FAULTS: tuple[tuple[Fault, ...], ...] = (NETWORK_FAULTS, NODE_FAULTS, DISK_FAULTS, REQUESTS)
#: Seconds of virtual time within which everything must work again once the faults are over.
RECOVERY = 120.0
#: Seconds that a write to a healthy disk takes at most.
_AT_ONCE = 0.05


def run_storm(
    seed: int | str,
    *,
    workload: Workload | None = None,
    size: int | None = None,
    seconds: float | None = None,
    faults: Sequence[Sequence[Fault]] = ALL_FAULTS,
    observers: Sequence[Observer] = (),
    operator: bool = True,
    trace: Trace | None = None,
) -> StormReport:
    """Let one cluster live through the storm of `seed`; return what it was like.

    A safety phase, in which everything goes wrong and the invariants must hold at each step; then
    all faults end, and the cluster must work, agree, and have kept what it acknowledged.

    Args:
        workload: the state machine and what is asked of it; a key-value store with queues if not
            given.
        size: voters to begin with, 1 to 7; drawn if not given.
        seconds: how long the safety phase lasts, of virtual time; drawn if not given.
        faults: what may go wrong, in groups that are equally likely. With none there are no
            mishaps either.
        operator: whether the membership changes, disks are lost, and nodes move. Without this and
            without faults nothing at all goes wrong before the end, when leaders are tried.
        observers: watch in addition to the invariants.
        trace: where events go; one that keeps only its digest if not given.

    Raises:
        ConfigError: an argument is wrong, and nothing was run.
        InvariantViolation, StormFailed, CheckFailed, NotLinearizable: something was wrong. So does
            whatever else an error of a node or of the simulation raises; its notes name the seed.
        Undecided: the history of the clients was too hard to judge, which proves nothing.
    """
    workload = workload or StoreWorkload()
    plan = draw_plan(seed, size=size, seconds=seconds, proposal_bytes=workload.proposal_bytes)
    storm = Storm(plan, workload, faults, operator=operator)
    began = time.process_time()
    outcome = simulate(
        storm.live,
        machine=storm.make_machine,
        seed=seed,
        config=draw_config(Random(f"{seed}/options"), plan),
        observers=[storm.invariants, *observers],
        trace=trace,
    )
    report = storm.report
    report.seconds, report.steps = outcome.seconds, outcome.steps
    report.digest = outcome.trace.digest()
    report.cpu_seconds = time.process_time() - began
    return report


class Storm:
    """The phases of a storm; see `run_storm`."""

    def __init__(
        self,
        plan: Plan,
        workload: Workload,
        faults: Sequence[Sequence[Fault]],
        *,
        operator: bool = True,
    ) -> None:
        self.plan = plan
        self.has_operator = operator
        self.workload = workload
        self.invariants = Invariants()
        self.report = StormReport(plan.seed, size=plan.size)
        self._machines = Random(f"{plan.seed}/machines")
        self._random = Random(f"{plan.seed}/faults")
        self._is_careful = plan.leases and plan.steady
        faults = bearable(faults) if self._is_careful else faults
        self._groups = [
            [fault for fault in group if self._random.random() < 0.6] for group in faults
        ]
        self._groups = [group for group in self._groups if group]

    def make_machine(self) -> Any:
        """Return a state machine for one start of a node."""
        return self.workload.machine(self._machines)

    async def live(self, cluster: SimulatedCluster) -> None:
        """Live through all phases."""
        recorder, stale = Recorder(lambda: cluster.now), Recorder(lambda: cluster.now)
        scene = Scene(
            plan=self.plan,
            cluster=cluster,
            workload=self.workload,
            invariants=self.invariants,
            recorder=recorder,
            stale=stale,
            random=Random(f"{self.plan.seed}/scene"),
        )
        mailbag = Mailbag()
        scene.mail = mailbag.messages
        archives = Archives()
        cluster.observers += [mailbag, scene.departed, *([archives] if self.plan.archived else [])]
        await found(scene)
        began = cluster.now
        offices = Offices(scene)
        minding = asyncio.create_task(offices.run(), name="offices")
        keeper = asyncio.create_task(Keeper(scene).run(), name="keeper")
        callers = [Caller(scene, f"client {at}") for at in range(1, self.plan.clients + 1)]
        callers += [Witness(scene, "witness"), Greeter(scene, "greeter")]
        calling = [asyncio.create_task(caller.run()) for caller in callers]
        calling.append(asyncio.create_task(Spectator(scene, "spectator").run()))
        operator = Operator(scene)
        work = operator.run() if self.has_operator else asyncio.sleep(0)
        operating = asyncio.create_task(work, name="operator")
        mishaps = Mishaps(scene, self._mishaps())
        calling.append(asyncio.create_task(mishaps.run(), name="mishaps"))
        await self._rage(scene)
        scene.over = True
        ended = cluster.now
        heal(scene)
        await _all_return(calling, "a client")
        await _all_return([operating], "the operator")
        healed = cluster.now if await mishaps.last() else ended
        heal(scene)
        await operator.finish(RECOVERY)
        if self.has_operator and await operator.last():
            await operator.finish(RECOVERY)
        members = await self._come_to_rest(scene)
        self.report.recovery = cluster.now - healed
        await offices.demand_at_work(RECOVERY)
        await self._check(scene, callers[0], members)
        if self.plan.archived:
            for node in members:
                archives.check(scene, node)
        keeper.cancel()
        minding.cancel()
        if self.plan.refounded:
            await refound(scene, members)
        else:
            random = Random(f"{self.plan.seed}/farewell")
            await cut_off_from_the_leader(scene, random)
            await farewell(scene, random)
        self._note(scene, began, ended)
        for node in cluster.running():
            await node.stop()

    def _mishaps(self) -> Sequence[Mishap] | None:
        """Return which mishaps there may be; None: all."""
        if not self._groups:
            return ()
        return BEARABLE_MISHAPS if self._is_careful else None

    # -- the safety phase ---------------------------------------------------------------------

    async def _rage(self, scene: Scene) -> None:
        """Let one thing after the other go wrong until the time is over."""
        random, until = self._random, scene.now + self.plan.seconds
        raging: set[asyncio.Task[None]] = set()
        while scene.now < until:
            await asyncio.sleep(min(random.expovariate(1 / self.plan.fault_pause), 5.0))
            raging = {task for task in raging if not task.done()}
            if not self._groups:
                continue
            fault = random.choice(random.choice(self._groups))
            name, kind = fault.__name__, scene.requests if fault in REQUESTS else scene.faults
            work = fault(scene, Random(random.getrandbits(64)))
            attempt = scene.attempt(name.replace("_", " "), kind, work)
            raging.add(asyncio.create_task(attempt, name=name))
        scene.over = True
        heal(scene)
        await _all_return(raging, "a fault")

    # -- the liveness phase -------------------------------------------------------------------

    async def _come_to_rest(self, scene: Scene) -> list[SimulatedNode]:
        """Wait until one node leads and all agree; return the members."""
        cluster = scene.cluster
        try:
            async with asyncio.timeout(RECOVERY):
                await asyncio.sleep(_AT_ONCE)
                await self._everybody_is_where_he_belongs(scene)
                await cluster.converge(RECOVERY)
        except TimeoutError:
            raise StormFailed(
                f"not everybody agreed {RECOVERY:g} s after the last fault: "
                + "; ".join(_describe(node) for node in cluster.nodes.values())
            ) from None
        leader = await cluster.leader()
        membership = leader.runtime.state.membership
        return [cluster.nodes[i] for i in sorted(membership.member_ids())]

    async def _everybody_is_where_he_belongs(self, scene: Scene) -> None:
        """Wait until members run, removed ones were told so, and who never joined is stopped; and
        until no disk has to do with what it was given while it was slow: a leader may yet give up
        its office for that."""
        cluster = scene.cluster
        while True:
            leader = await cluster.leader(RECOVERY)
            membership = leader.runtime.state.membership
            for node in list(cluster.nodes.values()):
                if membership.is_member(node.id):
                    continue
                if node.running and _nobody_tells(node, membership):
                    await node.stop()
                    cluster.nodes.pop(node.id, None)
            ids = set(cluster.nodes)
            members = set(membership.member_ids())
            if ids == members and all(
                node.running and node.write_hangs_for() < _AT_ONCE
                for node in cluster.nodes.values()
            ):
                return
            await asyncio.sleep(0.2)

    async def _check(self, scene: Scene, caller: Caller, members: list[SimulatedNode]) -> None:
        """Demand fresh writes and reads at everybody, then agreement, then a possible history."""
        for node in members:
            call = await caller.write(node, 10.0, steadfast=True)
            if call.outcome.value != "ok":
                raise StormFailed(f"a write at {node} was not served after the last fault")
            asked = scene.workload.draw_read(caller.random)
            if asked is not None:
                call = await caller.read(node, asked, 10.0)
                if call.outcome.value != "ok":
                    raise StormFailed(f"a read at {node} was not served after the last fault")
        await caller.close()
        await scene.cluster.converge()
        check_nodes(scene, members)
        for verdict in check_history(scene, members[0]):
            verdict.demand()

    def _note(self, scene: Scene, began: float, ended: float) -> None:
        report = self.report
        report.operations, report.faults = scene.outcomes, scene.faults
        report.requests, report.changes = scene.requests, scene.changes
        report.undone, report.milestones = scene.undone, scene.milestones
        report.packets, report.ends = Counter(scene.cluster.network.counts), scene.ends
        log = self.invariants.watch.committed
        if log.configurations.upto != log.last:
            # Behind a gap nobody knows which configuration was in force: little was demanded of it.
            scene.looks["configurations not followed to the end"] += 1
        report.looks = scene.looks
        report.note_gaps(began, ended, scene.successes)


def _nobody_tells(node: SimulatedNode, membership: Membership) -> bool:
    """Say whether `node`, which is no member, may never be told: it never was one, or no more than
    half of the other voters that it knows are members still, and where it knows them (decision 12).
    """
    known = node.runtime.state.membership
    others = known.member_ids() - {node.id}
    others = others.intersection(known.conf_state.voters) or others
    still = [
        i
        for i in others & membership.member_ids()
        if known.address_of(i) == membership.address_of(i)
    ]
    return 2 * len(still) <= len(others)


def heal(scene: Scene) -> None:
    """End everything that goes wrong, and start everybody soon."""
    scene.cluster.heal()
    for machine in scene.all_machines():
        node = machine.node
        node.storage.room_bytes = None
        node.storage.fail_reads = node.storage.fail_writes = False
        node.disk_pace, node.apply_pace = 0.001, 0.0001
        node.set_clock(rate=1.0)
        machine.down_until = min(machine.down_until, scene.now)


async def _all_return(tasks: Sequence[asyncio.Task[None]] | set[Any], who: str) -> None:
    """Wait for tasks that must end by themselves, now that nothing holds them up."""
    if not tasks:
        return
    done, pending = await asyncio.wait(tasks, timeout=60)
    if pending:
        raise StormFailed(f"{who} still waits 60 s after the last fault: {pending}")
    for task in done:
        task.result()


def _describe(node: SimulatedNode) -> str:
    if not node.running:
        return f"{node} ({node.failure!r})"
    state = node.runtime.state
    return (
        f"{node}: {state.role.name} of term {state.term}, leader {state.leader_id}, applied "
        f"{state.applied} of {state.committed}"
    )


__all__ = ["ALL_FAULTS", "Storm", "StormFailed", "patient", "run_storm"]
