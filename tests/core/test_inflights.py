"""The window of appends on their way to a follower (thesis 10.2.1, pipelining)."""

from __future__ import annotations

import pytest

from raftify.core.inflights import Inflights
from raftify.errors import InvariantViolation


def filled(capacity: int, *indices: int) -> Inflights:
    window = Inflights(capacity)
    for index in indices:
        window.add(index)
    return window


def remaining(window: Inflights) -> list[int]:
    """Return the window's indices, which it loses by that."""
    indices = []
    index = 0
    while window.count():
        before = window.count()
        window.free_to(index)
        indices += [index] * (before - window.count())
        index += 1
    return indices


def test_it_is_full_at_its_capacity() -> None:
    window = Inflights(3)
    for index in (1, 2, 3):
        assert not window.full()
        window.add(index)
    assert window.full()
    assert window.count() == 3


def test_adding_to_a_full_window_is_a_bug_and_changes_nothing() -> None:
    window = filled(2, 4, 5)
    with pytest.raises(InvariantViolation, match="up to index 6: all 2 places"):
        window.add(6)
    assert remaining(window) == [4, 5]


def test_a_window_without_capacity_is_always_full() -> None:
    assert Inflights(0).full()


@pytest.mark.parametrize(
    ("to", "left"),
    [(0, [1, 3, 5]), (1, [3, 5]), (2, [3, 5]), (4, [5]), (5, []), (9, [])],
)
def test_free_to_forgets_what_reaches_no_further(to: int, left: list[int]) -> None:
    window = filled(3, 1, 3, 5)
    window.free_to(to)
    assert remaining(window) == left


def test_places_freed_are_used_again_in_order() -> None:
    window = filled(3, 1, 2, 3)
    window.free_to(2)
    window.add(4)
    window.add(5)
    assert window.full()
    assert remaining(window) == [3, 4, 5]


def test_free_first_one_frees_the_oldest() -> None:
    window = filled(3, 2, 3)
    window.free_first_one()
    assert remaining(window) == [3]


def test_free_first_one_of_an_empty_window_does_nothing() -> None:
    window = Inflights(3)
    window.free_first_one()
    assert window.count() == 0


def test_reset_forgets_all() -> None:
    window = filled(2, 1, 2)
    window.reset()
    assert window.count() == 0
    assert not window.full()
    assert window.capacity == 2


def test_a_raised_capacity_counts_at_once() -> None:
    window = filled(2, 1, 2)
    window.set_cap(3)
    assert not window.full()
    window.add(3)
    assert remaining(window) == [1, 2, 3]


def test_an_empty_window_takes_a_lower_capacity_at_once() -> None:
    window = Inflights(3)
    window.set_cap(1)
    assert window.capacity == 1


def test_a_lowered_capacity_stops_sending_but_keeps_what_is_on_its_way() -> None:
    window = filled(4, 1, 2, 3)
    window.set_cap(2)
    assert window.full()
    assert window.count() == 3
    window.free_to(2)
    assert not window.full()
    window.add(4)
    assert window.full()
    assert window.capacity == 4
    window.free_to(4)
    assert window.capacity == 2


def test_reset_puts_a_lowered_capacity_in_force() -> None:
    window = filled(4, 1)
    window.set_cap(2)
    window.reset()
    assert window.capacity == 2


@pytest.mark.parametrize("capacity", [4, 8])
def test_raising_the_capacity_again_forgets_that_it_was_lowered(capacity: int) -> None:
    window = filled(4, 1, 2)
    window.set_cap(1)
    window.set_cap(capacity)
    assert not window.full()
    window.free_to(2)
    assert window.capacity == capacity
