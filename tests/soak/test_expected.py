"""What a register may hold: a lost write, a stale read and a value out of nowhere are found."""

from __future__ import annotations

import pytest

from tests.soak.expected import Expected


def written(*values: str, unknown: tuple[str, ...] = ()) -> Expected:
    """Return what is expected behind writes of `values`, one after the other."""
    expected = Expected()
    for time, value in enumerate(values):
        expected.begin("k", value)
        if value not in unknown:
            expected.acknowledge("k", value, time, time + 0.5)
    return expected


def wrong(expected: Expected, found: str | None) -> bool:
    with expected.reading("k") as read:
        read.found(found)
    return bool(expected.wrong)


@pytest.mark.parametrize(
    ("values", "unknown", "found", "is_wrong"),
    [
        ("", "", None, False),
        ("a", "", "a", False),
        ("a", "", None, True),
        ("ab", "", "b", False),
        ("ab", "", "a", True),
        ("ab", "", "z", True),
        ("ab", "b", "a", False),
        ("ab", "b", "b", False),
        ("ab", "a", "a", False),  # whose outcome nobody knows may come late
        ("abc", "b", "a", True),
    ],
)
def test_what_was_told_decides_what_may_be_there(
    values: str, unknown: str, found: str | None, is_wrong: bool
) -> None:
    assert wrong(written(*values, unknown=tuple(unknown)), found) is is_wrong


def test_writes_at_the_same_time_may_come_in_either_order() -> None:
    for found in ("a", "b"):
        expected = Expected()
        expected.begin("k", "a")
        expected.begin("k", "b")
        expected.acknowledge("k", "a", 0, 2)
        expected.acknowledge("k", "b", 1, 3)
        assert not wrong(expected, found)
        expected.begin("k", "c")
        expected.acknowledge("k", "c", 2.5, 4)
        assert wrong(expected, found) is (found == "a")


def test_a_read_may_find_whatever_was_there_while_it_lasted() -> None:
    for found in ("a", "b", "c"):
        expected = written("a")
        with expected.reading("k") as read:
            for time, value in ((5, "b"), (6, "c")):
                expected.begin("k", value)
                expected.acknowledge("k", value, time, time + 0.5)
            read.found(found)
        assert not expected.wrong
    assert wrong(expected, "b")
