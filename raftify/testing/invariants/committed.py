"""What the whole cluster has committed, and the configurations that follow from it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol

from raftify.core.raft_core import RaftCore
from raftify.core.tracker import Configuration
from raftify.core.types import Entry
from raftify.errors import MalformedMessage
from raftify.node.config_changes import added_peers
from raftify.node.delivery import decode_change
from raftify.testing.invariants.derived import configuration_after, is_change


class _Log(Protocol):
    first: int

    def term(self, index: int) -> int | None: ...

    def entry(self, index: int) -> Entry | None: ...


@dataclass(slots=True)
class Committed:
    """One committed index: the term of its entry, the entry where it is known, and the lowest term
    of a node that knew of the commit."""

    term: int
    entry: Entry | None
    known_in_term: int


class CommittedLog:
    """Every index that any node ever knew to be committed, as it was seen first."""

    def __init__(self) -> None:
        self.by_index: dict[int, Committed] = {}
        self.last = 0
        self.configurations = Configurations()

    def record(self, core: RaftCore, after: int, log: _Log) -> None:
        """Add what `core` knows to be committed behind `after`."""
        committed = core.raft_log.committed
        self.configurations.begin(core)
        for index in range(max(after + 1, log.first), committed + 1):
            known = self.by_index.get(index)
            if known is not None:
                known.known_in_term = min(known.known_in_term, core.term)
                continue
            term = log.term(index)
            if term is not None:
                entry = log.entry(index)
                self.by_index[index] = Committed(term, entry, core.term)
                self.last = max(self.last, index)
                self.configurations.follow(index, entry)

    def last_known_before(self, term: int) -> tuple[int, int]:
        """Return index and term of the last entry known to be committed in a term before `term`."""
        for index in range(self.last, 0, -1):
            one = self.by_index.get(index)
            if one is not None and one.known_in_term < term:
                return index, one.term
        return 0, 0


class Configurations:
    """The configurations that the committed entries lead to, one after the other.

    They are known only where all entries since the founding of the cluster are; `upto` is the last
    index that was followed, 0 while nothing is known.
    """

    def __init__(self) -> None:
        self.upto = 0
        self._indexes: list[int] = []
        self.sequence: list[Configuration] = []

    def begin(self, core: RaftCore) -> None:
        """Take the configuration of a cluster that was founded just now."""
        if self.upto or not core.tracker.conf.voters.ids():
            return
        founded = core.raft_log.first_index() - 1
        if core.raft_log.committed != founded:
            return
        self.upto = founded
        self._indexes.append(founded)
        self.sequence.append(core.tracker.conf)

    def follow(self, index: int, entry: Entry | None) -> None:
        """Go on with the next committed entry; a gap ends it."""
        if index != self.upto + 1 or entry is None:
            return
        self.upto = index
        if not is_change(entry):
            return
        try:
            change = decode_change(entry)
            added_peers(change)
        except MalformedMessage:
            return
        after = configuration_after(self.sequence[-1], change)
        if after is not None:
            self._indexes.append(index)
            self.sequence.append(after)

    def position(self, index: int) -> int:
        """Return the position in `sequence` of the configuration in force at `index`."""
        return max(bisect_right(self._indexes, index) - 1, 0)

    def index(self, position: int) -> int:
        """Return the index of the entry that led to the configuration at `position`."""
        return self._indexes[position]
