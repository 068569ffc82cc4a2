"""Histories as lines of JSON: one for each call and one for each return.

A call is written before the operation begins and its return after it, so that a process killed in
between leaves an operation whose outcome is unknown, which is the truth.

Inputs and outputs are plain values: None, bool, int, float, str, bytes, and tuples of such. JSON's
lists are read as tuples, and bytes are written as `{"bytes": "hexadecimal"}`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from raftify.testing.history.operation import Operation, Outcome


def call_line(number: int, client: Hashable, asked: Any, at: float) -> str:
    """Return the line, without its end, for call `number` of this journal, at `at` seconds.

    Raises:
        TypeError: `client` or `asked` is no plain value.
    """
    return json.dumps({"call": number, "client": plain(client), "input": plain(asked), "at": at})


def return_line(number: int, outcome: Outcome, output: Any, at: float) -> str:
    """Return the line, without its end, for how call `number` ended.

    Raises:
        TypeError: `output` is no plain value.
    """
    event = {"return": number, "outcome": outcome.value, "output": plain(output), "at": at}
    return json.dumps(event)


def lines_of(operations: Iterable[Operation]) -> Iterator[str]:
    """Yield the lines for `operations`, from which `operations_of` makes equal ones.

    Raises:
        TypeError: a client, an input or an output is no plain value.
    """
    for number, operation in enumerate(operations):
        yield call_line(number, operation.client, operation.input, operation.called)
        if operation.returned is not None:
            yield return_line(number, operation.outcome, operation.output, operation.returned)


def operations_of(lines: Iterable[str]) -> list[Operation]:
    """Return the operations of one journal, in the order in which they were called.

    A last line that is cut off, as a killed process leaves it, is left out.

    Raises:
        ValueError: another line is damaged, or returns what was not called; the message says which.
    """
    whole = [line for line in lines if line.strip()]
    calls: dict[int, dict[str, Any]] = {}
    returns: dict[int, dict[str, Any]] = {}
    for place, line in enumerate(whole, 1):
        try:
            event = json.loads(line)
        except ValueError as error:
            if place == len(whole) and not line.endswith("\n"):
                break
            raise ValueError(f"line {place} of the journal is damaged: {error}") from error
        try:
            (calls if "call" in event else returns)[_number(event)] = event
        except (KeyError, TypeError) as error:
            raise ValueError(f"line {place} is no line of a journal: {line.strip()}") from error
    strays = returns.keys() - calls.keys()
    if strays:
        raise ValueError(f"calls {sorted(strays)} return, but nobody called them")
    return [_operation(call, returns.get(number)) for number, call in calls.items()]


def _number(event: dict[str, Any]) -> int:
    number = event["call"] if "call" in event else event["return"]
    if not isinstance(number, int) or not isinstance(event["at"], int | float):
        raise TypeError
    return number


def _operation(call: dict[str, Any], end: dict[str, Any] | None) -> Operation:
    client, asked, called = _frozen(call["client"]), _frozen(call["input"]), call["at"]
    if end is None:
        return Operation(client, asked, None, called, None, Outcome.UNKNOWN)
    return Operation(
        client, asked, _frozen(end["output"]), called, end["at"], Outcome(end["outcome"])
    )


def plain(value: Any) -> Any:
    """Return `value` as JSON can write it.

    Raises:
        TypeError: it is no plain value.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    raise TypeError(
        f"{value!r} cannot be written to a journal: record None, bool, int, float, str, bytes, "
        "or tuples of such"
    )


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(each) for each in value)
    if isinstance(value, dict):
        return bytes.fromhex(value["bytes"])
    return value
