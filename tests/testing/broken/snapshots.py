"""Stores that are broken in how they keep snapshots and discard entries."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import BinaryIO

from raftify.core.types import HardState, Snapshot
from raftify.errors import Compacted, SnapshotOutOfDate, SnapshotTemporarilyUnavailable
from raftify.records import SnapshotDescriptor, SnapshotSink
from raftify.storage import WriteBatch
from raftify.storage.log_state import decode_descriptor
from raftify.storage.mem_storage import _View
from tests.testing.broken.kept import KeptStorage


class CountsWronglyAfterAPurge(KeptStorage):
    """The first index is that of the last entry discarded."""

    caught_by = "test_compaction_discards_what_lies_before"

    def first_index(self) -> int:
        first = super().first_index()
        return first - 1 if first > 2 else first


class ForgetsTheTermBeforeTheLog(KeptStorage):
    """At the index just before the first entry no term is known: appends would not fit."""

    caught_by = "test_compaction_discards_what_lies_before"

    def term(self, index: int) -> int:
        if index > 1 and index < self.first_index():
            raise Compacted(f"entry {index} was discarded")
        return super().term(index)


class HasAWrongTermAtTheSnapshot(KeptStorage):
    """The term at the snapshot's index is that of the last vote."""

    caught_by = "test_a_snapshot_of_another_history_replaces_the_log"

    def term(self, index: int) -> int:
        if index == self.latest_snapshot().metadata.index and index > 1:
            return self.initial_state().hard_state.term - 1
        return super().term(index)


class CompactsBeyondTheSnapshot(KeptStorage):
    """It discards what no snapshot covers: the state could never be had again."""

    caught_by = "test_only_what_a_snapshot_covers_is_discarded"

    def compact(self, first_index: int) -> None:
        view = self._current()
        if first_index > view.state.before_index + 1:
            state = replace(
                view.state, before_index=first_index - 1, before_term=self.term(first_index - 1)
            )
            self._view = _View(state, view.entries[first_index - view.first :], first_index)
            return
        super().compact(first_index)


class SavesAnOlderSnapshot(KeptStorage):
    """The latest snapshot is the one that was saved last, be it older."""

    caught_by = "test_a_snapshot_that_is_not_of_this_log_is_refused"

    def save_snapshot(self, snapshot: Snapshot) -> None:
        try:
            super().save_snapshot(snapshot)
        except SnapshotOutOfDate:
            self.change(snapshot=snapshot)


class InstallsAnOlderSnapshot(KeptStorage):
    """A received snapshot replaces a newer one."""

    caught_by = "test_an_older_snapshot_is_refused"

    def write(self, batch: WriteBatch) -> None:
        try:
            super().write(batch)
        except SnapshotOutOfDate:
            self.change(snapshot=batch.snapshot)


class ServesHalfASnapshot(KeptStorage):
    """A reader gets only the first half of the file."""

    caught_by = "test_a_saved_snapshot_is_the_latest"

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO:
        with super().open_snapshot(snapshot) as file:
            data = file.read()
        return io.BytesIO(data[: (len(data) + 1) // 2])


class TakesAFileOutOfAReadersHands(KeptStorage):
    """A snapshot's file is emptied when a newer one is saved, also while it is being read."""

    caught_by = "test_a_snapshot_being_read_outlives_its_successor"
    _reading: io.BytesIO | None = None

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO:
        with super().open_snapshot(snapshot) as file:
            self._reading = io.BytesIO(file.read())
        return self._reading

    def save_snapshot(self, snapshot: Snapshot) -> None:
        super().save_snapshot(snapshot)
        if self._reading is not None and not self._reading.closed:
            self._reading.truncate(0)


class TakesAnyFile(KeptStorage):
    """The size and checksum of a snapshot's file are never looked at."""

    caught_by = "test_a_snapshot_whose_file_is_wrong_is_refused"

    def _check_file(self, snapshot: Snapshot) -> None:
        """Find nothing."""


class ReplacesTheFileInUse(KeptStorage):
    """Another file under the id of the latest takes its place."""

    caught_by = "test_the_file_in_use_is_never_replaced_by_another"

    def put_in_place(self, file_id: str, data: bytes) -> None:
        self._files[file_id] = data


class ShowsUnfinishedFiles(KeptStorage):
    """A file is there as soon as it was begun."""

    caught_by = "test_a_sink_shows_nothing_before_it_is_finished"

    def create_snapshot_sink(self, file_id: str = "") -> SnapshotSink:
        if file_id:
            self._files[file_id] = b""
        return super().create_snapshot_sink(file_id)


class NeverRemovesARefusedFile(KeptStorage):
    """A snapshot that was refused lies on the disk for ever."""

    caught_by = "test_a_refused_snapshot_does_not_lie_for_ever"

    def _adopt(self, before: Snapshot, after: Snapshot) -> None:
        old, new = decode_descriptor(before).file_id, decode_descriptor(after).file_id
        if old != new:
            self._files.pop(old, None)


class KeepsATailOfAnotherHistory(KeptStorage):
    """What lies behind a received snapshot stays, whoever's history it is."""

    caught_by = "test_a_snapshot_of_another_history_replaces_the_log"

    def write(self, batch: WriteBatch) -> None:
        before = self._current()
        super().write(batch)
        after = self._current()
        if batch.snapshot is not None and not batch.entries and not after.entries:
            tail = before.entries[after.first - before.first :]
            last = after.state.last_index + len(tail)
            self._view = _View(replace(after.state, last_index=last), tail, after.first)


class DropsATailOfTheSameHistory(KeptStorage):
    """A received snapshot empties the log even where it agrees: acknowledged entries are lost."""

    caught_by = "test_a_snapshot_of_the_same_history_keeps_the_tail"

    def write(self, batch: WriteBatch) -> None:
        super().write(batch)
        view = self._current()
        if batch.snapshot is not None and not batch.entries:
            state = replace(view.state, last_index=view.state.before_index)
            self._view = _View(state, [], state.before_index + 1)


class LeavesMembershipInTheSnapshot(KeptStorage):
    """A joiner that is filled by a snapshot does not learn who the members are."""

    caught_by = "test_a_joiner_is_filled_by_a_snapshot"

    def write(self, batch: WriteBatch) -> None:
        before = self._current().state.membership
        super().write(batch)
        if batch.snapshot is not None and batch.membership is None:
            self.change(membership=before)


class CommitsLessThanItsSnapshot(KeptStorage):
    """A snapshot leaves the commit index where it was: the log begins behind it one day."""

    caught_by = "test_what_a_snapshot_covers_counts_as_committed"

    def save_snapshot(self, snapshot: Snapshot) -> None:
        before = self._current().state.hard_state
        super().save_snapshot(snapshot)
        self.change(hard_state=HardState(before.term, before.vote, before.commit))


class GivesASnapshotToStrangers(KeptStorage):
    """A follower gets a snapshot whose configuration lacks it, and refuses it for ever."""

    caught_by = "test_a_snapshot_that_does_not_serve_is_not_given"

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        return super().snapshot(request_index, 0)


class HidesItsFoundingSnapshot(KeptStorage):
    """Before the first snapshot of its own it gives none: nobody could join a new cluster."""

    caught_by = "test_a_founder_begins_at_index_1_of_term_1"

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        found = super().snapshot(request_index, to)
        if SnapshotDescriptor.decode(found.data).file_id == "":
            raise SnapshotTemporarilyUnavailable("no snapshot yet")
        return found


ALL = [
    CountsWronglyAfterAPurge, ForgetsTheTermBeforeTheLog, HasAWrongTermAtTheSnapshot,
    CompactsBeyondTheSnapshot, SavesAnOlderSnapshot, InstallsAnOlderSnapshot, ServesHalfASnapshot,
    TakesAFileOutOfAReadersHands, TakesAnyFile, ReplacesTheFileInUse, ShowsUnfinishedFiles,
    NeverRemovesARefusedFile, KeepsATailOfAnotherHistory, DropsATailOfTheSameHistory,
    LeavesMembershipInTheSnapshot, CommitsLessThanItsSnapshot, GivesASnapshotToStrangers,
    HidesItsFoundingSnapshot,
]  # fmt: skip
