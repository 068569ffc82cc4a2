"""What can be concluded from all answers of a history before an order is looked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from raftify.testing.history.operation import Operation


@dataclass(frozen=True, slots=True)
class Window:
    """When an operation can have taken effect: from `called` to `ends`.

    An end of infinity means that it may never have. `stands_for` is what the client asked, if the
    search is given another operation in its place: one that is answered alike in any order.
    """

    operation: Operation
    called: float
    ends: float
    stands_for: Operation | None = None

    @property
    def is_certain(self) -> bool:
        """Whether it took effect at some time."""
        return self.ends < math.inf


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a model concludes from the operations of a part.

    Args:
        windows: one for each operation, as narrow as is certain.
        is_possible: whether a state, just reached, can lead to all the answers; true if in doubt.
        impossible: an operation that no correct object can have answered so, or None.
    """

    windows: Sequence[Window]
    is_possible: Callable[[Any], bool] = lambda _state: True
    impossible: Operation | None = None


def plainly(operations: Iterable[Operation]) -> Knowledge:
    """Return what calls and returns alone say."""
    return Knowledge([Window(each, each.called, each.ends) for each in operations])


def window(operation: Operation, called: float, ends: float) -> Window:
    """Return the part of that window that lies within the operation's own.

    If there is none, the conclusions contradict the answers, so that no order explains the history:
    the search finds that by the operation's own window, which this then is.
    """
    narrow = Window(operation, max(operation.called, called), min(operation.ends, ends))
    if narrow.called > narrow.ends:
        return Window(operation, operation.called, operation.ends)
    return narrow
