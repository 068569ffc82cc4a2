"""Any sequence of what a node may do to a store, against a plain list that does the same."""

from __future__ import annotations

import os
import tempfile

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from raftify.config import Config
from raftify.core.entry_size import limit_size
from raftify.core.types import Entry, HardState, SnapshotMetadata
from raftify.errors import Compacted, Unavailable
from raftify.storage import LmdbStorage, LogReader, MemStorage, StableStorage, WriteBatch
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot


class StorageMachine(RuleBasedStateMachine):
    """Drives one store; `self.log[i]` is the entry at `self.before + 1 + i`."""

    def __init__(self) -> None:
        super().__init__()
        self.storage = self.make()
        self.storage.initialize(IDENTITY, MEMBERS)
        self.before, self.before_term = 1, 1
        self.log: list[Entry] = []
        self.state = HardState(1, 0, 1)
        self.snapshot_index = 1
        self.snapshot_data = b""

    def make(self) -> StableStorage:
        return MemStorage.create()

    @property
    def last(self) -> int:
        return self.before + len(self.log)

    def term_of(self, index: int) -> int:
        return self.before_term if index == self.before else self.log[index - self.before - 1].term

    # -- what a node does -------------------------------------------------------------------

    @rule(
        back=st.integers(0, 12),
        count=st.integers(1, 25),
        new_term=st.booleans(),
        size=st.sampled_from([0, 20, 300, 70_000]),
        commit=st.integers(0, 30),
        vote=st.integers(1, 3),
    )
    def append(
        self, *, back: int, count: int, new_term: bool, size: int, commit: int, vote: int
    ) -> None:
        """Append, or replace the last entries that are not committed; commit some."""
        low = max(self.last + 1 - back, self.state.commit + 1)
        term = self.state.term + (new_term or low <= self.last)
        entries = make_entries(low, low + count, term, size if count < 4 else min(size, 300))
        if term == self.state.term:
            vote = self.state.vote
        self.log[low - self.before - 1 :] = entries
        new_commit = min(self.state.commit + commit, self.last)
        self.state = HardState(term, vote, new_commit)
        self.storage.write(WriteBatch(entries=entries, hard_state=self.state))

    @rule(vote=st.integers(0, 3))
    def campaign(self, vote: int) -> None:
        self.state = HardState(self.state.term + 1, vote, self.state.commit)
        self.storage.write(WriteBatch(hard_state=self.state))

    @precondition(lambda self: self.last > self.snapshot_index and self.last > self.before)
    @rule(data=st.data(), content=st.binary(max_size=200))
    def save_snapshot(self, data: st.DataObject, content: bytes) -> None:
        index = data.draw(st.integers(max(self.snapshot_index, self.before), self.last))
        self.snapshot_index, self.snapshot_data = index, content
        snapshot = make_snapshot(self.storage, index, self.term_of(index), content)
        self.storage.save_snapshot(snapshot)
        self.state = HardState(self.state.term, self.state.vote, max(self.state.commit, index))

    @precondition(lambda self: self.snapshot_index > self.before)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        first = data.draw(st.integers(self.before + 2, self.snapshot_index + 1))
        term = self.term_of(first - 1)
        del self.log[: first - 1 - self.before]
        self.before, self.before_term = first - 1, term
        self.storage.compact(first)

    @rule(ahead=st.integers(-10, 10), same=st.booleans(), count=st.integers(0, 3))
    def install(self, *, ahead: int, same: bool, count: int) -> None:
        """Receive a snapshot of this history or of another, perhaps with entries behind it."""
        index = max(self.last + ahead, self.state.commit, self.snapshot_index, self.before)
        held = index <= self.last
        must_agree = index <= self.state.commit
        term = self.term_of(index) if held and (same or must_agree) else self.state.term + 1
        if held and term == self.term_of(index):
            del self.log[: index - self.before]
        else:
            self.log = []
        self.before, self.before_term = index, term
        self.snapshot_index, self.snapshot_data = index, b"received"
        snapshot = make_snapshot(self.storage, index, term, b"received")
        vote = self.state.vote if term <= self.state.term else 0
        self.state = HardState(max(self.state.term, term), vote, index)
        entries = [] if self.log else make_entries(index + 1, index + 1 + count, self.state.term)
        self.log += entries
        self.storage.write(WriteBatch(snapshot=snapshot, entries=entries))

    @rule(first=st.integers(-3, 40), count=st.integers(0, 40), limit=st.integers(0, 2000))
    def read(self, first: int, count: int, limit: int) -> None:
        low = self.before + first
        high = low + count
        if low <= self.before:
            with pytest.raises(Compacted):
                self.storage.entries(low, high)
        elif high > self.last + 1:
            with pytest.raises(Unavailable):
                self.storage.entries(low, high)
        else:
            expected = self.log[low - self.before - 1 : high - self.before - 1]
            assert self.storage.entries(low, high) == expected
            assert self.storage.entries(low, high, limit) == limit_size(expected, limit)

    @invariant()
    def everything_is_as_in_the_model(self) -> None:
        storage = self.storage
        assert (storage.first_index(), storage.last_index()) == (self.before + 1, self.last)
        assert storage.initial_state().hard_state == self.state
        assert storage.entries(self.before + 1, self.last + 1) == self.log
        for index in (self.before, (self.before + self.last) // 2, self.last):
            assert storage.term(index) == self.term_of(index)
        metadata = SnapshotMetadata(
            MEMBERS.conf_state, self.snapshot_index, storage.latest_snapshot().metadata.term
        )
        assert storage.latest_snapshot().metadata == metadata
        with storage.open_snapshot(storage.latest_snapshot()) as file:
            assert file.read() == self.snapshot_data

    def teardown(self) -> None:
        self.storage.close()


class LmdbMachine(StorageMachine):
    """The same over LMDB, closed and opened again now and then, with a cache that evicts."""

    def __init__(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        super().__init__()

    def make(self) -> StableStorage:
        return LmdbStorage.create(self.directory.name, Config(entry_cache_bytes=8_000))

    @rule()
    def reopen(self) -> None:
        self.storage.close()
        with LogReader.open(self.directory.name) as reader:
            assert list(reader.verify()) == []
            assert list(reader.entries()) == self.log
        self.storage = self.make()

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


class RocksDbMachine(StorageMachine):
    def __init__(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        super().__init__()

    def make(self) -> StableStorage:
        rocksdb = pytest.importorskip("raftify.storage.rocksdb", reason="needs raftify[rocksdb]")
        storage: StableStorage = rocksdb.RocksDbStorage.create(
            self.directory.name, Config(entry_cache_bytes=8_000)
        )
        return storage

    @rule()
    def reopen(self) -> None:
        self.storage.close()
        self.storage = self.make()

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


#: RAFTIFY_SOAK multiplies how much is tried, for a run without hurry.
_EXAMPLES = 20 * int(os.environ.get("RAFTIFY_SOAK", "1"))
_SETTINGS = settings(max_examples=_EXAMPLES, stateful_step_count=40, deadline=None)

TestMemStorageModel = StorageMachine.TestCase
TestMemStorageModel.settings = _SETTINGS
TestLmdbStorageModel = LmdbMachine.TestCase
TestLmdbStorageModel.settings = _SETTINGS
TestRocksDbStorageModel = RocksDbMachine.TestCase
TestRocksDbStorageModel.settings = settings(_SETTINGS, max_examples=_EXAMPLES // 2)
