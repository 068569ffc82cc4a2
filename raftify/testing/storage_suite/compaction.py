"""Discarding the entries that a snapshot covers."""

from __future__ import annotations

import pytest

from raftify.core.types import HardState
from raftify.errors import (
    Compacted,
    StorageError,
)
from raftify.storage import StableStorage, WriteBatch
from raftify.testing.storage_suite.base import Cases
from raftify.testing.storage_suite.making import make_entries, make_snapshot


class CompactionCases(Cases):
    """The log's head moves, its tail stays."""

    def test_compaction_discards_what_lies_before(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 12), hard_state=HardState(1, 1, 11)))
        storage.write(WriteBatch(entries=make_entries(12, 20, term=2)))
        storage.save_snapshot(make_snapshot(storage, 11))
        for first in (5, 6, 12):
            storage.compact(first)
            assert (storage.first_index(), storage.last_index()) == (first, 19)
            assert storage.term(first - 1) == 1
            with pytest.raises(Compacted):
                storage.entries(first - 1, 15)
            with pytest.raises(Compacted):
                storage.term(first - 2)
            assert len(storage.entries(first, 20)) == 20 - first
        storage.write(WriteBatch(entries=make_entries(15, 18, term=3)))
        assert storage.entries(12, 18) == [
            *make_entries(12, 15, term=2),
            *make_entries(15, 18, term=3),
        ]

    def test_only_what_a_snapshot_covers_is_discarded(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 19)))
        storage.save_snapshot(make_snapshot(storage, 10))
        with pytest.raises(StorageError, match="take a snapshot first"):
            storage.compact(12)
        storage.compact(11)
        for first in (2, 11):
            with pytest.raises(Compacted):
                storage.compact(first)
        assert storage.entries(11, 20) == make_entries(11, 20)

    def test_a_log_may_be_discarded_whole(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 19)))
        storage.save_snapshot(make_snapshot(storage, 19))
        storage.compact(20)
        assert (storage.first_index(), storage.last_index(), storage.term(19)) == (20, 19, 1)
        storage.write(WriteBatch(entries=make_entries(20, 23, term=2)))
        assert storage.entries(20, 23) == make_entries(20, 23, term=2)
