"""The search for an order in which a sequential object could have done a history's operations.

The algorithm is that of Wing and Gong (1993) with Lowe's memory of configurations (2017): take, of
the operations that no other one precedes, one whose answer the model agrees with, and go on with
the rest; where none is left, go back. A configuration that was met before is not tried again.

Operations that may never have taken effect are kept apart. They are tried only where nothing else
goes on, need not be placed at all, and a configuration that used more of them than an earlier one,
and is else the same, cannot do better than that one. `unknowns` says which are tried. First orders
are tried in which few of them stand in a row, as most often is the truth.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from raftify.testing.history.budget import Budget, OutOfBudget
from raftify.testing.history.knowledge import Knowledge, Window
from raftify.testing.history.model import Model
from raftify.testing.history.operation import Operation, Outcome, demand_hashable
from raftify.testing.history.unknowns import Unknowns

#: How many unknown operations may stand in a row, try by try. The last try leaves nothing out.
IN_A_ROW = (1, 3, sys.maxsize)
#: How many different dead ends at the furthest operation are remembered for the explanation.
DEAD_ENDS = 4


@dataclass(frozen=True)
class DeadEnd:
    """An order that explains every operation that ended before `stuck` did, but not that one.

    Args:
        order: the operations placed, each with the state after it.
        state: the state at the end.
    """

    order: tuple[tuple[Operation, Any], ...]
    state: Any


@dataclass(frozen=True)
class Found:
    """What a search found.

    Args:
        order: the operations in an order that explains them, each with the state after it; of
            those with an unknown outcome only the ones that were needed. None if there is no such
            order, or none was found.
        stuck: the operation that ended first of those that no order explains, or that the search
            reached last; None if there is an order.
        dead_ends: the orders that got that far, with different states at their ends.
        decided: False if the budget was spent before every order was tried.
    """

    order: tuple[tuple[Operation, Any], ...] | None
    stuck: Operation | None
    dead_ends: tuple[DeadEnd, ...]
    decided: bool


#: The operations placed so far, the last one first: each with the state after it, and the rest.
Trail = tuple[Operation, Any, "Trail"] | None


@dataclass(slots=True)
class _Frame:
    """A choice to come back to.

    It was the answered operation called at `position`, or the unknown one at `chosen` of
    `choices`, placed before the return at `position`.
    """

    position: int
    choices: Sequence[int]
    chosen: int
    state: Any
    low: int
    mask: int
    row: int
    trail: Trail


class Search:
    """One search over the operations of one part.

    Calls and returns of the operations that certainly took effect are numbered by time from 1 on,
    and chained both ways; 0 is the head of the chain and its end. At equal times calls stand first,
    so that such operations count as concurrent. The others are optional.
    """

    def __init__(self, knowledge: Knowledge, model: Model[Any], budget: Budget) -> None:
        self._model = model
        self._budget = budget
        self._is_possible = knowledge.is_possible
        windows = sorted(knowledge.windows, key=lambda each: each.called)
        self._certain = [each for each in windows if each.is_certain]
        optional = [each.operation for each in windows if not each.is_certain]
        self._leaders = _leaders(self._certain)
        self._unknowns = Unknowns(
            [each.operation for each in self._certain], optional, model, budget
        )
        self._furthest = 0
        self._ends: list[tuple[Any, Trail]] = []
        self._begin(IN_A_ROW[0])

    def _begin(self, longest_row: int) -> None:
        """Forget all that was placed and met, and allow that many unknown operations in a row."""
        self._chain()
        #: Every call before number `low` is placed, and `low + i` where bit i of `mask` is set.
        self._low = 0
        self._mask = 0
        #: Which unknown operations are placed, one bit for each, and how many as the last.
        self._used = 0
        self._row = 0
        self._longest_row = longest_row
        self._row_was_cut = False
        self._state: Any = self._model.initial()
        self._trail: Trail = None
        self._met: dict[Hashable, list[int]] = {}
        self._stack: list[_Frame] = []

    def _chain(self) -> None:
        count = len(self._certain)
        events = [(each.called, 0, number) for number, each in enumerate(self._certain)]
        events += [(each.ends, 1, number) for number, each in enumerate(self._certain)]
        events.sort()
        #: For each event, which operation it belongs to, and the return if it is its call, or 0.
        self._owner = [0] * (2 * count + 1)
        self._return = [0] * (2 * count + 1)
        calls = [0] * count
        for position, (_, is_return, number) in enumerate(events, 1):
            self._owner[position] = number
            if is_return:
                self._return[calls[number]] = position
            else:
                calls[number] = position
        self._next: list[int] = [*range(1, 2 * count + 1), 0]
        self._before: list[int] = [2 * count, *range(2 * count)]

    def run(self) -> Found:
        """Search until an order is found, none is left to try, or the budget is spent."""
        try:
            for longest_row in IN_A_ROW:
                self._begin(longest_row)
                if self._explore():
                    return Found(_in_order(self._trail), None, (), decided=True)
                if not self._row_was_cut:
                    break
        except OutOfBudget:
            return self._stuck(decided=False)
        return self._stuck(decided=True)

    def _explore(self) -> bool:
        """Return whether there is an order, after trying every one that may be it."""
        position = self._next[0]
        while position:
            if self._return[position]:
                placed = self._place(position)
                position = self._next[0] if placed else self._next[position]
                continue
            self._note_dead_end(position)
            turned = self._turn(position)
            if turned is None:
                return False
            position = turned
        return True

    def _turn(self, position: int) -> int | None:
        """Go on after every call before the return at `position` was tried.

        Return where to go on in the chain, or None if there is nothing left to try.
        """
        choices, first = self._choices(position), 0
        while not self._place_unknown(position, choices, first):
            if not self._stack:
                return None
            frame = self._go_back()
            if not frame.choices:
                return self._next[frame.position]
            position, choices, first = frame.position, frame.choices, frame.chosen + 1
        return self._next[0]

    def _choices(self, position: int) -> Sequence[int]:
        """Return which unknown operations to try before the return at `position`."""
        if self._row >= self._longest_row:
            self._row_was_cut = True
            return ()
        if not self._unknowns:
            return ()
        candidates = []
        at = self._next[0]
        while at != position:
            candidates.append(self._owner[at])
            at = self._next[at]
        until = self._certain[self._owner[position]].ends
        in_a_row = self._row > 0
        return self._unknowns.worth_trying(
            self._state, self._used, until, candidates, in_a_row=in_a_row
        )

    def _place(self, position: int) -> bool:
        """Place the operation called at `position`, if the model agrees and nobody was here yet."""
        number = self._owner[position]
        leader = self._leaders[number]
        if leader >= self._low and not self._mask >> (leader - self._low) & 1:
            return False
        self._budget.spend()
        operation = self._certain[number].operation
        state, expected = self._model.apply(self._state, operation.input)
        if operation.outcome is Outcome.OK and not self._model.agrees(expected, operation.output):
            return False
        if not self._is_possible(state):
            return False
        low, mask = self._low, self._mask | 1 << (number - self._low)
        while mask & 1:
            low, mask = low + 1, mask >> 1
        if not self._is_new(low, mask, state, self._used):
            return False
        self._push(position, (), 0)
        self._low, self._mask, self._state, self._row = low, mask, state, 0
        self._trail = (operation, state, self._trail)
        for gone in (position, self._return[position]):
            self._next[self._before[gone]] = self._next[gone]
            self._before[self._next[gone]] = self._before[gone]
        return True

    def _place_unknown(self, position: int, choices: Sequence[int], first: int) -> bool:
        """Place an unknown operation of `choices`, from `first` on, before that at `position`."""
        for chosen in range(first, len(choices)):
            operation = self._unknowns.operations[choices[chosen]]
            used = self._used | 1 << choices[chosen]
            self._budget.spend()
            state, _ = self._model.apply(self._state, operation.input)
            # One that changes nothing helps nobody.
            if state == self._state or not self._is_possible(state):
                continue
            if not self._is_new(self._low, self._mask, state, used):
                continue
            self._push(position, choices, chosen)
            self._used, self._state, self._row = used, state, self._row + 1
            self._trail = (operation, state, self._trail)
            return True
        return False

    def _is_new(self, low: int, mask: int, state: Any, used: int) -> bool:
        """Whether no such configuration was met that had used nothing but what this one has."""
        try:
            met = self._met.setdefault((low, mask, state), [])
        except TypeError:
            demand_hashable(state, self._model)
            raise
        if any(other & used == other for other in met):
            return False
        met[:] = [other for other in met if other & used != used]
        met.append(used)
        return True

    def _push(self, position: int, choices: Sequence[int], chosen: int) -> None:
        self._stack.append(
            _Frame(
                position,
                choices,
                chosen,
                self._state,
                self._low,
                self._mask,
                self._row,
                self._trail,
            )
        )

    def _go_back(self) -> _Frame:
        """Take the last operation back, and return what its choice was."""
        frame = self._stack.pop()
        self._state, self._trail = frame.state, frame.trail
        self._low, self._mask, self._row = frame.low, frame.mask, frame.row
        if frame.choices:
            self._used ^= 1 << frame.choices[frame.chosen]
            return frame
        for back in (self._return[frame.position], frame.position):
            self._next[self._before[back]] = back
            self._before[self._next[back]] = back
        return frame

    def _note_dead_end(self, position: int) -> None:
        """Remember the order that leads here, if none got further."""
        if position < self._furthest:
            return
        if position > self._furthest:
            self._furthest, self._ends = position, []
        if len(self._ends) < DEAD_ENDS and all(state != self._state for state, _ in self._ends):
            self._ends.append((self._state, self._trail))

    def _stuck(self, *, decided: bool) -> Found:
        if not self._furthest:
            return Found(None, None, (), decided)
        ends = tuple(DeadEnd(_in_order(trail), state) for state, trail in self._ends)
        return Found(None, self._certain[self._owner[self._furthest]].operation, ends, decided)


def _leaders(windows: Sequence[Window]) -> list[int]:
    """Return for each operation one that asks and is answered the same, and was neither called nor
    has to be done after it; -1 if there is none.

    In an order that explains all, two such can change places if they stand the other way round. So
    nothing is lost if the leader is always placed first.
    """
    alike: dict[Any, list[int]] = {}
    leaders = []
    for number, each in enumerate(windows):
        same = alike.setdefault(each.operation.input, [])
        leaders.append(next((i for i in reversed(same) if _leads(windows[i], each)), -1))
        same.append(number)
    return leaders


def _leads(one: Window, other: Window) -> bool:
    first, second = one.operation, other.operation
    is_alike = first.outcome is second.outcome and bool(first.output == second.output)
    return is_alike and one.called <= other.called and one.ends <= other.ends


def _in_order(trail: Trail) -> tuple[tuple[Operation, Any], ...]:
    placed = []
    while trail is not None:
        operation, state, trail = trail
        placed.append((operation, state))
    return tuple(reversed(placed))
