"""Logs that have an entry of the same index and term are identical up to there."""

from __future__ import annotations

from raftify.core.types import Entry
from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class LogMatching(LogInvariant):
    """Raft paper, Figure 3 and §5.3.

    By induction: the same (index, term) is the same entry everywhere, behind an entry of the same
    term everywhere.
    """

    cites = "Raft paper §5.3"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        self._seen: dict[tuple[int, int], tuple[int, Entry | None]] = {}
        #: Of nodes whose term is not durable yet: the process, and the first index to look at then.
        self._early: dict[int, tuple[int, int]] = {}

    def on_log(self, node: NodeView, step: Step) -> None:
        """Compare each new entry with what any log ever had there."""
        log, durable = step.log, node.disk.hard_state.term
        self._terms(node, step)
        first = step.first_changed
        incarnation, early = self._early.pop(node.id, (0, 0))
        if incarnation == node.incarnation:
            first = max(min(first, early), log.first)
        for index in range(first, log.last + 1):
            term, entry = log.term(index) or 0, log.entry(index)
            if term > durable:
                # A sole voter leads before its term is durable. Until then nobody hears of what it
                # appends, and after a crash it appends something else.
                self._early[node.id] = (node.incarnation, index)
                return
            before = log.term(index - 1) or 0
            self._compare(node, (index, term), before, entry)

    def _terms(self, node: NodeView, step: Step) -> None:
        """Terms never fall along a log: no leader's does."""
        log = step.log
        for index in range(step.first_changed, log.last + 1):
            before, term = log.term(index - 1) or 0, log.term(index) or 0
            if term < before:
                self.fail(
                    f"entry {index} of term {term} lies behind one of term {before} on node "
                    f"{node.id}"
                )

    def _compare(
        self, node: NodeView, place: tuple[int, int], before: int, entry: Entry | None
    ) -> None:
        there_before, there = self._seen.setdefault(place, (before, entry))
        index, term = place
        if before != there_before and before and there_before:
            self.fail(
                f"entry {index} of term {term} lies behind one of term {before} on node "
                f"{node.id}, and behind one of term {there_before} elsewhere"
            )
        if entry is None:
            return
        if there is None:
            self._seen[place] = (before or there_before, entry)
        elif entry is not there and entry != there:
            self.fail(
                f"entry {index} of term {term} on node {node.id} is another one than elsewhere: "
                f"{entry!r} and {there!r}"
            )
