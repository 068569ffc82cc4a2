"""What a node says of itself while the thread that writes its log moves the ends of that."""

from __future__ import annotations

from typing import cast

from raftify.core.types import Entry
from raftify.errors import Compacted, Unavailable
from raftify.node.report import _last_entries
from raftify.storage.base import StableStorage


class Moving:
    """A store whose log is cut between two reads, at the beginning or the end, `times` times."""

    def __init__(self, times: int, error: type[Exception]) -> None:
        self._times = times
        self._error = error

    def first_index(self) -> int:
        return 1

    def last_index(self) -> int:
        return 9

    def entries(self, low: int, high: int) -> list[Entry]:
        if self._times:
            self._times -= 1
            raise self._error("cut")
        return [Entry(term=1, index=index) for index in range(low, high)]


def shown(times: int, error: type[Exception]) -> list[object]:
    storage = cast("StableStorage", Moving(times, error))
    return [entry["index"] for entry in _last_entries(storage)]


def test_the_end_of_a_log_that_moves_is_looked_for_again() -> None:
    assert shown(0, Compacted) == [5, 6, 7, 8, 9]
    assert shown(1, Compacted) == [5, 6, 7, 8, 9]
    assert shown(2, Unavailable) == [5, 6, 7, 8, 9]


def test_but_not_for_ever() -> None:
    assert shown(1_000, Compacted) == []
