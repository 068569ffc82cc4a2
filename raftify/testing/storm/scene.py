"""What all parts of a storm share: the cluster, what is known of its machines, and the counts."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from raftify.core.types import Message
from raftify.errors import RaftifyError
from raftify.testing.history.recorder import Call, Recorder
from raftify.testing.invariants import Invariants
from raftify.testing.simulation.cluster import SimulatedCluster
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.departed import Departed
from raftify.testing.storm.plan import Plan, draw_config
from raftify.testing.storm.workload import Workload


class StormFailed(AssertionError):
    """Something did not hold that no invariant covers; the message says what."""


class NotPossible(Exception):
    """There is nothing now that a fault, a request or a change could be done to."""


@dataclass(slots=True)
class Machine:
    """What the storm knows of a machine.

    Attributes:
        down_until: not to be started before this virtual time.
        held: a fault has it in hand and brings it back by itself.
        stops: how often it was stopped on purpose.
        removing: somebody asked the cluster to remove it: it may be told so.
        lost: its disk was wiped or damaged: it comes back as another node only.
        disk_excused: its disk had faults; that its node ended by them is right.
        odd_until: it was paused or its clock was wrong until then; answers may come late.
        oddities: how many such faults are under way; `late_until` is when those before are over.
    """

    node: SimulatedNode
    down_until: float = 0.0
    held: bool = False
    stops: int = 0
    removing: bool = False
    lost: bool = False
    disk_excused: bool = False
    odd_until: float = 0.0
    oddities: int = 0
    late_until: float = 0.0

    def is_odd(self) -> bool:
        """Whether it is paused now, or its clock is wrong."""
        return self.oddities > 0

    def begin_oddity(self) -> None:
        """A fault that makes its answers late begins."""
        self.oddities += 1
        self.odd_until = math.inf

    def end_oddity(self, until: float) -> None:
        """Such a fault is over; answers may be late until then."""
        self.oddities -= 1
        self.late_until = max(self.late_until, until)
        if not self.oddities:
            self.odd_until = self.late_until


@dataclass(slots=True)
class Scene:
    """One storm under way."""

    plan: Plan
    cluster: SimulatedCluster
    workload: Workload
    invariants: Invariants
    recorder: Recorder
    stale: Recorder
    random: Random
    over: bool = False
    #: What went wrong, by its name; and what was asked of the cluster and done.
    faults: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    #: What was drawn of all that, and was refused, or not possible then.
    undone: Counter[str] = field(default_factory=Counter)
    milestones: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    #: What was looked at by those who ask for nothing, and what came of it.
    looks: Counter[str] = field(default_factory=Counter)
    machines: dict[str, Machine] = field(default_factory=dict)
    #: When an operation was answered with success, in virtual time.
    successes: list[float] = field(default_factory=list)
    #: What was proposed, by its number.
    writes: list[tuple[int, Call]] = field(default_factory=list)
    #: What was proposed for one term only, with that term.
    fences: dict[bytes, int] = field(default_factory=dict)
    #: Some of the messages that were sent.
    mail: deque[Message] = field(default_factory=deque)
    #: The membership may change until then by a change whose outcome nobody knows.
    unsettled_until: float = 0.0
    #: Likewise the address of a member.
    misplaced_until: float = 0.0
    #: What was sent before may be under way until then, over a link that was slow or narrow.
    slow_until: float = 0.0
    #: Watches over who may go, and who may be told so.
    departed: Departed = field(init=False)
    _numbers: int = 0

    def __post_init__(self) -> None:
        self.departed = Departed(self.is_lost)

    @property
    def now(self) -> float:
        return self.cluster.now

    def number(self) -> int:
        """Return a number that no operation had before."""
        self._numbers += 1
        return self._numbers

    def fence(self, data: bytes, term: int) -> None:
        """Note that `data` may become an entry of `term` only, where all writes differ."""
        if type(self.workload).applied is not Workload.applied:
            self.fences[data] = term

    def machine(self, node: SimulatedNode) -> Machine:
        """Return what is known of `node`."""
        found = self.machines.get(node.name)
        if found is None:
            found = self.machines[node.name] = Machine(node)
        return found

    def all_machines(self) -> list[Machine]:
        """Return every machine that the cluster knows of."""
        return [self.machine(node) for node in self.cluster.nodes.values()]

    def is_lost(self, node_id: int) -> bool:
        """Say whether the disk of this node is not, or may not be, what it was."""
        return any(each.lost for each in self.machines.values() if each.node.id == node_id)

    def running(self) -> list[SimulatedNode]:
        """Return the nodes whose processes run."""
        return self.cluster.running()

    def some_node(self, random: Random, *, leader: float = 0.0) -> SimulatedNode:
        """Return one of the running nodes; with the probability `leader`, the leader.

        Raises:
            NotPossible: nobody runs.
        """
        leading = self.a_leader()
        if leading is not None and leader and random.random() < leader:
            return leading
        node = self.any_node(random)
        if node is None:
            raise NotPossible("nobody runs")
        return node

    def the_leader(self) -> SimulatedNode:
        """Return what `a_leader` does.

        Raises:
            NotPossible: nobody believes to lead.
        """
        leader = self.a_leader()
        if leader is None:
            raise NotPossible("nobody leads")
        return leader

    def any_node(self, random: Random) -> SimulatedNode | None:
        """Return one of the running nodes; none whose disk is lost, which may be alone."""
        running = [node for node in self.running() if not self.machine(node).lost]
        return random.choice(running) if running else None

    def a_leader(self) -> SimulatedNode | None:
        """Return the node that believes to lead in the latest term, as does no lost one."""
        nodes = self.cluster.nodes.values()
        leaders = [node for node in nodes if node.leads and not self.machine(node).lost]
        return max(leaders, key=lambda node: node.runtime.state.term, default=None)

    def everybody_can_be_found(self) -> bool:
        """Say whether every node, those that are down too, knows where all others are.

        Only then another one may move, or be misplaced: two that nobody finds find each other only
        through a third, and in the end somebody has to tell them (decision 11).
        """
        nodes = self.cluster.nodes
        # By its disk: what a node knows beyond that it forgets when it loses power.
        known = [node.storage.durable.membership for node in nodes.values()]
        return self.now >= self.misplaced_until and all(
            membership.address_of(node_id) in ("", node.address)
            for membership in known
            for node_id, node in nodes.items()
        )

    def knows_the_others(self, node: SimulatedNode) -> bool:
        """Say whether `node`, whenever it starts again, has somebody to tell where it went: it has
        on its disk that it was added."""
        return node.storage.durable.membership.is_member(node.id)

    def election_timeout(self, node: SimulatedNode) -> float:
        """Return for how many seconds at least `node` waits for a leader's word."""
        config = self.cluster.config_of(node)
        return config.tick_interval * config.raft_config.election_tick

    def fresh_config(self, node: SimulatedNode, random: Random) -> None:
        """Give `node` other options for its next start, if the plan has that."""
        if self.plan.mixed:
            node.config = draw_config(random, self.plan)

    def count(self, fault: str) -> None:
        """Count a fault that happens now, and put it into the trace."""
        self.faults[fault] += 1
        self.cluster.note(fault)

    def reach(self, milestone: str) -> None:
        """Count what the cluster has come to, and put it into the trace."""
        self.milestones[milestone] += 1
        self.cluster.note(milestone)

    async def attempt(self, name: str, kind: Counter[str], work: Awaitable[None]) -> None:
        """Do `work`, and count it in `kind` once it is done; a refusal is an answer, too."""
        self.cluster.note(name)
        try:
            await work
        except (NotPossible, RaftifyError, TimeoutError):
            self.undone[name] += 1
        else:
            kind[name] += 1

    def succeeded(self, call: Call) -> None:
        """Note that an operation was answered."""
        self.outcomes["ok"] += 1
        self.successes.append(self.now)

    def fail(self, what: str, cause: BaseException | None = None) -> None:
        """End the storm: `what` must not have happened."""
        failure = StormFailed(what)
        failure.__cause__ = cause
        self.cluster.loop.fail(failure)


#: Something that may go wrong, or be asked; it undoes what it did.
Fault = Callable[[Scene, Random], Coroutine[Any, Any, None]]


async def patient(scene: Scene, seconds: float) -> None:
    """Sleep, but no longer than the storm lasts."""
    until = scene.now + seconds
    while not scene.over and scene.now < until:  # noqa: ASYNC110 - it is looked at, not told
        await asyncio.sleep(min(0.5, until - scene.now))


def name_of(error: BaseException) -> str:
    """Return how an error is counted."""
    return type(error).__name__ if isinstance(error, RaftifyError) else repr(error)
