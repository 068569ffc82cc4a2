"""Queues: first in, first out."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from raftify.testing.history.model import Effect, Model

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
        queue: Hashable = asked[1]
        return queue

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
        raise ValueError(f"a queue knows no {asked!r}; make inputs by FifoQueue's methods")
