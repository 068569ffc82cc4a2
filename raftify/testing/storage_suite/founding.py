"""What a new store holds, and whose it becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftify.core.types import HardState, RaftState, Snapshot, SnapshotMetadata
from raftify.errors import (
    InvariantViolation,
    SnapshotTemporarilyUnavailable,
    StorageError,
    StorageForeign,
)
from raftify.peers import Membership
from raftify.records import SnapshotDescriptor
from raftify.storage import StableStorage, WriteBatch
from raftify.testing.storage_suite.base import Cases, Place, contents
from raftify.testing.storage_suite.making import IDENTITY, MEMBERS, make_entries


class FoundingCases(Cases):
    """A store from nothing to its first owner."""

    def test_a_new_store_is_empty(self, place: Place) -> None:
        storage = place.open()
        assert contents(storage) == (None, RaftState(), Membership(), Snapshot(), {}, 1, 0, [])
        with pytest.raises(SnapshotTemporarilyUnavailable):
            storage.snapshot(0, 0)

    def test_nobody_may_write_to_a_store_that_is_nobodys(self, place: Place) -> None:
        storage = place.open()
        with pytest.raises(StorageError, match="initialize"):
            storage.write(WriteBatch(hard_state=HardState(1, 1, 0)))
        assert storage.initial_state() == RaftState()

    def test_a_founder_begins_at_index_1_of_term_1(self, storage: StableStorage) -> None:
        assert storage.identity() == IDENTITY
        assert storage.membership() == MEMBERS
        assert storage.initial_state() == RaftState(HardState(1, 0, 1), MEMBERS.conf_state)
        assert (storage.first_index(), storage.last_index(), storage.term(1)) == (2, 1, 1)
        snapshot = storage.snapshot(1, 3)
        assert snapshot.metadata == SnapshotMetadata(MEMBERS.conf_state, 1, 1)
        descriptor = SnapshotDescriptor.decode(snapshot.data)
        assert descriptor == SnapshotDescriptor(membership=MEMBERS)
        with storage.open_snapshot(snapshot) as file:
            assert file.read() == b""

    def test_a_joiner_begins_with_nothing(self, place: Place) -> None:
        storage = place.open()
        storage.initialize(IDENTITY, Membership())
        assert storage.identity() == IDENTITY
        assert storage.initial_state() == RaftState()
        assert (storage.first_index(), storage.last_index(), storage.term(0)) == (1, 0, 0)
        storage.write(WriteBatch(entries=make_entries(1, 4), hard_state=HardState(1, 2, 3)))
        assert storage.entries(1, 4) == make_entries(1, 4)

    def test_a_store_is_initialized_once(self, storage: StableStorage) -> None:
        """Doing it again would forget a vote, and let this node vote twice in a term."""
        storage.write(WriteBatch(entries=make_entries(2, 5), hard_state=HardState(4, 2, 2)))
        before = contents(storage)
        with pytest.raises(InvariantViolation, match="already"):
            storage.initialize(IDENTITY, MEMBERS)
        for other in (replace(IDENTITY, node_id=2), replace(IDENTITY, cluster_id="x")):
            with pytest.raises(StorageForeign, match="belongs to node 1"):
                storage.initialize(other, MEMBERS)
        assert contents(storage) == before
