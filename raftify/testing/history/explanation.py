"""Say in words how far orders get that explain a history, and what none of them explains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raftify.testing.history.model import Model
from raftify.testing.history.operation import Operation, Outcome
from raftify.testing.history.search import DeadEnd, Found

#: How many operations before a dead end are listed.
LISTED = 8


def explain_part(
    model: Model[Any], operations: Sequence[Operation], found: Found, began: float
) -> str:
    """Explain one part that has no order, or none that was found.

    Args:
        model: the sequential object.
        operations: all of the part that did not fail.
        found: what the search found; its `order` is None.
        began: when the history began: times count from there.
    """
    stuck = found.stuck
    if stuck is None:
        return "no order was tried to its end"
    lines = [f"no order explains {said(model, stuck, began)}"]
    if not found.decided:
        lines = [f"the furthest order got to {said(model, stuck, began)}"]
    for number, end in enumerate(found.dead_ends, 1):
        lines.append(
            f"order {number} explains {len(end.order)} of {len(operations)} operations, "
            f"then holds {model.describe_state(end.state)}"
        )
        left_out = len(end.order) - LISTED
        if left_out > 0:
            lines.append(f"    (the first {left_out} are left out)")
        for place, (operation, state) in list(enumerate(end.order, 1))[-LISTED:]:
            after = model.describe_state(state)
            lines.append(f"    {place:>4}. {said(model, operation, began)}, now {after}")
        lines += [f"    {why}" for why in refusals(model, operations, stuck, end, began)]
    return "\n".join(lines)


def refusals(
    model: Model[Any],
    operations: Sequence[Operation],
    stuck: Operation,
    end: DeadEnd,
    began: float,
) -> list[str]:
    """Return why no operation can come next after `end`: what the model would have answered."""
    lines = []
    for operation in candidates(operations, stuck, end):
        _, expected = model.apply(end.state, operation.input)
        if not model.agrees(expected, operation.output):
            answer = model.describe_answer(operation.input, expected)
            lines.append(
                f"next cannot be {said(model, operation, began)}: the answer would be {answer}"
            )
    return lines


def candidates(operations: Sequence[Operation], stuck: Operation, end: DeadEnd) -> list[Operation]:
    """Return the answered operations that could come next after `end` by their times."""
    placed = {id(operation) for operation, _ in end.order}
    return [
        each
        for each in operations
        if each.outcome is Outcome.OK and id(each) not in placed and each.called <= stuck.ends
    ]


def said(model: Model[Any], operation: Operation, began: float) -> str:
    """Return an operation as people read it, with its times in seconds from `began`."""
    return f"{operation.client}: {labelled(model, operation)} [{_when(operation, began)}]"


def labelled(model: Model[Any], operation: Operation) -> str:
    """Return an operation's input and what came of it."""
    asked = model.describe(operation.input)
    if operation.outcome is Outcome.OK:
        return f"{asked} -> {model.describe_answer(operation.input, operation.output)}"
    return f"{asked} -> {'?' if operation.outcome is Outcome.UNKNOWN else 'failed'}"


def counted_from(began: float) -> str:
    """Return from when times count, as a sentence; empty if from the clock's own 0."""
    if not began:
        return ""
    return f"times count from the first call, which was at {began:.6f} s by the history's clock"


def _when(operation: Operation, began: float) -> str:
    end = "" if operation.returned is None else f"{operation.returned - began:.6f}"
    return f"{operation.called - began:.6f} .. {end}"
