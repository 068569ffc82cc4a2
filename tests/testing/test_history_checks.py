"""The simple checks: each on a history that keeps its promise, and on ones that break it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from random import Random

import pytest

from raftify.testing.history import KeyValue, Operation
from raftify.testing.history.checks import (
    CheckFailed,
    Finding,
    applied_once,
    demand_none,
    monotonic_reads,
    no_phantom,
    nothing_lost,
    nothing_refused_applied,
    read_your_writes,
)
from tests.testing.histories import KV, executed, failed, ok, unknown

Check = Callable[[list[Operation]], list[Finding]]
OLD = ok("a", KV.put("x", 1), None, 0, 1)
NEW = ok("b", KV.put("x", 2), None, 2, 3)
BROKEN: dict[str, tuple[Check, list[Operation]]] = {
    "a value older than one's own": (read_your_writes, [OLD, NEW, ok("b", KV.get("x"), 1, 4, 5)]),
    "nothing after one's own write": (read_your_writes, [NEW, ok("b", KV.get("x"), None, 4, 5)]),
    "a value older than one's own cas": (
        read_your_writes,
        [OLD, ok("b", KV.cas("x", 1, 2), True, 2, 3), ok("b", KV.get("x"), 1, 4, 5)],
    ),
    "a value older than the last read": (
        monotonic_reads,
        [OLD, NEW, ok("c", KV.get("x"), 2, 4, 5), ok("c", KV.get("x"), 1, 6, 7)],
    ),
    "nothing after a value": (
        monotonic_reads,
        [OLD, ok("c", KV.get("x"), 1, 4, 5), ok("c", KV.get("x"), None, 6, 7)],
    ),
    "a value nobody wrote": (no_phantom, [OLD, ok("c", KV.get("x"), 9, 4, 5)]),
    "a value of a failed write": (
        no_phantom,
        [failed("a", KV.put("x", 1), 0, 1), ok("c", KV.get("x"), 1, 4, 5)],
    ),
    "a value before its write": (no_phantom, [ok("c", KV.get("x"), 2, 0, 1), NEW]),
    "a value of another key": (no_phantom, [OLD, ok("c", KV.get("y"), 1, 4, 5)]),
}
KEPT: dict[str, list[Operation]] = {
    "a newer value than one's own": [OLD, NEW, ok("a", KV.get("x"), 2, 4, 5)],
    "a value written beside one's own": [
        ok("a", KV.put("x", 1), None, 0, 3),
        NEW,
        ok("b", KV.get("x"), 1, 4, 5),
    ],
    "an unknown write seen late": [
        unknown("a", KV.put("x", 7), 0),
        NEW,
        ok("b", KV.get("x"), 2, 4, 5),
        ok("b", KV.get("x"), 7, 6, 7),
    ],
    "nothing after a delete": [
        OLD,
        ok("a", KV.delete("x"), True, 2, 3),
        ok("a", KV.get("x"), None, 4, 5),
    ],
    "a read beside its write": [ok("c", KV.get("x"), 2, 2.5, 2.7), NEW],
    "a cas that failed writes nothing": [
        OLD,
        ok("b", KV.cas("x", 5, 6), False, 2, 3),
        ok("b", KV.get("x"), 1, 4, 5),
    ],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found(name: str) -> None:
    """Exactly once, and the operation that shows it stands last."""
    check, history = BROKEN[name]
    (finding,) = check(history)
    assert finding.operations[-1].input[0] == "get"
    with pytest.raises(CheckFailed, match=finding.check):
        demand_none([finding])


@pytest.mark.parametrize("check", [read_your_writes, monotonic_reads, no_phantom])
@pytest.mark.parametrize("name", KEPT)
def test_a_kept_promise_is_not_complained_of(check: Check, name: str) -> None:
    demand_none(check(KEPT[name]))


@pytest.mark.parametrize("check", [read_your_writes, monotonic_reads, no_phantom])
@pytest.mark.parametrize("seed", range(20))
def test_a_correct_object_keeps_them(check: Check, seed: int) -> None:
    history = executed(Random(seed), KV, size=200, clients=4, parts=2, unknowns=0.1, appends=False)
    demand_none(check(list(history)))


@pytest.mark.parametrize("check", [read_your_writes, monotonic_reads, no_phantom])
def test_values_must_be_unique(check: Check) -> None:
    with pytest.raises(ValueError, match="twice"):
        check([OLD, ok("b", KV.put("x", 1), None, 2, 3)])


def identity(operation: Operation) -> Hashable:
    return operation.input[2] if operation.input[0] == "put" else None


def test_what_is_applied_twice_is_found() -> None:
    assert not applied_once([1, 2, 3])
    (finding,) = applied_once([1, 2, 3, 2])
    assert "2 was applied 2 times, as numbers [2, 4]" in str(finding)


def test_what_is_lost_is_found() -> None:
    history = [OLD, NEW, unknown("c", KV.put("x", 3), 4), ok("c", KeyValue.get("x"), 2, 5, 6)]
    assert not nothing_lost(history, [2, 1], identity)
    (finding,) = nothing_lost(history, [2, 3], identity)
    assert finding.operations == (OLD,)


def test_what_was_refused_and_is_there_is_found() -> None:
    refused = failed("c", KV.put("x", 3), 4, 5)
    history = [OLD, refused, failed("c", KV.get("x"), 6, 7), unknown("c", KV.put("x", 4), 8)]
    assert not nothing_refused_applied(history, [1, 4, None], identity)
    (finding,) = nothing_refused_applied(history, [1, 3], identity)
    assert finding.operations == (refused,)
