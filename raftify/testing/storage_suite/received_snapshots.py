"""Snapshots that came from a leader."""

from __future__ import annotations

import pytest

from raftify.core.types import HardState, RaftState
from raftify.errors import (
    InvariantViolation,
    SnapshotOutOfDate,
)
from raftify.peers import Membership
from raftify.storage import StableStorage, WriteBatch
from raftify.testing.storage_suite.base import Cases, Place, contents
from raftify.testing.storage_suite.making import IDENTITY, MEMBERS, make_entries, make_snapshot


class ReceivedSnapshotCases(Cases):
    """What replaces the log, and how much of it."""

    def test_a_snapshot_of_the_same_history_keeps_the_tail(self, storage: StableStorage) -> None:
        """Raft paper, figure 13, step 6."""
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 2)))
        snapshot = make_snapshot(storage, 12)
        storage.write(WriteBatch(snapshot=snapshot, hard_state=HardState(1, 1, 12)))
        assert (storage.first_index(), storage.last_index()) == (13, 19)
        assert storage.term(12) == 1
        assert storage.entries(13, 20) == make_entries(13, 20)
        assert storage.latest_snapshot() == snapshot

    @pytest.mark.parametrize("index", [12, 19, 20, 1000])
    def test_a_snapshot_of_another_history_replaces_the_log(
        self, storage: StableStorage, index: int
    ) -> None:
        """Raft paper, figure 13, step 7; hashicorp/raft#697: a tail that stays is in the way for
        ever."""
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 2)))
        storage.write(WriteBatch(snapshot=make_snapshot(storage, index, term=3)))
        assert (storage.first_index(), storage.last_index()) == (index + 1, index)
        assert storage.term(index) == 3
        assert storage.initial_state().hard_state == HardState(3, 0, index)

    def test_entries_may_follow_a_snapshot_in_the_same_batch(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 2)))
        snapshot = make_snapshot(storage, 30, term=2)
        entries = make_entries(31, 40, term=2)
        state = HardState(3, 3, 35)
        storage.write(WriteBatch(snapshot=snapshot, entries=entries, hard_state=state))
        assert (storage.first_index(), storage.last_index()) == (31, 39)
        assert storage.entries(31, 40) == entries
        assert storage.initial_state().hard_state == state

    def test_a_joiner_is_filled_by_a_snapshot(self, place: Place) -> None:
        """The membership comes with it, whether or not the batch names it."""
        storage = place.open()
        storage.initialize(IDENTITY, Membership())
        storage.write(WriteBatch(snapshot=make_snapshot(storage, 50, term=4)))
        assert storage.membership() == MEMBERS
        assert storage.initial_state() == RaftState(HardState(4, 0, 50), MEMBERS.conf_state)
        assert storage.snapshot(50, 2).metadata.index == 50

    def test_an_older_snapshot_is_refused(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        storage.save_snapshot(make_snapshot(storage, 12))
        before = contents(storage)
        batch = WriteBatch(snapshot=make_snapshot(storage, 11), hard_state=HardState(5, 5, 15))
        with pytest.raises(SnapshotOutOfDate):
            storage.write(batch)
        assert contents(storage) == before

    def test_a_snapshot_never_takes_back_what_is_committed(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        with pytest.raises(InvariantViolation, match="contradicts"):
            storage.write(WriteBatch(snapshot=make_snapshot(storage, 12, term=2)))
