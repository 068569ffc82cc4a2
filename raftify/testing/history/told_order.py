"""Whether an order that somebody tells explains a history.

Some systems know in which order their operations took effect: a replicated log does. If that order
explains all answers there is no need to look for one. What is told is only believed where it does.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Sequence
from itertools import accumulate
from typing import Any

from raftify.testing.history.budget import Budget
from raftify.testing.history.model import Model
from raftify.testing.history.operation import Operation, Outcome


class ToldOrder:
    """One part of a history, and an order in which some of its operations are said to have stood.

    The others, which should be those that changed nothing, may stand anywhere between these, as
    they were called and returned. Those of unknown outcome that are not told of never happened.

    Args:
        operations: all of the part, without the failed ones.
        told: some of them.
        model: the sequential object.
        budget: what asking the model is charged to.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        told: Sequence[Operation],
        model: Model[Any],
        budget: Budget,
    ) -> None:
        self._told = told
        self._model = model
        self._budget = budget
        told_of = {_name(each) for each in told}
        names = {_name(each) for each in operations}
        self._is_clear = (
            len(names) == len(operations) and len(told_of) == len(told) and told_of <= names
        )
        self._rest = sorted(
            (each for each in operations if _name(each) not in told_of and each.ends < math.inf),
            key=lambda each: each.called,
        )

    def explanation(self) -> tuple[tuple[Operation, Any], ...] | None:
        """Return all operations in an order that explains them, each with the state after it.

        None if there is none in which those that were told of stand so. Each of the others stands
        as early as it can: that leaves most room to those that come behind it.

        Raises:
            OutOfBudget: asking the model became too much.
        """
        if not self._is_clear or not _keeps_time(self._told):
            return None
        states = self._states()
        if states is None:
            return None
        places = self._places(states)
        if places is None:
            return None
        order: list[tuple[Operation, Any]] = []
        for place, state in enumerate(states):
            if place:
                order.append((self._told[place - 1], state))
            order += [(each, state) for each in places.get(place, ())]
        return tuple(order)

    def _states(self) -> list[Any] | None:
        """Return the states before, between and behind those told of; None if an answer is not what
        it would have been."""
        states = [self._model.initial()]
        for operation in self._told:
            state = self._after(states[-1], operation)
            if state is None:
                return None
            states.append(state[0])
        return states

    def _after(self, state: Any, operation: Operation) -> tuple[Any] | None:
        """Return the state after the operation, or None if it would be answered otherwise."""
        self._budget.spend()
        following, expected = self._model.apply(state, operation.input)
        if operation.outcome is Outcome.OK and not self._model.agrees(expected, operation.output):
            return None
        return (following,)

    def _places(self, states: Sequence[Any]) -> dict[int, list[Operation]] | None:
        """Return the rest by how many of those told of stand before each; None if it fits not."""
        told = range(1, len(self._told) + 1)
        by_end = sorted(zip((each.ends for each in self._told), told, strict=True))
        ends = [end for end, _ in by_end]
        least = [0, *accumulate((place for _, place in by_end), max)]
        by_call = sorted(zip((each.called for each in self._told), told, strict=True))
        calls = [called for called, _ in by_call]
        first_behind = [*accumulate((place for _, place in reversed(by_call)), min)][::-1]
        most = [*(place - 1 for place in first_behind), len(self._told)]
        places: dict[int, list[Operation]] = {}
        # Where those stand that may have returned before the next one was called.
        earlier: list[tuple[float, int]] = []
        floor = 0
        for each in self._rest:
            while earlier and earlier[0][0] < each.called:
                floor = max(floor, heapq.heappop(earlier)[1])
            lowest = max(floor, least[bisect_left(ends, each.called)])
            highest = most[bisect_right(calls, each.ends)]
            place = self._place(each, states, range(lowest, highest + 1))
            if place is None:
                return None
            places.setdefault(place, []).append(each)
            heapq.heappush(earlier, (each.ends, place))
        return places

    def _place(self, operation: Operation, states: Sequence[Any], places: range) -> int | None:
        """Return the first of `places` where the operation is answered so and changes nothing."""
        for place in places:
            state = self._after(states[place], operation)
            if state is not None and state[0] == states[place]:
                return place
        return None


def _name(operation: Operation) -> Hashable:
    return operation.client, operation.called, operation.input


def _keeps_time(told: Iterable[Operation]) -> bool:
    """Say whether none of them had returned before one that is told of earlier was called."""
    called = -math.inf
    for operation in told:
        if operation.ends < called:
            return False
        called = max(called, operation.called)
    return True
