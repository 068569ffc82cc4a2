"""What the items that came out of a queue tell about when, and in which order, they went in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from raftify.testing.history.knowledge import Knowledge, Window, window
from raftify.testing.history.operation import Operation, Outcome

#: Stands for every item that did not come out of the queue, as far as is known.
_UNSEEN = object()


class Passages:
    """The ways of items through one queue.

    Args:
        operations: all of the queue.
        entered: the enqueue of each item; no two have the same.
        left: the answered dequeue of each item that is known to have come out.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        entered: Mapping[Any, Operation],
        left: Mapping[Any, Operation],
    ) -> None:
        self._operations = operations
        self._entered = entered
        self._left = left
        self._lost = sorted(
            each.called
            for each in operations
            if each.input[0] == "dequeue" and each.outcome is Outcome.UNKNOWN
        )

    def knowledge(self) -> Knowledge:
        """Return all that is certain."""
        latest, earliest = self._latest(), self._earliest()
        windows = []
        for each in self._operations:
            match each.input:
                case ("enqueue", _, item) if item in self._left:
                    windows.append(window(each, earliest[item], latest[item]))
                case ("dequeue", _) if each.output is not None:
                    windows.append(window(each, self._entered[each.output].called, each.ends))
                case ("enqueue", queue, _):
                    # Nobody saw this item: it can be told from no other that nobody saw.
                    alike = replace(each, input=("enqueue", queue, _UNSEEN))
                    windows.append(Window(alike, each.called, each.ends, stands_for=each))
                case _:
                    windows.append(Window(each, each.called, each.ends))
        return Knowledge(windows, self.is_possible)

    def _latest(self) -> dict[Any, float]:
        """Return by when each item went in: before it came out, and before what came out later."""
        bounds = {item: min(self._entered[item].ends, out.ends) for item, out in self._left.items()}
        by_call = sorted(self._left, key=lambda item: self._left[item].called, reverse=True)
        by_end = sorted(self._left, key=lambda item: self._left[item].ends, reverse=True)
        latest, bound, at = {}, math.inf, 0
        for item in by_end:
            while at < len(by_call) and self._left[item].precedes(self._left[by_call[at]]):
                bound = min(bound, bounds[by_call[at]])
                at += 1
            latest[item] = min(bounds[item], bound)
        return latest

    def _earliest(self) -> dict[Any, float]:
        """Return since when each item can have gone in: not before what came out earlier."""
        by_call = sorted(self._left, key=lambda item: self._left[item].called)
        by_end = sorted(self._left, key=lambda item: self._left[item].ends)
        earliest, bound, at = {}, -math.inf, 0
        for item in by_call:
            while at < len(by_end) and self._left[by_end[at]].precedes(self._left[item]):
                bound = max(bound, self._entered[by_end[at]].called)
                at += 1
            earliest[item] = max(self._entered[item].called, bound)
        return earliest

    def is_possible(self, items: tuple[Any, ...]) -> bool:
        """Whether the last of `items` can still come out as it did, behind the others."""
        out = self._left.get(items[-1]) if items else None
        if out is None:
            return True
        unseen = 0
        for item in items[:-1]:
            before = self._left.get(item)
            if before is None:
                unseen += 1
            elif out.precedes(before):
                return False
        # Those that nobody got must have been taken by dequeues whose answers were lost.
        return unseen == 0 or (unseen <= len(self._lost) and self._lost[unseen - 1] <= out.ends)
