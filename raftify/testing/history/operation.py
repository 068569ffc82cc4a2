"""One operation of a client: what it asked, what came of it, and when."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Outcome(Enum):
    """What a client knows of its operation."""

    #: It took effect, and its output is known.
    OK = "ok"
    #: It certainly took no effect, and never will.
    FAILED = "failed"
    #: It may have taken effect, may do so at any later time, or never.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one client.

    Args:
        client: who called. A client calls one operation after the other; what it called beside
            another one counts as concurrent.
        input: what was asked, in the form that the model takes.
        output: what was answered; None unless `outcome` is OK.
        called: when it was called, in seconds of a clock that all clients share.
        returned: when the client got its answer or gave up; None if it never did.
        outcome: what the client knows.
    """

    client: Hashable
    input: Any
    output: Any
    called: float
    returned: float | None
    outcome: Outcome = Outcome.OK

    def __post_init__(self) -> None:
        if self.returned is None:
            if self.outcome is not Outcome.UNKNOWN:
                raise ValueError(f"{self.input!r} never returned, so its outcome is unknown")
        elif self.returned < self.called:
            raise ValueError(
                f"{self.input!r} returned at {self.returned}, before its call at {self.called}; "
                "give all clients one clock"
            )

    @property
    def ends(self) -> float:
        """Until when it can take effect: for ever if its outcome is unknown."""
        if self.outcome is Outcome.UNKNOWN or self.returned is None:
            return math.inf
        return self.returned

    def precedes(self, other: Operation) -> bool:
        """Whether it ended before `other` was called: every observer sees it first."""
        return self.ends < other.called


def operations_of(history: Iterable[Any]) -> list[Operation]:
    """Return what is in `history`.

    Raises:
        TypeError: something there is no operation.
    """
    operations = list(history)
    for each in operations:
        if not isinstance(each, Operation):
            raise TypeError(
                f"{each!r} is no Operation: give what `Recorder.history` returns, or make it by "
                "Operation(client, input, output, called, returned)"
            )
    return operations


def demand_hashable(value: Any, at: Any) -> None:
    """Return only if `value` can be hashed; `at` is where it stands, for the message.

    Raises:
        TypeError: it cannot.
    """
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"{value!r} of {at!r} cannot be hashed, so checks cannot tell where it was met before: "
            "use tuples for lists, frozensets for sets, and tuples of pairs for dicts"
        ) from None
