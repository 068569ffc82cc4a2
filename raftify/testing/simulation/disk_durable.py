"""What a crash would leave of a simulated disk's log, read from its records without opening it."""

from __future__ import annotations

from bisect import bisect_right

from raftify.core.types import HardState
from raftify.errors import RaftifyError
from raftify.peers import Membership
from raftify.records import decode_membership
from raftify.storage import lmdb_schema as schema
from raftify.storage.log_state import LogState
from raftify.testing.simulation.disk_tables import Tables
from raftify.wire.codec import decode_snapshot

#: Above so many runs, those whose terms are known but are no longer in the log are forgotten.
_KNOWN_RUNS = 4096


class DurableLog:
    """A DurableView of `tables`.

    Of a record that is damaged it shows what was last there, or nothing: it tells what a node has
    promised, not what it will find.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._state_record: bytes | None = None
        self._state = LogState()
        self._snapshot_record: bytes | None = None
        self._snapshot_index = 0
        self._membership_record: bytes | None = None
        self._membership = Membership()
        # The terms in each run, under its key, and the value that they were read from.
        self._terms: dict[bytes, tuple[bytes, list[int]]] = {}

    @property
    def hard_state(self) -> HardState:
        """Term, vote and commit index. Each write, of whatever, makes another object of it."""
        return self._current().hard_state

    @property
    def first_index(self) -> int:
        """Index of the first entry, or of the next one if there is none."""
        return self._current().before_index + 1

    @property
    def last_index(self) -> int:
        """Index of the last entry, or of the one before the first if there is none."""
        return self._current().last_index

    @property
    def snapshot_index(self) -> int:
        """Where the latest snapshot ends; 0 if there is none."""
        record = self._tables.meta.values.get(schema.SNAPSHOT_KEY)
        if record is not self._snapshot_record:
            self._snapshot_record = record
            value = _value_of(schema.SNAPSHOT_KEY, record)
            if record is None:
                self._snapshot_index = 0
            elif value is not None:
                self._snapshot_index = decode_snapshot(value).metadata.index
        return self._snapshot_index

    @property
    def membership(self) -> Membership:
        """Who was a member, as a node that starts on this disk would know it."""
        record = self._tables.meta.values.get(schema.MEMBERSHIP_KEY)
        if record is not self._membership_record:
            self._membership_record = record
            value = _value_of(schema.MEMBERSHIP_KEY, record)
            if record is None:
                self._membership = Membership()
            elif value is not None:
                self._membership = decode_membership(value)
        return self._membership

    def term(self, index: int) -> int | None:
        """Return the term of the entry at `index`; None if it is not there or cannot be read.

        The entry before the first one counts as there: its term is remembered.
        """
        state = self._current()
        if index == state.before_index:
            return state.before_term
        if not state.before_index < index <= state.last_index:
            return None
        keys = self._tables.log.keys
        at = bisect_right(keys, schema.pack_key(index)) - 1
        if at < 0:
            return None
        terms = self._terms_of(keys[at])
        offset = index - schema.unpack_key(keys[at], "the log")
        return terms[offset] if offset < len(terms) else None

    def _current(self) -> LogState:
        record = self._tables.meta.values.get(schema.STATE_KEY)
        if record is not self._state_record:
            self._state_record = record
            value = _value_of(schema.STATE_KEY, record)
            if record is None:
                self._state = LogState()
            elif value is not None:
                self._state = schema.decode_state(value).state
        return self._state

    def _terms_of(self, key: bytes) -> list[int]:
        value = self._tables.log.values[key]
        known = self._terms.get(key)
        if known is not None and known[0] is value:
            return known[1]
        first = schema.unpack_key(key, "the log")
        try:
            run = schema.unpack_run(first, value, "the log")
            terms = [run.entry(index, "the log").term for index in range(first, run.end)]
        except RaftifyError:
            terms = []
        if len(self._terms) > _KNOWN_RUNS:
            self._terms.clear()
        self._terms[key] = (value, terms)
        return terms


def _value_of(key: bytes, record: bytes | None) -> bytes | None:
    if record is None:
        return None
    try:
        return schema.unpack_record(key, record, "the log")
    except RaftifyError:
        return None
