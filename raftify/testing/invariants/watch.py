"""What changed in a node's log since the last look, found in time proportional to the change.

The watch keeps a copy of every log's terms and entries. It never reads a node's store: what is new
is in memory when it is new, and after a restart the terms come from the disk's durable view.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftify.core.raft_core import RaftCore
from raftify.core.raft_log import RaftLog
from raftify.core.types import Entry, Role
from raftify.errors import Compacted, RaftifyError, Unavailable
from raftify.testing.invariants.committed import CommittedLog
from raftify.testing.simulation.observer import NodeView


@dataclass(slots=True)
class Known:
    """One log as it was at the last look. `entries` are None where only the term is known.

    `offset` is where the log's unwritten entries began or were to begin.
    """

    incarnation: int
    first: int
    terms: list[int] = field(default_factory=list)
    entries: list[Entry | None] = field(default_factory=list)
    #: The term before the first entry.
    before_term: int = 0
    committed: int = 0
    offset: int = 0
    #: The term that its node led in; 0 if it did not lead.
    led: int = 0

    @property
    def last(self) -> int:
        return self.first + len(self.terms) - 1

    def term(self, index: int) -> int | None:
        """Return the term at `index`, which may be the one before the first; None if not there."""
        if index == self.first - 1:
            return self.before_term
        return self.terms[index - self.first] if self.first <= index <= self.last else None

    def entry(self, index: int) -> Entry | None:
        """Return the entry at `index`; None if it is not there or not known."""
        return self.entries[index - self.first] if self.first <= index <= self.last else None

    def cut(self, after: int) -> None:
        """Forget everything behind `after`."""
        keep = max(after - self.first + 1, 0)
        del self.terms[keep:], self.entries[keep:]

    def compact(self, first: int, before_term: int) -> None:
        """Let the log begin at `first`."""
        gone = min(first - self.first, len(self.terms))
        del self.terms[:gone], self.entries[:gone]
        self.first, self.before_term = first, before_term


@dataclass(slots=True)
class Step:
    """What a step changed.

    `changed` entries begin at `first_changed` and reach to the end of the log; `replaced` says that
    others had been there. The entries `(committed_before, committed]` were committed by this step.
    `leader_of` is the term of a node that led in it before the step and after it; otherwise 0.
    """

    log: Known
    first_changed: int
    replaced: bool
    started: bool
    committed_before: int
    committed: int
    leader_of: int


class Watch:
    """Looks at nodes, and keeps what was committed. See the module."""

    def __init__(self) -> None:
        self.committed = CommittedLog()
        self._logs: dict[int, Known] = {}

    def log_of(self, node_id: int) -> Known | None:
        """Return the log of a node as it was looked at last; None if it never was."""
        return self._logs.get(node_id)

    def look(self, node: NodeView) -> Step | None:
        """Return what changed in the log of `node` since the last look; None if nothing did.

        Raises:
            StorageError: the node has closed its store, or cannot read it. It shows nothing.
        """
        core = node.raft
        if core is None:
            return None
        log = core.raft_log
        known = self._logs.get(node.id)
        started = known is None or known.incarnation != node.incarnation
        if known is None or started:
            known = self._logs[node.id] = _begin(node, core, known)
        elif known.committed == log.committed and _same(known, log):
            return None
        old_last = known.last
        first_changed = known.first if started else _update(known, log)
        replaced = not started and first_changed <= min(old_last, known.last + 1)
        # A leader appends an entry as its first act, so that it is seen here in each of its terms.
        leads = core.term if core.role is Role.LEADER else 0
        leader_of, known.led = (leads if leads == known.led else 0), leads
        step = Step(
            known, first_changed, replaced, started, known.committed, log.committed, leader_of
        )
        self.committed.record(core, step.committed_before, known)
        known.committed = log.committed
        return step


def _begin(node: NodeView, core: RaftCore, before: Known | None) -> Known:
    """Return the log that a process starts with: what its disk holds, and what is on its way."""
    log = core.raft_log
    first, last = log.first_index(), log.last_index()
    unstable, offset = log.unstable.entries, log.unstable.offset
    known = Known(node.incarnation, first, before_term=node.disk.term(first - 1) or 0)
    known.committed = first - 1
    for index in range(first, min(last + 1, offset)):
        term = node.disk.term(index) or 0
        entry = None if before is None else before.entry(index)
        known.terms.append(term)
        known.entries.append(entry if entry is not None and entry.term == term else None)
    known.terms += [entry.term for entry in unstable]
    known.entries += unstable
    known.offset = offset
    return known


def _same(known: Known, log: RaftLog) -> bool:
    """Whether nothing was appended, replaced or discarded."""
    last = log.last_index()
    if last != known.last or log.first_index() != known.first:
        return False
    if log.unstable.offset != known.offset:
        return False
    unstable = log.unstable.entries
    if unstable:
        return unstable[-1] is known.entry(last)
    return last < known.first or _term(log, last) == known.term(last)


def _update(known: Known, log: RaftLog) -> int:
    """Bring `known` up to date and return the first index that changed."""
    first, last = log.first_index(), log.last_index()
    before_term = _term(log, first - 1)
    if first != known.first:
        if first > known.last + 1 or known.term(first - 1) not in (None, before_term):
            known.cut(known.first - 1)
        known.compact(first, before_term)
    changed = _first_changed(known, log, first, last)
    # What was written last must be the log's end. Look, rather than believe it.
    written, known.offset = log.unstable.offset - 1, log.unstable.offset
    if first <= written < changed - 1:
        behind = _first_changed(known, log, first, written)
        changed = behind if behind <= written else changed
    known.cut(changed - 1)
    for index, entry in enumerate(_entries(log, changed, last), changed):
        known.entries.append(entry)
        known.terms.append(_term(log, index) if entry is None else entry.term)
    return changed


def _first_changed(known: Known, log: RaftLog, first: int, last: int) -> int:
    """Return the first index up to `last` that is new or another; one behind it if there is none.

    Looks back from `last` to the first entry that is certainly the one of the last look.
    """
    unstable, offset = log.unstable.entries, log.unstable.offset
    changed = last + 1
    for index in range(last, first - 1, -1):
        term = known.term(index)
        if term is None or _term(log, index) != term:
            changed = index
            continue
        position, before = index - offset, known.entry(index)
        entry = unstable[position] if 0 <= position < len(unstable) else None
        if entry is None or before is None or entry is before:
            break
        # It may have been sent again just as it was, behind others.
        if entry != before:
            changed = index
    return changed


def _term(log: RaftLog, index: int) -> int:
    try:
        return log.term(index)
    except (Compacted, Unavailable):
        return 0


def _entries(log: RaftLog, low: int, last: int) -> list[Entry | None]:
    found: list[Entry | None] = []
    try:
        found.extend(log.slice(low, last + 1) if low <= last else [])
    except RaftifyError:
        found.clear()
    return found + [None] * (last + 1 - low - len(found))
