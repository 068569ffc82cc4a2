"""Queues: first in, first out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, cast

from raftify.testing.history.knowledge import Knowledge, plainly
from raftify.testing.history.model import Effect, Model
from raftify.testing.history.models.passages import Passages
from raftify.testing.history.operation import Operation, demand_hashable

Items = tuple[Any, ...]


class FifoQueue(Model[Items]):
    """Queues by name. Each queue is a part of its own.

    The static methods make the inputs; each says what its answer must be.
    """

    @staticmethod
    def enqueue(queue: Hashable, item: Any) -> tuple[Any, ...]:
        """Put `item` at the end. Answer: None."""
        return ("enqueue", queue, item)

    @staticmethod
    def dequeue(queue: Hashable) -> tuple[Any, ...]:
        """Take the first item. Answer: the item, or None if there is none."""
        return ("dequeue", queue)

    @staticmethod
    def empty(queue: Hashable) -> tuple[Any, ...]:
        """Ask whether there is no item. Answer: True or False."""
        return ("empty", queue)

    def initial(self) -> Items:
        return ()

    def part_of(self, asked: Any) -> Hashable:
        match asked:
            case (str(), queue, *_):
                return cast("Hashable", queue)
        raise _unknown(asked)

    def effect(self, asked: Any) -> Effect:
        return Effect.NONE if asked[0] == "empty" else Effect.SEEING

    def apply(self, state: Items, asked: Any) -> tuple[Items, Any]:
        match asked:
            case ("enqueue", _, item):
                return (*state, item), None
            case ("dequeue", _):
                return (state[1:], state[0]) if state else (state, None)
            case ("empty", _):
                return state, not state
        raise _unknown(asked)

    def learn(self, operations: Sequence[Operation]) -> Knowledge:
        """Conclude from the order in which items came out in which they must have gone in."""
        for each in operations:
            demand_hashable(each.output, each)
        entered: dict[Any, Operation] = {}
        left: dict[Any, Operation] = {}
        for each in operations:
            if each.input[0] == "enqueue":
                item = each.input[2]
                if item is None or item in entered:
                    return plainly(operations)  # which of several came out, nobody knows
                entered[item] = each
        for each in operations:
            if each.input[0] == "dequeue" and each.output is not None:
                if each.output not in entered or each.output in left:
                    return replace(plainly(operations), impossible=each)
                left[each.output] = each
        return Passages(operations, entered, left).knowledge()


def _unknown(asked: Any) -> ValueError:
    return ValueError(f"a queue knows no {asked!r}; make inputs by FifoQueue's methods")
