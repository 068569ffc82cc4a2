"""No two state machines apply different entries at an index, and each applies in order, once."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.core.types import Entry
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class StateMachineSafety(Invariant):
    """Raft paper, Figure 3 and §5.4.3. Entries that are not for the state machine may be left out,
    but then by everybody."""

    cites = "Raft paper §5.4.3"

    def __init__(self) -> None:
        self._applied: dict[int, Entry] = {}
        #: Which index came after an index, to whoever got something after it first.
        self._next: dict[int, int] = {}
        self._at: dict[int, int] = {}

    def on_start(self, node: NodeView) -> None:
        """A state machine that is started begins with nothing."""
        self._at[node.id] = 0

    def on_restore(self, node: NodeView, index: int) -> None:
        """A snapshot takes the state machine somewhere else."""
        self._at[node.id] = index

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        """Compare with what others got at the same index, and after the same index."""
        at = self._at.get(node.id, 0)
        for entry in entries:
            if entry.index <= at:
                self.fail(
                    f"node {node.id} applied entry {entry.index} after it had applied {at}: "
                    "twice, or out of order"
                )
            agreed = self._applied.setdefault(entry.index, entry)
            if agreed is not entry and agreed != entry:
                self.fail(
                    f"node {node.id} applied another entry {entry.index} than others: "
                    f"{entry!r} and {agreed!r}"
                )
            self._follow(node, at, entry.index)
            at = entry.index
        self._at[node.id] = at

    def _follow(self, node: NodeView, at: int, index: int) -> None:
        """Nobody may leave out what another applied between `at` and `index`."""
        following = self._next.setdefault(at, index)
        if index < following:
            self.fail(
                f"node {node.id} applied entry {index} after {at}; another left it out and went "
                f"on with {following}"
            )
        if index > following:
            self.fail(f"node {node.id} left out entry {following}: it went from {at} to {index}")
