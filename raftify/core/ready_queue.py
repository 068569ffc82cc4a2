"""The Readies under way: what was handed out, what is being written, what is durable."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from raftify.core.raft_core import RaftCore
from raftify.core.ready import LightReady, Ready
from raftify.core.replication import on_persist_entries
from raftify.core.types import Entry, HardState, Role
from raftify.errors import InvariantViolation, LogTemporarilyUnavailable


@dataclass(slots=True)
class _Record:
    """What is remembered of a Ready until it is durable: (index, term) of what it writes."""

    number: int
    first_index: int = 0
    last_entry: tuple[int, int] | None = None
    snapshot_index: int = 0


class ReadyQueue:
    """raft-rs's bookkeeping of Readies.

    At most one Ready is open: handed out, and not closed by an advance call. Closed ones wait in
    `_records` until they are durable. `handed_out` is the index up to which committed entries were
    given to be applied.
    """

    __slots__ = (
        "_awaits_entries",
        "_core",
        "_last_number",
        "_open_number",
        "_persisted_number",
        "_prev_hs",
        "_prev_ss",
        "_records",
        "_vote_number",
        "handed_out",
    )

    def __init__(self, core: RaftCore, applied: int) -> None:
        self._core = core
        self._prev_ss = core.soft_state()
        self._prev_hs = core.hard_state()
        self._records: deque[_Record] = deque()
        self._last_number = 0
        self._open_number = 0
        self._persisted_number = 0
        # The latest Ready that changed term or vote.
        self._vote_number = 0
        # Storage is fetching the entries to be applied next.
        self._awaits_entries = False
        self.handed_out = applied

    def has_ready(self) -> bool:
        """Say whether there is anything to hand out."""
        core = self._core
        unstable = core.raft_log.unstable
        return bool(
            core.msgs
            or unstable.entries
            or unstable.snapshot is not None
            or core.read_states
            or core.dropped_reads
            or self._state_changed()
            or (not self._awaits_entries and core.raft_log.has_next_entries_since(self.handed_out))
        )

    def _state_changed(self) -> bool:
        """Say whether soft or hard state differ from what was handed out.

        Field by field: it is asked after every step, and two objects to compare cost twice as much.
        """
        core = self._core
        soft, hard = self._prev_ss, self._prev_hs
        return (
            core.raft_log.committed != hard.commit
            or core.term != hard.term
            or core.vote != hard.vote
            or core.role is not soft.raft_state
            or core.leader_id != soft.leader_id
        )

    # -- handing out ------------------------------------------------------------------------

    def open(self) -> Ready:
        """Return a Ready with everything that is to be done."""
        if self._open_number:
            raise InvariantViolation(
                f"Ready {self._open_number} was not closed with one of the advance calls"
            )
        core = self._core
        self._last_number += 1
        self._open_number = self._last_number
        ready = Ready(number=self._last_number)
        self._fill_states(ready)
        self._fill_log(ready)
        ready.committed_entries = self._take_committed()
        if self._may_leave_at_once():
            ready.messages, core.msgs = core.msgs, []
        else:
            ready.persisted_messages, core.msgs = core.msgs, []
        return ready

    def _fill_states(self, ready: Ready) -> None:
        core = self._core
        soft_state = core.soft_state()
        if soft_state != self._prev_ss:
            ready.ss = soft_state
        hard_state = core.hard_state()
        previous = self._prev_hs
        if hard_state != previous:
            ready.hs = hard_state
            if (hard_state.term, hard_state.vote) != (previous.term, previous.vote):
                ready.must_sync = True
                self._vote_number = ready.number
        if core.read_states:
            ready.read_states, core.read_states = core.read_states, []
        if core.dropped_reads:
            ready.dropped_reads, core.dropped_reads = core.dropped_reads, []

    def _fill_log(self, ready: Ready) -> None:
        record = _Record(ready.number)
        self._records.append(record)
        unstable = self._core.raft_log.unstable
        if unstable.snapshot is not None:
            index = unstable.snapshot.metadata.index
            if index < self.handed_out:
                raise InvariantViolation(
                    f"a snapshot at {index} would undo entries that were handed out to be applied "
                    f"(up to {self.handed_out})"
                )
            ready.snapshot = unstable.snapshot
            ready.must_sync = True
            record.snapshot_index = index
            self.handed_out = index
        if unstable.entries:
            ready.entries = unstable.entries.copy()
            ready.must_sync = True
            last = unstable.entries[-1]
            record.first_index = unstable.offset
            record.last_entry = (last.index, last.term)

    def _may_leave_at_once(self) -> bool:
        """Say whether messages need not wait for the disk: those of a leader (thesis 10.2.1).

        But not before its own term and vote are durable. A leader elected by its own vote alone
        could else forget the term, be elected in it again, and send other entries in its name
        (raft-rs lets them go). It may even have been elected while a Ready was open.
        """
        core, handed_out = self._core, self._prev_hs
        return (
            core.role is Role.LEADER
            and self._vote_number <= self._persisted_number
            and (core.term, core.vote) == (handed_out.term, handed_out.vote)
        )

    def _take_committed(self) -> list[Entry]:
        if self._awaits_entries:
            return []
        core = self._core
        try:
            entries = core.raft_log.next_entries_since(
                self.handed_out, core.max_committed_size_per_ready
            )
        except LogTemporarilyUnavailable:
            self._awaits_entries = True
            return []
        if entries:
            core.reduce_uncommitted_size(entries)
            self.handed_out = entries[-1].index
        return entries

    def on_entries_fetched(self) -> None:
        """Try again to hand out committed entries."""
        self._awaits_entries = False

    # -- closing ----------------------------------------------------------------------------

    def close(self, ready: Ready) -> None:
        """Close the open Ready: storage shows what it wrote."""
        if ready.number != self._open_number:
            raise InvariantViolation(
                f"Ready {ready.number} cannot be closed: the open one is {self._open_number}"
            )
        self._open_number = 0
        if ready.ss is not None:
            self._prev_ss = ready.ss
        if ready.hs is not None:
            self._prev_hs = ready.hs
        record = self._records[-1]
        unstable = self._core.raft_log.unstable
        if record.snapshot_index:
            unstable.stable_snap(record.snapshot_index)
        if record.last_entry is not None:
            unstable.stable_entries(*record.last_entry)

    def on_persist(self, number: int) -> None:
        """Note that all Readies up to `number` are durable."""
        if number > self._last_number or number == self._open_number:
            raise InvariantViolation(f"Ready {number} cannot be durable: it was not closed yet")
        self._persisted_number = max(self._persisted_number, number)
        last_entry: tuple[int, int] | None = None
        snapshot_index = 0
        while self._records and self._records[0].number <= number:
            record = self._records.popleft()
            if record.snapshot_index:
                # What was written before belongs to the log that the snapshot replaced.
                snapshot_index = record.snapshot_index
                last_entry = None
            if record.last_entry is not None:
                last_entry = record.last_entry
        if snapshot_index:
            self._core.raft_log.maybe_persist_snap(snapshot_index)
        if last_entry is not None and not self._is_rewritten(last_entry[0]):
            on_persist_entries(self._core, *last_entry)

    def _is_rewritten(self, index: int) -> bool:
        """Say whether a write still under way replaces the entry at `index`.

        Storage shows that entry already, and it may even be of the same term; but what is durable
        is about to go, and a crash in the middle of the writes would leave neither.
        """
        return any(0 < record.first_index <= index for record in self._records)

    def close_durable(self, ready: Ready) -> LightReady:
        """Close the open Ready, which is durable as are all before; return what may follow."""
        self.close(ready)
        self.on_persist(ready.number)
        core = self._core
        light = LightReady(committed_entries=self._take_committed())
        if self._may_leave_at_once():
            light.messages, core.msgs = core.msgs, []
        committed = core.raft_log.committed
        if committed > self._prev_hs.commit:
            light.commit_index = committed
            self._prev_hs = HardState(self._prev_hs.term, self._prev_hs.vote, committed)
        return light
