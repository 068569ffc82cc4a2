"""Entries, and the state that is written with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftify.core.entry_size import limit_size
from raftify.core.types import NO_LIMIT, HardState, RaftState
from raftify.errors import (
    Compacted,
    InvariantViolation,
    Unavailable,
)
from raftify.peers import Peer
from raftify.storage import StableStorage, WriteBatch
from raftify.testing.storage_suite.base import Cases, contents
from raftify.testing.storage_suite.making import MEMBERS, make_entries
from raftify.wire.codec import encode_entry


class EntryCases(Cases):
    """Writing, replacing and reading entries; hard state and membership in the same batch."""

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
