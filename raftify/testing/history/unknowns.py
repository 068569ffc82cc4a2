"""Which operations of unknown outcome a search tries at a dead end.

One whose effect does not depend on the state, such as a put, is *blind*. It may take effect at any
moment after its call, so in an order that explains a history a blind one can be left out if another
unknown blind one follows at once, and need not stand before an operation that

- would be answered the same without it, and lead to the same state, or
- would be answered the same without it, and changes nothing after it: then it can stand later.

So of many writes that were lost, only those are tried that explain an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from raftify.testing.history.budget import Budget
from raftify.testing.history.model import Effect, Model
from raftify.testing.history.operation import Operation, Outcome


@dataclass(frozen=True, slots=True)
class _FollowUps:
    """The blind operations that may directly come before another one.

    Args:
        idle: those after which that one changes nothing.
        changing: the others, by the state after both.
    """

    idle: list[int]
    changing: dict[Any, list[int]]


class Unknowns:
    """The operations of unknown outcome of one part.

    Args:
        certain: the part's other operations, which are named by their places here.
        operations: the unknown ones, by their calls. Those that change nothing are left out; the
            others are named by their places, too.
        model: the sequential object.
        budget: what asking the model is charged to.
    """

    def __init__(
        self,
        certain: Sequence[Operation],
        operations: Sequence[Operation],
        model: Model[Any],
        budget: Budget,
    ) -> None:
        self.operations = [
            each for each in operations if model.effect(each.input) is not Effect.NONE
        ]
        self._certain = certain
        self._twins = _twins(self.operations)
        self._model = model
        self._budget = budget
        #: The state after each blind one.
        self._after = {
            number: model.apply(model.initial(), each.input)[0]
            for number, each in enumerate(self.operations)
            if model.effect(each.input) is Effect.BLIND
        }
        self._follow_ups: dict[int, _FollowUps] = {}

    def __len__(self) -> int:
        return len(self.operations)

    def worth_trying(
        self,
        state: Any,
        used: int,
        until: float,
        candidates: Iterable[int],
        *,
        in_a_row: bool,
    ) -> list[int]:
        """Return which of them may lead on from a dead end.

        Args:
            state: the state there.
            used: which were placed already, one bit for each.
            until: the time by which they must have been called.
            candidates: the certain operations of which one has to come next.
            in_a_row: whether the operation placed last was one of these.
        """
        free = []
        for number, operation in enumerate(self.operations):
            if operation.called > until:
                break
            # Of several that ask the same, the first can do whatever the others can.
            twin = self._twins[number]
            if not used >> number & 1 and (twin < 0 or used >> twin & 1):
                free.append(number)
        seeing = [number for number in free if number not in self._after]
        if len(seeing) == len(free) or in_a_row:
            return seeing
        helpful: set[int] = set()
        for candidate in candidates:
            operation = self._certain[candidate]
            helpful.update(self._helping(candidate, operation, state))
        for number in seeing:
            helpful.update(self._helping(-1 - number, self.operations[number], state))
        return [number for number in free if number not in self._after or number in helpful]

    def _helping(self, key: int, next_one: Operation, state: Any) -> Iterator[int]:
        """Yield the blind ones that make a difference to `next_one`, known as `key`."""
        if key not in self._follow_ups:
            self._follow_ups[key] = self._follow(next_one)
        follow_ups = self._follow_ups[key]
        self._budget.spend()
        plainly, expected = self._model.apply(state, next_one.input)
        if not self._agrees(next_one, expected):
            yield from follow_ups.idle
            for numbers in follow_ups.changing.values():
                yield from numbers
            return
        for following, numbers in follow_ups.changing.items():
            if following != plainly:
                yield from numbers

    def _follow(self, next_one: Operation) -> _FollowUps:
        follow_ups = _FollowUps([], {})
        for number, after in self._after.items():
            self._budget.spend()
            following, expected = self._model.apply(after, next_one.input)
            if following == after and self._agrees(next_one, expected):
                follow_ups.idle.append(number)
            elif self._agrees(next_one, expected):
                follow_ups.changing.setdefault(following, []).append(number)
        return follow_ups

    def _agrees(self, operation: Operation, expected: Any) -> bool:
        if operation.outcome is Outcome.UNKNOWN:
            return True
        return self._model.agrees(expected, operation.output)


def _twins(operations: Sequence[Operation]) -> list[int]:
    """Return for each operation the last one before it that asks the same, or -1."""
    seen: dict[Any, int] = {}
    twins = []
    for number, operation in enumerate(operations):
        twins.append(seen.get(operation.input, -1))
        seen[operation.input] = number
    return twins
