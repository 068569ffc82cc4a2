"""A key-value store. With a single key it is a register."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from raftify.testing.history.knowledge import Knowledge, Window, plainly, window
from raftify.testing.history.model import Effect, Model
from raftify.testing.history.operation import Operation, Outcome, demand_hashable

#: The value of a key, or None while it has none.
Value = Any

_EFFECTS = {"get": Effect.NONE, "put": Effect.BLIND, "delete": Effect.BLIND}


class KeyValue(Model[Value]):
    """Keys with values; a key that has none reads as None. Each key is a part of its own.

    The static methods make the inputs; each says what its answer must be.
    """

    @staticmethod
    def get(key: Hashable) -> tuple[Any, ...]:
        """Read a key. Answer: its value, or None."""
        return ("get", key)

    @staticmethod
    def put(key: Hashable, value: Value) -> tuple[Any, ...]:
        """Set a key. Answer: None."""
        return ("put", key, value)

    @staticmethod
    def append(key: Hashable, value: Value) -> tuple[Any, ...]:
        """Add `value` by `+` to what the key holds, or set it where it holds nothing.

        Answer: None.
        """
        return ("append", key, value)

    @staticmethod
    def delete(key: Hashable) -> tuple[Any, ...]:
        """Take a key away. Answer: whether it had a value."""
        return ("delete", key)

    @staticmethod
    def cas(key: Hashable, expected: Value, value: Value) -> tuple[Any, ...]:
        """Set a key if it holds `expected` (None: if it has no value). Answer: whether it did."""
        return ("cas", key, expected, value)

    def initial(self) -> Value:
        return None

    def part_of(self, asked: Any) -> Hashable:
        match asked:
            case (str(), key, *_):
                return cast("Hashable", key)
        raise _unknown(asked)

    def effect(self, asked: Any) -> Effect:
        return _EFFECTS.get(asked[0], Effect.SEEING)

    def apply(self, state: Value, asked: Any) -> tuple[Value, Any]:
        match asked:
            case ("get", _):
                return state, state
            case ("put", _, value):
                return value, None
            case ("append", _, value):
                return value if state is None else state + value, None
            case ("delete", _):
                return None, state is not None
            case ("cas", _, expected, value):
                return (value, True) if state == expected else (state, False)
        raise _unknown(asked)

    def learn(self, operations: Sequence[Operation]) -> Knowledge:
        """Conclude from what was read that its write took effect, and by when."""
        for each in operations:
            demand_hashable(each.output, each)
        writes: dict[Value, Operation] = {}
        for each in operations:
            match each.input:
                case ("append", *_):
                    return plainly(operations)  # what is read was written by several
                case ("put", _, value) | ("cas", _, _, value) if each.output is not False:
                    if value is None or value in writes:
                        return plainly(operations)
                    writes[value] = each
        seen: dict[Value, float] = {}
        for each in operations:
            value = _seen(each)
            if value is None:
                continue
            if value not in writes:
                return replace(plainly(operations), impossible=each)
            seen[value] = min(each.ends, seen.get(value, math.inf))
        return Knowledge([_window(each, writes, seen) for each in operations])


def _unknown(asked: Any) -> ValueError:
    return ValueError(f"a key-value store knows no {asked!r}; make inputs by KeyValue's methods")


def _seen(operation: Operation) -> Value:
    """Return the value that an operation certainly found, or None."""
    if operation.outcome is Outcome.OK:
        match operation.input:
            case ("get", _):
                return operation.output
            case ("cas", _, expected, _) if operation.output is True:
                return expected
    return None


def _window(
    operation: Operation, writes: Mapping[Value, Operation], seen: Mapping[Value, float]
) -> Window:
    value = operation.input[-1]
    if operation.input[0] in {"put", "cas"} and writes.get(value) is operation:
        return window(operation, operation.called, seen.get(value, math.inf))
    return Window(operation, operation.called, operation.ends)
