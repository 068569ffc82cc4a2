"""What operations wrote and read, for the checks that ask for no more than that."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Protocol

from raftify.testing.history.operation import Operation, Outcome, demand_hashable, operations_of

Key = Hashable
Value = Any


class View(Protocol):
    """Tells what an operation wrote and read. Every value is written once to a key, at most."""

    def wrote(self, operation: Operation) -> tuple[Key, Value] | None:
        """Return the key and the value that it wrote if it took effect; None if it writes none."""

    def read(self, operation: Operation) -> tuple[Key, Value] | None:
        """Return the key and the value that it was answered; None if it read none.

        The value is None if the key had none.
        """


class KeyValueView:
    """Of the operations of `KeyValue` it sees get, put, cas and delete; a delete writes None."""

    def wrote(self, operation: Operation) -> tuple[Key, Value] | None:
        match operation.input:
            case ("put", key, value):
                return key, value
            case ("cas", key, _, value) if operation.output is not False:
                return key, value
            case ("delete", key):
                return key, None
        return None

    def read(self, operation: Operation) -> tuple[Key, Value] | None:
        match operation.input:
            case ("get", key) if operation.outcome is Outcome.OK:
                return key, operation.output
        return None


class Writes:
    """Who wrote what, by keys and values.

    Raises:
        ValueError: two operations wrote the same value to a key; which one was read, nobody knows.
    """

    def __init__(self, history: Iterable[Operation], view: View) -> None:
        self._by_value: dict[tuple[Key, Value], Operation] = {}
        #: Keys that are deleted somewhere: to read nothing there says nothing.
        self._cleared: set[Key] = set()
        for operation in history:
            written = view.wrote(operation)
            if written is None:
                continue
            demand_hashable(written, operation)
            key, value = written
            if value is None:
                self._cleared.add(key)
                continue
            if written in self._by_value:
                raise ValueError(
                    f"{value!r} is written to {key!r} twice; let every write have its own value"
                )
            self._by_value[written] = operation

    def of(self, key: Key, value: Value) -> Operation | None:
        """Return the operation that wrote `value` to `key`, whatever its outcome; None if none."""
        demand_hashable((key, value), "what was read")
        return self._by_value.get((key, value))

    def is_older(self, key: Key, value: Value, than: Operation) -> bool:
        """Whether `value` was certainly gone from `key` once `than`, a write of it, took effect."""
        if value is None:
            return key not in self._cleared
        write = self.of(key, value)
        return write is not None and write.precedes(than)


def laid_out(
    history: Iterable[Operation], view: View | None
) -> tuple[View, list[Operation], Writes]:
    """Return what a check of reads begins with: the view (of a `KeyValue` unless given), the
    operations in the order in which they were called, and who wrote what.

    Raises:
        ValueError: a value is written to a key twice.
        TypeError: something is no Operation, or a value cannot be hashed.
    """
    view = view or KeyValueView()
    operations = sorted(operations_of(history), key=lambda each: each.called)
    return view, operations, Writes(operations, view)
