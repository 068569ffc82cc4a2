"""Nothing is applied twice."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from raftify.testing.history.checks.finding import Finding

NAME = "nothing applied twice"


def applied_once(applied: Iterable[Hashable]) -> list[Finding]:
    """Find what a state machine applied more than once.

    Args:
        applied: what one state machine applied, in its order: for each entry something that no
            other request has, such as a number that the client drew.
    """
    places: dict[Hashable, list[int]] = {}
    for place, each in enumerate(applied, 1):
        places.setdefault(each, []).append(place)
    return [
        Finding(NAME, f"{each!r} was applied {len(at)} times, as numbers {at}")
        for each, at in places.items()
        if len(at) > 1
    ]
