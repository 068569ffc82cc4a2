"""The linearizability checker, on histories that are known to be good or bad."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftify.testing.history import (
    Answer,
    FifoQueue,
    History,
    KeyValue,
    Model,
    NotLinearizable,
    Operation,
    Outcome,
    Undecided,
    check,
)
from tests.testing.histories import (
    KV,
    QUEUE,
    brute_force,
    executed,
    failed,
    fits,
    ok,
    spoiled,
    unknown,
)

GOOD: dict[str, list[Operation]] = {
    "nothing": [],
    "one after the other": [
        ok("a", KV.put("x", 1), None, 0, 1),
        ok("b", KV.get("x"), 1, 2, 3),
    ],
    "a read beside a write sees the old value": [
        ok("a", KV.put("x", 1), None, 0, 1),
        ok("a", KV.put("x", 2), None, 2, 5),
        ok("b", KV.get("x"), 1, 3, 4),
    ],
    "or the new one": [
        ok("a", KV.put("x", 1), None, 0, 1),
        ok("a", KV.put("x", 2), None, 2, 5),
        ok("b", KV.get("x"), 2, 3, 4),
    ],
    "a call at the moment of a return is beside it": [
        ok("a", KV.put("x", 1), None, 0, 1),
        ok("b", KV.get("x"), None, 1, 2),
    ],
    # Herlihy and Wing 1990, figure 2 (a) and (c), section 2.2
    "Herlihy and Wing: H1": [
        ok("A", QUEUE.enqueue("q", "x"), None, 0, 3),
        ok("B", QUEUE.enqueue("q", "y"), None, 1, 2),
        ok("B", QUEUE.dequeue("q"), "x", 4, 7),
        ok("A", QUEUE.dequeue("q"), "y", 5, 8),
        unknown("A", QUEUE.enqueue("q", "z"), 9),
    ],
    "Herlihy and Wing: H3, a pending enqueue was seen": [
        unknown("A", QUEUE.enqueue("q", "x"), 0),
        ok("B", QUEUE.dequeue("q"), "x", 1, 2),
    ],
    "an unknown write shows up late": [
        unknown("a", KV.put("x", 1), 0, 1),
        ok("b", KV.get("x"), None, 2, 3),
        ok("b", KV.get("x"), 1, 4, 5),
    ],
    "an unknown write never shows up": [
        ok("a", KV.put("x", 0), None, 0, 1),
        unknown("a", KV.put("x", 1), 2, 3),
        ok("b", KV.get("x"), 0, 4, 5),
    ],
    "unknown writes in an order of their own": [
        unknown("a", KV.put("x", 1), 0),
        unknown("b", KV.put("x", 2), 0),
        unknown("c", KV.put("x", 3), 0),
        ok("d", KV.get("x"), 3, 1, 2),
        ok("d", KV.get("x"), 1, 3, 4),
        ok("d", KV.get("x"), 2, 5, 6),
    ],
    "an unknown append and an unknown cas build on each other": [
        ok("a", KV.put("x", "p"), None, 0, 1),
        unknown("b", KV.cas("x", "pq", "r"), 2),
        unknown("c", KV.append("x", "q"), 2),
        ok("a", KV.get("x"), "r", 3, 4),
    ],
    "a failed write is not seen": [
        failed("a", KV.put("x", 1), 0, 1),
        ok("b", KV.get("x"), None, 2, 3),
    ],
    "two lost dequeues": [
        ok("a", QUEUE.enqueue("q", 1), None, 0, 1),
        ok("a", QUEUE.enqueue("q", 2), None, 2, 3),
        ok("a", QUEUE.enqueue("q", 3), None, 4, 5),
        unknown("b", QUEUE.dequeue("q"), 6),
        unknown("c", QUEUE.dequeue("q"), 6),
        ok("a", QUEUE.dequeue("q"), 3, 7, 8),
        ok("a", QUEUE.empty("q"), True, 9, 10),
    ],
}
BAD: dict[str, list[Operation]] = {
    "a stale read": [
        ok("a", KV.put("x", 1), None, 0, 1),
        ok("a", KV.put("x", 2), None, 2, 3),
        ok("b", KV.get("x"), 1, 4, 5),
    ],
    "a value that comes and goes": [
        ok("a", KV.put("x", 1), None, 0, 9),
        ok("b", KV.get("x"), 1, 1, 2),
        ok("c", KV.get("x"), None, 3, 4),
    ],
    "a lost update: both replaced the same value": [
        ok("a", KV.put("x", 0), None, 0, 1),
        ok("a", KV.cas("x", 0, 1), True, 2, 4),
        ok("b", KV.cas("x", 0, 2), True, 2, 4),
    ],
    "a split brain: each side sees its own write only": [
        ok("a", KV.put("x", 1), None, 0, 1),
        ok("b", KV.put("x", 2), None, 0, 1),
        ok("a", KV.get("x"), 1, 2, 3),
        ok("b", KV.get("x"), 2, 2, 3),
        ok("a", KV.get("x"), 1, 4, 5),
    ],
    "an item comes out before anybody puts it in": [
        ok("a", QUEUE.dequeue("q"), "x", 1, 2),
        ok("b", QUEUE.enqueue("q", "x"), None, 3, 4),
    ],
    "an item is there, and out again, only before it was put in": [
        ok("a", QUEUE.dequeue("q"), 5, 2, 3),
        ok("b", QUEUE.empty("q"), True, 2.5, 9),
        ok("a", QUEUE.enqueue("q", 5), None, 5, 9),
    ],
    "a failed write shows up": [
        failed("a", KV.put("x", 1), 0, 1),
        ok("b", KV.get("x"), 1, 2, 3),
    ],
    "a value nobody wrote": [ok("b", KV.get("x"), 1, 2, 3)],
    "a value is read before its write is called": [
        ok("b", KV.get("x"), 1, 0, 1),
        unknown("a", KV.put("x", 1), 2),
    ],
    "an unknown write takes effect twice": [
        unknown("a", KV.put("x", 1), 0),
        ok("b", KV.get("x"), 1, 1, 2),
        ok("b", KV.put("x", 2), None, 3, 4),
        ok("b", KV.get("x"), 1, 5, 6),
    ],
    "an acknowledged append is lost": [
        ok("a", KV.append("x", "p"), None, 0, 1),
        ok("a", KV.append("x", "q"), None, 2, 3),
        ok("b", KV.get("x"), "q", 4, 5),
    ],
    "an append is applied twice": [
        ok("a", KV.append("x", "p"), None, 0, 1),
        ok("b", KV.get("x"), "pp", 4, 5),
    ],
    "of two deletes both found something": [
        ok("a", KV.put("x", 1), None, 0, 1),
        ok("a", KV.delete("x"), True, 2, 4),
        ok("b", KV.delete("x"), True, 2, 4),
    ],
    # Herlihy and Wing 1990, figure 2 (b) and (d)
    "Herlihy and Wing: H2, not first in, first out": [
        ok("A", QUEUE.enqueue("q", "x"), None, 0, 1),
        ok("B", QUEUE.enqueue("q", "y"), None, 2, 3),
        ok("A", QUEUE.dequeue("q"), "y", 4, 5),
    ],
    "Herlihy and Wing: H4, one item for two": [
        ok("A", QUEUE.enqueue("q", "x"), None, 0, 2),
        ok("B", QUEUE.enqueue("q", "y"), None, 1, 3),
        ok("A", QUEUE.dequeue("q"), "y", 4, 6),
        ok("C", QUEUE.dequeue("q"), "y", 5, 7),
    ],
    "an item is lost": [
        ok("a", QUEUE.enqueue("q", 1), None, 0, 1),
        ok("b", QUEUE.dequeue("q"), None, 2, 3),
    ],
    "one lost dequeue does not take two items": [
        ok("a", QUEUE.enqueue("q", 1), None, 0, 1),
        ok("a", QUEUE.enqueue("q", 2), None, 2, 3),
        ok("a", QUEUE.enqueue("q", 3), None, 4, 5),
        unknown("b", QUEUE.dequeue("q"), 6),
        ok("a", QUEUE.dequeue("q"), 3, 7, 8),
    ],
}


def model_of(operations: list[Operation]) -> Model[Any]:
    queue = any(operation.input[0] in {"enqueue", "dequeue"} for operation in operations)
    return FifoQueue() if queue else KeyValue()


@pytest.mark.parametrize("name", GOOD)
def test_good_histories_are_accepted(name: str) -> None:
    model = model_of(GOOD[name])
    verdict = check(GOOD[name], model)
    assert verdict.answer is Answer.LINEARIZABLE
    assert verdict
    verdict.demand()
    for part in verdict.parts:
        assert part.found.order is not None
        assert fits([operation for operation, _ in part.found.order], model)


@pytest.mark.parametrize("name", BAD)
def test_bad_histories_are_refused(name: str) -> None:
    verdict = check(BAD[name], model_of(BAD[name]))
    assert verdict.answer is Answer.VIOLATED
    assert not verdict
    with pytest.raises(NotLinearizable, match="no order explains"):
        verdict.demand()


@pytest.mark.parametrize("name", BAD)
def test_other_parts_hide_nothing(name: str) -> None:
    other = [ok("z", KV.put("another", 1), None, 0.5, 1.5), ok("z", KV.get("another"), 1, 2, 9)]
    more = [ok("z", QUEUE.enqueue("another", 1), None, 0.5, 1.5)]
    model = model_of(BAD[name])
    verdict = check([*BAD[name], *(more if isinstance(model, FifoQueue) else other)], model)
    assert verdict.answer is Answer.VIOLATED
    assert verdict.offending is not None
    assert verdict.offending.name in {"x", "q"}


@pytest.mark.parametrize("model", [KV, QUEUE], ids=["key-value", "queue"])
@pytest.mark.parametrize("unknowns", [0.0, 0.1])
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=40, deadline=None)
def test_what_a_correct_object_shows_is_accepted(
    model: Model[Any], unknowns: float, seed: int
) -> None:
    """And the order found is one indeed."""
    random = Random(seed)
    history = executed(random, model, size=60, clients=5, parts=2, unknowns=unknowns)
    verdict = check(history, model)
    assert verdict.answer is Answer.LINEARIZABLE, verdict.explain()
    for part in verdict.parts:
        assert part.found.order is not None
        order = [operation for operation, _ in part.found.order]
        assert fits(order, model)
        answered = [each for each in part.operations if each.outcome is Outcome.OK]
        assert {id(each) for each in answered} <= {id(each) for each in order}


@pytest.mark.parametrize("model", [KV, QUEUE], ids=["key-value", "queue"])
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=150, deadline=None)
def test_small_histories_are_judged_as_by_brute_force(model: Model[Any], seed: int) -> None:
    """After one or two answers were changed, some are still linearizable and most are not."""
    random = Random(seed)
    operations = spoiled(random, model)
    expected = Answer.LINEARIZABLE if brute_force(operations, model) else Answer.VIOLATED
    assert check(operations, model).answer is expected


def hard(count: int) -> History:
    """Return a history that needs every order tried: writes beside each other, then a phantom."""
    writes = [ok(str(number), KV.append("x", (number,)), None, 0, 1) for number in range(count)]
    return History([*writes, ok("r", KV.get("x"), ("never",), 2, 3)])


def test_a_spent_budget_is_no_yes() -> None:
    verdict = check(hard(12), KV, max_steps=1000)
    assert verdict.answer is Answer.UNDECIDED
    assert not verdict
    assert verdict.steps == 1000
    with pytest.raises(Undecided, match="allow more steps"):
        verdict.demand()


def test_time_is_a_budget_too() -> None:
    assert check(hard(12), KV, max_seconds=0.0).answer is Answer.UNDECIDED


def test_an_undecided_part_hides_no_violation() -> None:
    """Each part has the whole budget."""
    bad = [ok("a", KV.put("y", 1), None, 2, 3), ok("b", KV.get("y"), 2, 4, 5)]
    verdict = check([*hard(12), *bad], KV, max_steps=1000)
    assert [part.answer for part in verdict.parts] == [Answer.UNDECIDED, Answer.VIOLATED]
    assert verdict.answer is Answer.VIOLATED
    assert verdict.offending is not None
    assert verdict.offending.name == "y"


def test_ten_thousand_operations_take_one_step_each_or_few() -> None:
    """Ten clients on ten keys. No recursion: the order is 1,000 operations deep."""
    history = executed(Random(7), KV, size=10_500, clients=10, parts=10, unknowns=0.0)
    assert len(history) >= 10_000
    verdict = check(history, KV)
    assert verdict.answer is Answer.LINEARIZABLE
    assert verdict.steps < 5 * len(history)


def test_many_lost_writes_to_one_key_cost_little() -> None:
    """As after hours of killed leaders: half of them took effect."""
    random, operations, held = Random(3), [], None
    for number in range(1000):
        at = float(number)
        if random.random() < 0.2:
            operations.append(unknown(f"lost {number}", KV.put("x", number), at - 2))
            held = number if random.random() < 0.5 else held
        elif random.random() < 0.3:
            operations.append(ok("w", KV.put("x", number), None, at - 1.4, at + 1.4))
            held = number
        else:
            operations.append(ok("r", KV.get("x"), held, at - 1.4, at + 1.4))
    verdict = check(operations, KV)
    assert verdict.answer is Answer.LINEARIZABLE
    assert verdict.steps < 100 * len(operations)
    operations.append(ok("r", KV.get("x"), -1, 1002, 1003))
    assert check(operations, KV).answer is Answer.VIOLATED


def test_items_that_nobody_took_are_not_told_apart() -> None:
    """As in storms, where most of what is put into a queue stays there, and calls are lost."""
    operations = [ok(str(number), QUEUE.enqueue("q", number), None, 0, 10) for number in range(12)]
    operations += [
        unknown(f"lost {number}", QUEUE.enqueue("q", 100 + number), 0) for number in range(6)
    ]
    operations += [unknown(f"taker {number}", QUEUE.dequeue("q"), 1) for number in range(2)]
    operations.append(ok("r", QUEUE.dequeue("q"), 3, 11, 12))
    operations.append(ok("r", QUEUE.dequeue("q"), 103, 13, 14))
    verdict = check(operations, QUEUE)
    assert verdict.answer is Answer.LINEARIZABLE
    assert verdict.steps < 5_000
    (part,) = verdict.parts
    assert part.found.order is not None
    order = [each for each, _ in part.found.order]
    assert fits(order, QUEUE)
    assert {id(each) for each in order} <= {id(each) for each in operations}
    operations.append(ok("r", QUEUE.empty("q"), True, 15, 16))
    verdict = check(operations, QUEUE)
    assert verdict.answer is Answer.VIOLATED
    assert verdict.steps < 100_000
