"""Whether a history is linearizable (Herlihy and Wing 1990).

It is if each operation can be thought to take effect at one moment between its call and its
return, such that a sequential object gives the answers that clients got. An operation of unknown
outcome may take effect at any moment after its call, or never; a failed one never does.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from raftify.testing.history.budget import Budget, OutOfBudget
from raftify.testing.history.explanation import counted_from, explain_part
from raftify.testing.history.knowledge import Knowledge, plainly
from raftify.testing.history.model import Model
from raftify.testing.history.operation import Operation, Outcome, demand_hashable, operations_of
from raftify.testing.history.search import Found, Search
from raftify.testing.history.told_order import ToldOrder

#: Enough for histories of ten thousands of operations; a few hundred bytes of memory for each.
MAX_STEPS = 1_000_000
#: Enough to get about as far as the search that decided.
EXPLANATION_STEPS = 20_000


class Answer(Enum):
    """What a check came to."""

    LINEARIZABLE = "linearizable"
    VIOLATED = "not linearizable"
    #: The budget was spent before all orders were tried. Neither a yes nor a no.
    UNDECIDED = "undecided"


class Unproven(AssertionError):
    """A history is not known to be linearizable; `verdict` is what was found, for `draw`."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.explain())
        self.verdict = verdict


class NotLinearizable(Unproven):
    """There is no order in which one object could have done these operations."""


class Undecided(Unproven):
    """The budget did not suffice to tell whether a history is linearizable."""


@dataclass(frozen=True)
class Part:
    """What was found for one part of the object: a key, a queue.

    Args:
        name: what `Model.part_of` calls it.
        operations: those of the part, by their calls, without the failed ones.
        found: the order that explains them, or how far one got.
    """

    name: Hashable
    operations: tuple[Operation, ...]
    found: Found

    @property
    def answer(self) -> Answer:
        if self.found.order is not None:
            return Answer.LINEARIZABLE
        return Answer.VIOLATED if self.found.decided else Answer.UNDECIDED


@dataclass(frozen=True, repr=False)
class Verdict:
    """What `check` found. It is true only for a history that is certainly linearizable.

    Args:
        model: by which it was judged.
        parts: all that were looked at; the search ends with the first violated one.
        steps: how many times the model was asked.
    """

    model: Model[Any]
    parts: tuple[Part, ...]
    steps: int

    @property
    def answer(self) -> Answer:
        answers = {part.answer for part in self.parts}
        for answer in (Answer.VIOLATED, Answer.UNDECIDED):
            if answer in answers:
                return answer
        return Answer.LINEARIZABLE

    @property
    def offending(self) -> Part | None:
        """The part that is violated or else undecided; None if all are well."""
        bad = [part for part in self.parts if part.answer is self.answer]
        return None if self.answer is Answer.LINEARIZABLE else bad[0]

    @property
    def began(self) -> float:
        """When the first operation was called: explanations and pictures count from there."""
        return min((each.called for part in self.parts for each in part.operations), default=0.0)

    def __repr__(self) -> str:
        return f"Verdict({self.answer.value}, {len(self.parts)} parts, {self.steps} steps)"

    def __bool__(self) -> bool:
        return self.answer is Answer.LINEARIZABLE

    def explain(self) -> str:
        """Say in words how far the longest orders get, and what no order explains."""
        part = self.offending
        if part is None:
            count = sum(len(part.operations) for part in self.parts)
            return f"linearizable: {count} operations in {len(self.parts)} parts"
        whose = "" if part.name is None else f" at {part.name!r}"
        text = f"{self.answer.value}{whose} after {self.steps} steps"
        if part.answer is Answer.UNDECIDED:
            text += "; allow more steps or seconds, or check a shorter history"
        lines = [text, explain_part(self.model, part.operations, part.found, self.began)]
        return "\n".join([*lines, counted_from(self.began)]).rstrip()

    def demand(self) -> None:
        """Return only if the history is linearizable.

        Raises:
            NotLinearizable: it is not; the message explains.
            Undecided: the budget did not suffice.
        """
        if self.answer is Answer.VIOLATED:
            raise NotLinearizable(self)
        if self.answer is Answer.UNDECIDED:
            raise Undecided(self)


def check(
    history: Iterable[Operation],
    model: Model[Any],
    *,
    told: Sequence[Operation] = (),
    max_steps: int = MAX_STEPS,
    max_seconds: float | None = None,
) -> Verdict:
    """Tell whether `history` is linearizable by `model`.

    Args:
        history: the operations, in any order.
        model: the sequential object.
        told: those of the operations that changed something, in the order in which they are said
            to have taken effect, as a replicated log tells it. It is tried first; it may be wrong.
        max_steps: how many times the model may be asked for each part. With this limit alone the
            verdict is the same each time.
        max_seconds: how long all may take by the wall clock.

    Raises:
        TypeError: something in the history is no Operation, or a value or a state cannot be hashed.
        ValueError: an input is none that the model knows.
    """
    until = None if max_seconds is None else time.monotonic() + max_seconds
    parts, steps = [], 0
    told_of: dict[Hashable, list[Operation]] = {}
    for operation in operations_of(told):
        told_of.setdefault(model.part_of(operation.input), []).append(operation)
    for name, operations in _parts_of(history, model).items():
        budget = Budget(max_steps, until)
        found = _as_told(operations, told_of.get(name, ()), model, budget)
        part = Part(name, tuple(operations), found or _search(operations, model, budget))
        parts.append(part)
        steps += budget.used
        if part.answer is Answer.VIOLATED:
            break
    return Verdict(model, tuple(parts), steps)


def _parts_of(history: Iterable[Operation], model: Model[Any]) -> dict[Hashable, list[Operation]]:
    parts: dict[Hashable, list[Operation]] = {}
    for operation in sorted(operations_of(history), key=lambda each: each.called):
        demand_hashable(operation.input, operation)
        if operation.outcome is not Outcome.FAILED:
            parts.setdefault(model.part_of(operation.input), []).append(operation)
    return parts


def _as_told(
    operations: Sequence[Operation],
    told: Sequence[Operation],
    model: Model[Any],
    budget: Budget,
) -> Found | None:
    """Return the order that was told, if one was and it explains the operations."""
    if not told:
        return None
    try:
        order = ToldOrder(operations, told, model, budget).explanation()
    except OutOfBudget:
        return None
    return None if order is None else Found(order, None, (), decided=True)


def _as_asked(
    order: Iterable[tuple[Operation, Any]], knowledge: Knowledge, model: Model[Any]
) -> tuple[tuple[Operation, Any], ...]:
    """Return the order with what clients asked in the place of what stood for it."""
    asked = {id(each.operation): each.stands_for or each.operation for each in knowledge.windows}
    state, steps = model.initial(), []
    for placed, _ in order:
        operation = asked[id(placed)]
        state, _ = model.apply(state, operation.input)
        steps.append((operation, state))
    return tuple(steps)


def _search(operations: Sequence[Operation], model: Model[Any], budget: Budget) -> Found:
    """Look for an order with all that the model concludes; if there is none, say how far one gets.

    What was concluded is no explanation, so a short search without it tells that.
    """
    knowledge = model.learn(operations)
    decided = True
    if knowledge.impossible is None:
        found = Search(knowledge, model, budget).run()
        if found.order is not None:
            return replace(found, order=_as_asked(found.order, knowledge, model))
        decided = found.decided
    attempt = Budget(min(EXPLANATION_STEPS, budget.steps), budget.until)
    shown = Search(plainly(operations), model, attempt).run()
    return replace(
        shown,
        stuck=None if shown.order is not None else shown.stuck or knowledge.impossible,
        decided=decided or shown.decided,
    )
