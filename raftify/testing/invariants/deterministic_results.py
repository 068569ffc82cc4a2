"""State machines answer the same entry with the same result on every node."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.core.types import Entry
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class DeterministicResults(Invariant):
    """Raft paper §2: state machines are deterministic, else equal logs lead to different states.

    This is about the user's `apply` (and the framework's bookkeeping around it): a clock, a random
    number or a set's order in a result shows here.
    """

    cites = "Raft paper §2"

    def __init__(self) -> None:
        self._results: dict[int, bytes] = {}

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        """Compare each result with the first that any node gave for the index."""
        for entry, result in zip(entries, results, strict=False):
            first = self._results.setdefault(entry.index, result)
            if first != result:
                self.fail(
                    f"entry {entry.index} gave {first!r} on one node and {result!r} on node "
                    f"{node.id}: `apply` depends on more than state and entry"
                )
