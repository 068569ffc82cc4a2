"""What must be true once a storm is over: of the nodes, and of what the clients saw."""

from __future__ import annotations

from collections.abc import Hashable

from raftify.testing.history.checks import (
    applied_once,
    demand_none,
    monotonic_reads,
    no_phantom,
    nothing_lost,
    nothing_refused_applied,
    read_your_writes,
)
from raftify.testing.history.history import History
from raftify.testing.history.linearizability import Verdict, check
from raftify.testing.history.models import KeyValue
from raftify.testing.history.operation import Operation, Outcome
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene, StormFailed

#: A history that takes longer to judge counts as undecided, which fails the storm.
_MAX_STEPS = 200_000


def check_nodes(scene: Scene, members: list[SimulatedNode]) -> None:
    """Demand that all members agree in log, membership and state.

    Raises:
        StormFailed: they do not.
    """
    first = members[0]
    for node in members:
        core, other = node.view.raft, first.view.raft
        if core is None or other is None:
            raise StormFailed(f"{node if core is None else first} does not run at the end")
        ends = [(c.raft_log.last_index(), c.raft_log.last_term()) for c in (core, other)]
        if ends[0] != ends[1]:
            raise StormFailed(f"the logs of {node} and {first} end at {ends[0]} and {ends[1]}")
        if node.runtime.state.membership != first.runtime.state.membership:
            raise StormFailed(
                f"{node} has {node.runtime.state.membership}, and {first} has "
                f"{first.runtime.state.membership}"
            )
        state = scene.workload.state
        if state(node.machine) != state(first.machine):
            raise StormFailed(
                f"the states of {node} and {first} differ: {state(node.machine)!r} and "
                f"{state(first.machine)!r}"
            )


def check_history(scene: Scene, node: SimulatedNode) -> list[Verdict]:
    """Demand that a correct system could have answered as this one did.

    Raises:
        CheckFailed, NotLinearizable: it could not.
    """
    applied = scene.workload.applied(node.machine)
    if applied is not None:
        applied = list(applied)
        _check_applied(scene, applied)
    calls = dict(scene.writes)
    log = [calls[number].operation() for number in applied or () if number in calls]
    verdicts = []
    stale = scene.stale.history()
    for model, history in scene.workload.parts(scene.recorder.history()):
        if isinstance(model, KeyValue):
            demand_none(no_phantom(history))
            demand_none(read_your_writes(history))
            demand_none(monotonic_reads(history))
            reads = [each for each in stale if each.input[0] == "get"]
            demand_none(no_phantom([*history, *reads]))
        times = {each.called for each in history}  # a recorder gives no time twice
        told = [each for each in log if each.called in times]
        verdicts.append(check(history, model, told=told, max_steps=_MAX_STEPS))
    return verdicts


def _check_applied(scene: Scene, applied: list[Hashable]) -> None:
    """Demand that what was acknowledged is there, once, and what was refused is not."""
    by_number = History(_numbered(number, call.operation()) for number, call in scene.writes)
    demand_none(applied_once(applied))
    demand_none(nothing_lost(by_number, applied, lambda each: each.input))
    demand_none(nothing_refused_applied(by_number, applied, lambda each: each.input))
    strangers = set(applied) - {each.input for each in by_number}
    if strangers:
        raise StormFailed(f"applied, but never proposed: {sorted(map(str, strangers))}")


def _numbered(number: int, operation: Operation) -> Operation:
    outcome = operation.outcome
    returned = operation.returned
    if returned is None and outcome is not Outcome.UNKNOWN:
        raise StormFailed(f"{operation.input} has an outcome but never returned")
    return Operation(operation.client, number, None, operation.called, returned, outcome)
