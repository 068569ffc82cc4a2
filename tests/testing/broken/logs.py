"""Stores that are broken in how they keep entries and hard state, each with the case it fails."""

from __future__ import annotations

import threading
from dataclasses import replace

from raftify.core.types import Entry, HardState, RaftState
from raftify.errors import Compacted, InvariantViolation, Unavailable
from raftify.peers import Membership
from raftify.storage import StoreIdentity, WriteBatch
from raftify.storage.log_state import initial_log
from raftify.storage.mem_storage import _View
from tests.testing.broken.kept import KeptStorage


class KeepsATruncatedTail(KeptStorage):
    """New entries replace old ones, but those behind them stay."""

    caught_by = "test_a_new_leaders_entries_replace_a_conflicting_tail"

    def write(self, batch: WriteBatch) -> None:
        before = self._current()
        super().write(batch)
        after = self._current()
        tail = before.entries[after.state.last_index + 1 - before.first :]
        if batch.snapshot is None and tail:
            entries = [*after.entries, *tail]
            self._view = _View(
                replace(after.state, last_index=entries[-1].index), entries, after.first
            )


class ReadsAcrossAHole(KeptStorage):
    """Entries that would leave a gap are taken, and read as if there were none."""

    caught_by = "test_a_write_that_breaks_the_log_changes_nothing"

    def write(self, batch: WriteBatch) -> None:
        view = self._current()
        if batch.entries and batch.entries[0].index > view.state.last_index + 1:
            entries = [*view.entries, *batch.entries]
            self._view = _View(
                replace(view.state, last_index=entries[-1].index), entries, view.first
            )
            return
        super().write(batch)


class ForgetsTheVote(KeptStorage):
    """The term is kept, but not who was voted for in it."""

    caught_by = "test_state_and_membership_change_with_the_entries"

    def initial_state(self) -> RaftState:
        found = super().initial_state()
        return RaftState(
            HardState(found.hard_state.term, 0, found.hard_state.commit), found.conf_state
        )


class TakesBackItsVote(KeptStorage):
    """A second vote in one term is written like the first."""

    caught_by = "test_a_write_that_breaks_the_log_changes_nothing"

    def write(self, batch: WriteBatch) -> None:
        state = self._current().state.hard_state
        if batch.hard_state is not None and batch.hard_state.term == state.term:
            self.change(hard_state=HardState(state.term, 0, state.commit))
        super().write(batch)


class GoesBackATerm(KeptStorage):
    """A lower term is written like a higher one."""

    caught_by = "test_a_write_that_breaks_the_log_changes_nothing"

    def write(self, batch: WriteBatch) -> None:
        state = self._current().state.hard_state
        if batch.hard_state is not None and batch.hard_state.term < state.term:
            self.change(hard_state=HardState(0, 0, state.commit))
        super().write(batch)


class CommitsLess(KeptStorage):
    """The commit index is what was written last, be it lower."""

    caught_by = "test_what_is_committed_never_moves_back"

    def write(self, batch: WriteBatch) -> None:
        super().write(batch)
        if batch.hard_state is not None:
            self.change(hard_state=batch.hard_state)


class OverwritesWhatIsCommitted(KeptStorage):
    """Committed entries are replaced like others."""

    caught_by = "test_a_write_that_breaks_the_log_changes_nothing"

    def write(self, batch: WriteBatch) -> None:
        state = self._current().state.hard_state
        if batch.entries and batch.entries[0].index <= state.commit:
            self.change(hard_state=HardState(state.term, state.vote, batch.entries[0].index - 1))
        super().write(batch)


class WritesHardStateByItself(KeptStorage):
    """First the hard state, then the rest: a batch that fails leaves half of it."""

    caught_by = "test_a_write_that_breaks_the_log_changes_nothing"

    def write(self, batch: WriteBatch) -> None:
        entries, batch.entries = batch.entries, ()
        try:
            super().write(batch)
        finally:
            batch.entries = entries
        super().write(WriteBatch(entries=entries))


class CallsCompactedUnavailable(KeptStorage):
    """What was discarded is reported like what is not there yet: no snapshot would be sent."""

    caught_by = "test_what_is_outside_the_log_is_named"

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        try:
            return super().entries(low, high, max_size_bytes)
        except Compacted as error:
            raise Unavailable(str(error)) from error


class ReadsPastTheEnd(KeptStorage):
    """Beyond the last entry it returns what there is, instead of saying so."""

    caught_by = "test_what_is_outside_the_log_is_named"

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        return super().entries(low, min(high, self.last_index() + 1), max_size_bytes)


class IgnoresTheMaxSize(KeptStorage):
    """However little is asked for, all is returned."""

    caught_by = "test_as_many_entries_as_fit_but_at_least_one"

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        return super().entries(low, high)


class ReturnsNothingIfTheFirstIsTooLarge(KeptStorage):
    """An entry above the limit is never returned: replication would stand still."""

    caught_by = "test_as_many_entries_as_fit_but_at_least_one"

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        return [] if max_size_bytes == 0 else super().entries(low, high, max_size_bytes)


class WritesMembershipWithoutEntries(KeptStorage):
    """A membership that comes together with entries is forgotten."""

    caught_by = "test_state_and_membership_change_with_the_entries"

    def write(self, batch: WriteBatch) -> None:
        super().write(replace(batch, membership=None) if batch.entries else batch)


class TakesAnInitializationTwice(KeptStorage):
    """Initialized again, it begins anew, and has forgotten its votes."""

    caught_by = "test_a_store_is_initialized_once"

    def initialize(self, identity: StoreIdentity, membership: Membership) -> None:
        try:
            super().initialize(identity, membership)
        except InvariantViolation:
            state = initial_log(membership)
            self._view = _View(state, [], state.last_index + 1)


class TakesAnotherOwner(KeptStorage):
    """Whoever comes next is its owner."""

    caught_by = "test_a_store_is_initialized_once"

    def initialize(self, identity: StoreIdentity, membership: Membership) -> None:
        self._identity = None
        super().initialize(identity, membership)


class WritesForNobody(KeptStorage):
    """It takes votes before it knows whose they are."""

    caught_by = "test_nobody_may_write_to_a_store_that_is_nobodys"

    def write(self, batch: WriteBatch) -> None:
        if self.identity() is None and batch.hard_state is not None:
            self.change(hard_state=batch.hard_state)
            return
        super().write(batch)


class ShowsHalfAWrite(KeptStorage):
    """A reader may see the new entries before the old ones are gone."""

    caught_by = "test_readers_see_the_state_before_a_write_or_after_it"

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, batch: WriteBatch) -> None:
        super().write(batch)
        with self._written:
            self._written.notify_all()

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        if threading.current_thread() is threading.main_thread():
            return super().entries(low, high, max_size_bytes)
        middle = (low + high) // 2
        found = super().entries(low, middle)
        with self._written:
            # The writer's turn between the two halves; it may be done already.
            self._written.wait(timeout=0.5)
        return [*found, *super().entries(middle, high)]


ALL = [
    KeepsATruncatedTail, ReadsAcrossAHole, ForgetsTheVote, TakesBackItsVote, GoesBackATerm,
    CommitsLess, OverwritesWhatIsCommitted, WritesHardStateByItself, CallsCompactedUnavailable,
    ReadsPastTheEnd, IgnoresTheMaxSize, ReturnsNothingIfTheFirstIsTooLarge,
    WritesMembershipWithoutEntries, TakesAnInitializationTwice, TakesAnotherOwner,
    WritesForNobody, ShowsHalfAWrite,
]  # fmt: skip
