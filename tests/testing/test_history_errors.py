"""What is no history is refused in words; explanations and pictures count from the first call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from raftify.testing.history import (
    FifoQueue,
    History,
    KeyValue,
    Model,
    Operation,
    check,
)
from raftify.testing.history.checks import (
    no_phantom,
    nothing_lost,
    nothing_refused_applied,
    read_your_writes,
)
from raftify.testing.history.picture import draw

KV = KeyValue()
GOOD = Operation("a", KeyValue.put("x", 1), None, 0.0, 1.0)


@pytest.mark.parametrize(
    "look",
    [
        History,
        lambda history: check(history, KV),
        lambda history: check([GOOD], KV, told=history),
        no_phantom,
        read_your_writes,
        lambda history: nothing_lost(history, [], lambda each: each.client),
        lambda history: nothing_refused_applied(history, [], lambda each: each.client),
    ],
)
@pytest.mark.parametrize("stranger", [7, ("get", "x"), None])
def test_what_is_no_operation_is_refused_in_words(
    look: Callable[[Iterable[Any]], object], stranger: object
) -> None:
    with pytest.raises(TypeError, match=r"is no Operation: give what `Recorder\.history` returns"):
        look([GOOD, stranger])


@pytest.mark.parametrize(
    ("model", "operation"),
    [
        (KV, Operation("a", KeyValue.put("x", [1]), None, 0, 1)),
        (KV, Operation("a", KeyValue.get("x"), [1], 0, 1)),
        (KV, Operation("a", KeyValue.get([]), 1, 0, 1)),  # type: ignore[arg-type]  # what is tested
        (FifoQueue(), Operation("a", FifoQueue.enqueue("q", {}), None, 0, 1)),
        (FifoQueue(), Operation("a", FifoQueue.dequeue("q"), {1}, 0, 1)),
    ],
)
def test_a_value_that_cannot_be_hashed_is_named(model: Model[Any], operation: Operation) -> None:
    with pytest.raises(TypeError, match=r"of Operation\(client='a'.* cannot be hashed, .* tuples"):
        check([operation], model)


def test_a_state_that_cannot_be_hashed_is_named() -> None:
    class Listing(Model[Any]):
        def initial(self) -> Any:
            return []

        def apply(self, state: Any, asked: Any) -> tuple[Any, Any]:
            return [*state, asked], None

    with pytest.raises(TypeError, match=r"\['x'\] of .*Listing.* cannot be hashed"):
        check([Operation("a", "x", None, 0, 1)], Listing())


@pytest.mark.parametrize("view_of", [no_phantom, read_your_writes])
def test_a_written_or_read_value_that_cannot_be_hashed_is_named(
    view_of: Callable[[Iterable[Operation]], object],
) -> None:
    with pytest.raises(TypeError, match="cannot be hashed"):
        view_of([Operation("a", KeyValue.put("x", [1]), None, 0, 1)])


def test_a_read_value_that_cannot_be_hashed_is_named() -> None:
    with pytest.raises(TypeError, match="cannot be hashed"):
        no_phantom([Operation("a", KeyValue.get("x"), [1], 0, 1)])


@pytest.mark.parametrize("asked", [5, (), "x", ("put",), (1, 2), ("fly", "x")])
@pytest.mark.parametrize("model", [KV, FifoQueue()])
def test_an_input_that_the_model_does_not_know_is_named(model: Model[Any], asked: object) -> None:
    with pytest.raises(ValueError, match=r"knows no .*; make inputs by"):
        check([Operation("a", asked, None, 0, 1)], model)


def test_times_count_from_the_first_call_of_the_history() -> None:
    """Of all parts: that of the first one, if it is well, is not what is explained."""
    began = 98_765.0
    history = [
        Operation("c", KeyValue.put("other", 1), None, began, began + 0.25),
        Operation("a", KeyValue.put("x", 1), None, began + 1, began + 2),
        Operation("b", KeyValue.get("x"), None, began + 3, began + 4.5),
    ]
    verdict = check(history, KV)
    text = verdict.explain()
    assert "no order explains b: get(x) -> None [3.000000 .. 4.500000]" in text
    assert text.endswith("the first call, which was at 98765.000000 s by the history's clock")
    page = draw(verdict)
    assert "from 3.000000 to 4.500000 s" in page
    assert page.count("98765") == 2  # once above the picture, once in the explanation
