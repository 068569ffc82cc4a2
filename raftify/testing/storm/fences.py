"""Watches over what was proposed for one term only, and how far the entries of each term got."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from raftify.core.types import Entry
from raftify.testing.simulation.observer import InvariantViolation, NodeView, Observer


class Fences(Observer):
    """What was proposed for one term is in the log as an entry of that term, or not at all.

    Args:
        fences: what was proposed so, with its term.
        is_lost: says of a node whether its disk is, or may be, not what it was: it is not judged.
    """

    def __init__(self, fences: Mapping[bytes, int], is_lost: Callable[[int], bool]) -> None:
        self._fences = fences
        self._is_lost = is_lost
        self._reached: dict[int, int] = {}

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        if self._is_lost(node.id):
            return
        for entry in entries:
            term = self._fences.get(entry.data)
            if term is not None and entry.term != term:
                raise InvariantViolation(
                    "Fenced",
                    "Log.propose",
                    f"node {node.id} applied {entry.data[:80]!r} of term {entry.term}, which was "
                    f"proposed for term {term} only",
                )
            if entry.index > self._reached.get(entry.term, 0):
                self._reached[entry.term] = entry.index

    def reached_before(self, term: int) -> int:
        """Return up to which index entries of terms before `term` were applied anywhere."""
        return max((index for t, index in self._reached.items() if t < term), default=0)
