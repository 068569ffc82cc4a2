"""Checking a history with an order that somebody tells: it is believed only where it explains."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftify.testing.history import Answer, Model, Operation, Outcome, check
from raftify.testing.history.budget import Budget
from raftify.testing.history.told_order import ToldOrder
from tests.testing.histories import KV, QUEUE, brute_force, fits, ok, spoiled, unknown


def explanation(
    operations: Sequence[Operation], told: Sequence[Operation], model: Model[Any]
) -> tuple[Operation, ...] | None:
    found = ToldOrder(operations, told, model, Budget(10_000)).explanation()
    return None if found is None else tuple(operation for operation, _ in found)


def can_be_filled_up(
    operations: Sequence[Operation], told: Sequence[Operation], model: Model[Any]
) -> bool:
    """Try every place for each of the rest, which must change nothing there. The slow twin."""
    rest = [each for each in operations if each not in told and each.outcome is Outcome.OK]
    for order in itertools.permutations([*told, *rest]):
        if [each for each in order if each in told] != list(told) or not fits(order, model):
            continue
        state = model.initial()
        for each in order:
            following, _ = model.apply(state, each.input)
            if each in rest and following != state:
                break
            state = following
        else:
            return True
    return False


def drawn(random: Random, operations: Sequence[Operation]) -> list[Operation]:
    """Return some of them in an order that is often right, and often not."""
    told = random.sample(operations, random.randint(0, len(operations)))
    if random.random() < 0.7:
        told.sort(key=lambda each: each.called)
    return told


READS = [("get", "key 0"), ("empty", "queue 0")]


@pytest.mark.parametrize("model", [KV, QUEUE], ids=["key-value", "queue"])
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=150, deadline=None)
def test_whatever_is_told_the_verdict_is_that_of_brute_force(model: Model[Any], seed: int) -> None:
    random = Random(seed)
    operations = spoiled(random, model)
    told = drawn(random, operations)
    if random.random() < 0.5:
        told = [each for each in told if each.input not in READS]
    expected = Answer.LINEARIZABLE if brute_force(operations, model) else Answer.VIOLATED
    assert check(operations, model, told=told).answer is expected


@pytest.mark.parametrize("model", [KV, QUEUE], ids=["key-value", "queue"])
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=150, deadline=None)
def test_a_told_order_explains_just_what_its_slow_twin_says(model: Model[Any], seed: int) -> None:
    random = Random(seed)
    operations = spoiled(random, model)
    writes = [each for each in operations if each.input not in READS]
    told = random.choice([drawn(random, operations), drawn(random, writes), writes])
    order = explanation(operations, told, model)
    assert (order is not None) is can_be_filled_up(operations, told, model)
    if order is not None:
        assert fits(order, model)
        assert {id(each) for each in operations if each.outcome is Outcome.OK} <= set(
            map(id, order)
        )


def appends_at_once(count: int) -> list[Operation]:
    """Return writes whose answers were lost, and what was read in the end: any order may be it."""
    random = Random(1)
    writes = [unknown(str(number), KV.append("x", (number,)), 0) for number in range(count)]
    chosen = random.sample(writes, count // 2)
    read = tuple(each.input[2][0] for each in chosen)
    return [
        *chosen,
        *(each for each in writes if each not in chosen),
        ok("r", KV.get("x"), read, 2, 3),
    ]


def test_what_no_search_finds_in_time_is_found_at_once_if_it_is_told() -> None:
    operations = appends_at_once(40)
    told = operations[:20]
    assert check(operations, KV, max_steps=2000).answer is Answer.UNDECIDED
    verdict = check(operations, KV, told=told, max_steps=2000)
    assert verdict.answer is Answer.LINEARIZABLE
    assert verdict.steps <= len(operations)
    (part,) = verdict.parts
    assert part.found.order is not None
    assert [each for each, _ in part.found.order] == [*told, operations[-1]]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([1, 0], id="another order"),
        pytest.param([0, 1, 1], id="one twice"),
        pytest.param([0], id="one left out that was answered"),
    ],
)
def test_a_wrong_order_is_not_believed_and_the_right_one_found(told: list[int]) -> None:
    operations = [
        ok("a", KV.put("x", 1), None, 0, 1),
        ok("b", KV.put("x", 2), None, 2, 3),
        ok("r", KV.get("x"), 2, 4, 5),
    ]
    chosen = [operations[number] for number in told]
    assert explanation(operations, chosen, KV) is None
    assert check(operations, KV, told=chosen).answer is Answer.LINEARIZABLE


def test_what_is_told_of_operations_that_nobody_called_is_not_believed() -> None:
    """A log that holds what was never asked for explains nothing, and hides nothing."""
    invented = ok("b", KV.put("x", 2), None, 1, 2)
    operations = [ok("a", KV.put("x", 1), None, 0, 1), ok("r", KV.get("x"), 2, 4, 5)]
    verdict = check(operations, KV, told=[operations[0], invented])
    assert verdict.answer is Answer.VIOLATED


def test_reads_that_went_back_in_time_are_seen_between_writes_in_the_right_order() -> None:
    """Both reads were answered while the write was under way; the second came behind the first."""
    write = ok("a", KV.put("x", 1), None, 0, 10)
    reads = [ok("r", KV.get("x"), 1, 2, 3), ok("r", KV.get("x"), None, 4, 5)]
    assert explanation([write, *reads], [write], KV) is None
    assert check([write, *reads], KV, told=[write]).answer is Answer.VIOLATED
    assert explanation([write, reads[0]], [write], KV) == (write, reads[0])
    assert explanation([write, reads[1]], [write], KV) == (reads[1], write)
