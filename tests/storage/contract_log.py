"""The storage contract: a new store, and entries with the state that belongs to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftify.core.entry_size import limit_size
from raftify.core.types import NO_LIMIT, HardState, RaftState, Snapshot, SnapshotMetadata
from raftify.errors import (
    Compacted,
    InvariantViolation,
    SnapshotTemporarilyUnavailable,
    StorageError,
    StorageForeign,
    Unavailable,
)
from raftify.peers import Membership, Peer
from raftify.records import SnapshotDescriptor
from raftify.storage import StableStorage, WriteBatch
from raftify.wire.codec import encode_entry
from tests.storage.contract_base import Backend, NeedsBackend, contents
from tests.storage.making import IDENTITY, MEMBERS, make_entries


class LogContract(NeedsBackend):
    # -- a new store ------------------------------------------------------------------------

    def test_a_new_store_is_empty(self, backend: Backend) -> None:
        storage = backend.open()
        assert contents(storage) == (None, RaftState(), Membership(), Snapshot(), {}, 1, 0, [])
        with pytest.raises(SnapshotTemporarilyUnavailable):
            storage.snapshot(0, 0)

    def test_nobody_may_write_to_a_store_that_is_nobodys(self, backend: Backend) -> None:
        storage = backend.open()
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

    def test_a_joiner_begins_with_nothing(self, backend: Backend) -> None:
        storage = backend.open()
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

    # -- entries ----------------------------------------------------------------------------

    def test_entries_are_read_as_they_were_written(self, storage: StableStorage) -> None:
        entries = [*make_entries(2, 6), *make_entries(6, 9, term=3)]
        storage.write(WriteBatch(entries=entries[:3]))
        storage.write(WriteBatch(entries=entries[3:]))
        assert (storage.first_index(), storage.last_index()) == (2, 8)
        for low in range(2, 10):
            for high in range(low, 10):
                assert storage.entries(low, high) == entries[low - 2 : high - 2]
        assert [storage.term(index) for index in range(1, 9)] == [1, 1, 1, 1, 1, 3, 3, 3]

    def test_what_entries_cache_as_their_wire_form_is_right(self, storage: StableStorage) -> None:
        """They are encoded once, for the disk and for every peer."""
        storage.write(WriteBatch(entries=make_entries(2, 4)))
        for entry, again in zip(storage.entries(2, 4), make_entries(2, 4), strict=True):
            assert encode_entry(entry) == encode_entry(again)

    def test_what_is_outside_the_log_is_named(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 5)))
        for low in (0, 1):
            with pytest.raises(Compacted):
                storage.entries(low, 3)
        with pytest.raises(Unavailable):
            storage.entries(2, 6)
        with pytest.raises(Compacted):
            storage.term(0)
        with pytest.raises(Unavailable):
            storage.term(5)

    @pytest.mark.parametrize("limit", [None, 0, 1, 33, 34, 35, 99, 100, 1 << 20, NO_LIMIT])
    def test_as_many_entries_as_fit_but_at_least_one(
        self, storage: StableStorage, limit: int | None
    ) -> None:
        entries = [entry for i in range(2, 12) for entry in make_entries(i, i + 1, size=i * 3)]
        storage.write(WriteBatch(entries=entries))
        for low in range(2, 12):
            expected = limit_size(entries[low - 2 :], limit)
            assert storage.entries(low, 12, limit) == expected

    def test_a_new_leaders_entries_replace_a_conflicting_tail(self, storage: StableStorage) -> None:
        """Raft paper, figure 2, AppendEntries receiver, step 3."""
        storage.write(WriteBatch(entries=make_entries(2, 10)))
        storage.write(WriteBatch(entries=make_entries(6, 8, term=2)))
        assert storage.last_index() == 7
        assert storage.entries(2, 8) == [*make_entries(2, 6), *make_entries(6, 8, term=2)]
        storage.write(WriteBatch(entries=make_entries(2, 3, term=3)))
        assert storage.entries(2, 3) == make_entries(2, 3, term=3)
        assert (storage.last_index(), storage.term(2)) == (2, 3)

    @pytest.mark.parametrize(
        ("batch", "words"),
        [
            (WriteBatch(entries=make_entries(6, 8, term=2)), "gap"),
            (WriteBatch(entries=[*make_entries(5, 6), *make_entries(7, 8)]), "gaps"),
            (WriteBatch(entries=make_entries(3, 5, term=2)), "overwrite what is committed"),
            (WriteBatch(entries=make_entries(5, 6, term=1)), "term would fall"),
            (WriteBatch(hard_state=HardState(1, 1, 3)), "term would go back"),
            (WriteBatch(hard_state=HardState(2, 3, 3)), "vote in term 2 would change"),
            (WriteBatch(hard_state=HardState(2, 2, 5)), "cannot be committed"),
            (
                WriteBatch(entries=make_entries(5, 7, term=2), hard_state=HardState(1, 1, 3)),
                "term would go back",
            ),
        ],
    )
    def test_a_write_that_breaks_the_log_changes_nothing(
        self, storage: StableStorage, batch: WriteBatch, words: str
    ) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 3), hard_state=HardState(2, 2, 2)))
        storage.write(WriteBatch(entries=make_entries(3, 5, term=2), hard_state=HardState(2, 2, 3)))
        before = contents(storage)
        with pytest.raises(InvariantViolation, match=words):
            storage.write(batch)
        assert contents(storage) == before

    def test_state_and_membership_change_with_the_entries(self, storage: StableStorage) -> None:
        """Term, vote and log are one state (Raft paper, figure 2, persistent state)."""
        grown = MEMBERS.with_configuration(
            replace(MEMBERS.conf_state, learners=(4,)), [Peer(4, "127.0.0.1:6004")], index=2
        )
        storage.write(
            WriteBatch(
                entries=make_entries(2, 5, term=7),
                hard_state=HardState(7, 3, 2),
                membership=grown,
            )
        )
        assert storage.initial_state() == RaftState(HardState(7, 3, 2), grown.conf_state)
        assert storage.membership() == grown
        storage.write(WriteBatch(must_sync=False))
        assert storage.initial_state() == RaftState(HardState(7, 3, 2), grown.conf_state)

    def test_what_is_committed_never_moves_back(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 9), hard_state=HardState(1, 1, 7)))
        storage.write(WriteBatch(hard_state=HardState(2, 0, 4), must_sync=False))
        assert storage.initial_state().hard_state == HardState(2, 0, 7)
