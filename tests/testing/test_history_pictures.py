"""Explanations and pictures show what is wrong, and where."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from raftify.testing.history import FifoQueue, KeyValue, check, draw, save_picture
from raftify.testing.history.picture_layout import Layout, lay_out
from tests.testing.histories import KV, executed, ok, unknown
from tests.testing.test_history_linearizability import BAD, hard

STALE = [
    ok("alice", KV.put("x", "<old>"), None, 0, 1),
    unknown("carol", KV.put("x", "lost"), 0.5),
    ok("alice", KV.put("x", "new"), None, 2, 3),
    ok("bob", KV.get("x"), "<old>", 4, 5),
    ok("dora", KV.get("x"), "new", 4.5, 8),
    ok("alice", KV.get("x"), "new", 6, 7),
]


def test_the_explanation_names_the_operation_and_what_was_due() -> None:
    text = check(STALE, KV).explain()
    assert "no order explains bob: get(x) -> <old>" in text
    assert "1. alice: put(x, <old>)" in text
    assert (
        "next cannot be bob: get(x) -> <old> [4.000000 .. 5.000000]: the answer would be new"
        in (text)
    )


def test_two_ways_to_a_dead_end_are_both_told() -> None:
    history = [
        ok("a", KV.put("x", 1), None, 0, 3),
        ok("b", KV.put("x", 2), None, 0, 3),
        ok("c", KV.get("x"), 9, 4, 5),
    ]
    text = check(history, KV).explain()
    assert "the answer would be 1" in text
    assert "the answer would be 2" in text


def layout_of(history: list[object]) -> Layout:
    verdict = check(history, KeyValue())  # type: ignore[arg-type]  # the caller's list is narrower
    part = verdict.offending or verdict.parts[0]
    return lay_out(verdict.model, part.operations, part.found)


def test_bars_keep_the_order_of_time_and_cover_nothing() -> None:
    layout = layout_of([*STALE])
    bars = {bar.label: bar for bar in layout.bars}
    assert bars["put(x, <old>) -> None"].right < bars["put(x, new) -> None"].left
    lost = bars["put(x, lost) -> ?"]
    assert lost.right == max(bar.right for bar in layout.bars)
    for one in layout.bars:
        assert one.right <= layout.width
        assert one.top < layout.height
        for other in layout.bars:
            if one is not other and one.top == other.top:
                assert one.right <= other.left or other.right <= one.left


def test_the_stuck_operation_is_marked_and_the_order_numbered() -> None:
    layout = layout_of([*STALE])
    assert [bar.label for bar in layout.bars if bar.stuck] == ["get(x) -> <old>"]
    numbers = {bar.label: bar.number for bar in layout.bars if bar.number}
    assert numbers["put(x, <old>) -> None"] < numbers["put(x, new) -> None"]
    # What was called after the stuck operation returned cannot be why.
    assert layout.left_out == 1


@pytest.mark.parametrize("name", BAD)
def test_every_bad_history_can_be_drawn(name: str, tmp_path: Path) -> None:
    model = FifoQueue() if "queue" in str(BAD[name]) else KeyValue()
    save_picture(tmp_path / "picture.html", check(BAD[name], model))
    page = (tmp_path / "picture.html").read_text(encoding="utf-8")
    assert 'class="stuck"' in page
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"(src|href)=|https?:|@import|url\(", page)


def test_values_are_no_markup() -> None:
    page = draw(check(STALE, KV))
    assert "&lt;old&gt;" in page
    assert "<old>" not in page


def test_of_a_long_history_only_what_matters_is_drawn() -> None:
    history = [*executed(Random(1), KV, size=900, clients=5, parts=1, unknowns=0.0)]
    history.append(ok("late", KV.get("key 0"), "never", 2000, 2001))
    verdict = check(history, KV)
    part = verdict.offending
    assert part is not None
    layout = lay_out(KV, part.operations, part.found)
    assert 5 < len(layout.bars) < 60
    assert layout.bars[-1].operation.client == "late" or any(bar.stuck for bar in layout.bars)
    assert max(bar.number for bar in layout.bars) > 800


def test_good_and_undecided_histories_are_drawn_too() -> None:
    assert 'class="stuck" x="2"' in draw(check(STALE[:3], KV)), "the legend"
    assert "an order that explains them" in draw(check(STALE[:3], KV))
    assert "broken off" in draw(check(hard(8), KV, max_steps=100))
    with pytest.raises(ValueError, match="empty"):
        draw(check([], KV))
