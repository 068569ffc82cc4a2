"""What every StableStorage must do: a test class to derive from, with a fixture `backend`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import pytest

from raftify.core.entry_size import limit_size
from raftify.core.types import NO_LIMIT, Entry, HardState, RaftState, Snapshot, SnapshotMetadata
from raftify.errors import (
    Compacted,
    InvariantViolation,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    StorageDamaged,
    StorageError,
    StorageForeign,
    Unavailable,
)
from raftify.peers import Membership, Peer
from raftify.records import SnapshotDescriptor
from raftify.storage import StableStorage, StoreIdentity, WriteBatch
from raftify.wire.codec import encode_entry
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot


class Backend(Protocol):
    """Where a store lies. `open` opens it, made new the first time; the test closes it."""

    def open(self) -> StableStorage: ...


def contents(storage: StableStorage) -> object:
    """Return everything that a store is asked for, to compare two of them."""
    first, last = storage.first_index(), storage.last_index()
    return (
        storage.identity(),
        storage.initial_state(),
        storage.membership(),
        storage.latest_snapshot(),
        storage.known_incarnations(),
        first,
        storage.term(first - 1),
        storage.entries(first, last + 1),
    )


class StorageContract:
    """Derive, and give a fixture `backend` that returns a Backend."""

    @pytest.fixture
    def storage(self, backend: Backend) -> StableStorage:
        """A store of node 1, a founder of three: its log begins after index 1."""
        storage = backend.open()
        storage.initialize(IDENTITY, MEMBERS)
        return storage

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

    # -- snapshots of our own making --------------------------------------------------------

    def test_a_saved_snapshot_is_the_latest(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        data = bytes(range(256)) * 10_000
        snapshot = make_snapshot(storage, 12, data=data)
        storage.save_snapshot(snapshot)
        assert storage.latest_snapshot() == storage.snapshot(12, 2) == snapshot
        with storage.open_snapshot(snapshot) as file:
            assert file.read(5) + file.read() == data
            file.seek(256)
            assert file.read(256) == data[:256]
        assert (storage.first_index(), storage.last_index()) == (2, 19)

    @pytest.mark.parametrize(("request_index", "to"), [(13, 0), (13, 2), (0, 4), (12, 9)])
    def test_a_snapshot_that_does_not_serve_is_not_given(
        self, storage: StableStorage, request_index: int, to: int
    ) -> None:
        """It ends too early, or its configuration lacks the follower, which would refuse it."""
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        storage.save_snapshot(make_snapshot(storage, 12))
        with pytest.raises(SnapshotTemporarilyUnavailable):
            storage.snapshot(request_index, to)

    def test_what_a_snapshot_covers_counts_as_committed(self, storage: StableStorage) -> None:
        """The commit index may be written late; a log must not begin after what it calls
        committed (cockroachdb/cockroach#2886, etcd-io/etcd#5664)."""
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 3)))
        storage.save_snapshot(make_snapshot(storage, 12))
        assert storage.initial_state().hard_state == HardState(1, 1, 12)
        storage.compact(13)
        assert storage.initial_state().hard_state == HardState(1, 1, 12)

    def test_a_snapshot_that_is_not_of_this_log_is_refused(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        storage.save_snapshot(make_snapshot(storage, 12))
        before = contents(storage)
        with pytest.raises(SnapshotOutOfDate):
            storage.save_snapshot(make_snapshot(storage, 11))
        with pytest.raises(InvariantViolation):
            storage.save_snapshot(make_snapshot(storage, 20))
        with pytest.raises(InvariantViolation):
            storage.save_snapshot(make_snapshot(storage, 14, term=2))
        assert contents(storage) == before

    def test_a_snapshot_being_read_outlives_its_successor(self, storage: StableStorage) -> None:
        """etcd-io/etcd#20657: a file collected while it was being applied."""
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        old = make_snapshot(storage, 12, data=b"old" * 1_000_000)
        storage.save_snapshot(old)
        with storage.open_snapshot(old) as file:
            assert file.read(3) == b"old"
            storage.save_snapshot(make_snapshot(storage, 13, data=b"new"))
            assert file.read() == b"old" * 999_999
        with pytest.raises(SnapshotOutOfDate):
            storage.open_snapshot(old)

    def test_a_sink_shows_nothing_before_it_is_finished(self, storage: StableStorage) -> None:
        sink = storage.create_snapshot_sink("given1")
        assert sink.write(b"half") == 4
        half = SnapshotDescriptor("given1", 4, 0, MEMBERS)
        unfinished = Snapshot(half.encode(), SnapshotMetadata(MEMBERS.conf_state, 5, 1))
        with pytest.raises(SnapshotOutOfDate):
            storage.open_snapshot(unfinished)
        sink.abort()
        sink.abort()
        with pytest.raises(StorageError):
            sink.write(b"more")
        with pytest.raises(StorageError):
            sink.finish()

    def test_aborting_a_finished_sink_keeps_the_file(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        sink = storage.create_snapshot_sink("given2")
        sink.write(b"all")
        file_id, size, crc32 = sink.finish()
        sink.abort()
        assert (file_id, size) == ("given2", 3)
        descriptor = SnapshotDescriptor(file_id, size, crc32, MEMBERS)
        metadata = SnapshotMetadata(MEMBERS.conf_state, 5, 1)
        storage.save_snapshot(Snapshot(descriptor.encode(), metadata))
        with storage.open_snapshot(storage.latest_snapshot()) as file:
            assert file.read() == b"all"

    def test_the_file_in_use_is_never_replaced_by_another(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        snapshot = make_snapshot(storage, 5, data=b"truth", file_id="same")
        storage.save_snapshot(snapshot)
        again = make_snapshot(storage, 5, data=b"truth", file_id="same")
        with pytest.raises(StorageError):
            make_snapshot(storage, 5, data=b"lies!", file_id="same")
        for one in (snapshot, again):
            with storage.open_snapshot(one) as file:
                assert file.read() == b"truth"

    def test_a_snapshot_whose_file_is_wrong_is_refused(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        good = make_snapshot(storage, 12)
        descriptor = SnapshotDescriptor.decode(good.data)
        before = contents(storage)
        for wrong in (
            replace(descriptor, file_id="gone"),
            replace(descriptor, size_bytes=descriptor.size_bytes + 1),
            replace(descriptor, crc32=descriptor.crc32 ^ 1),
        ):
            snapshot = Snapshot(wrong.encode(), good.metadata)
            with pytest.raises(StorageDamaged):
                storage.save_snapshot(snapshot)
            with pytest.raises(StorageDamaged):
                storage.write(WriteBatch(snapshot=snapshot))
        assert contents(storage) == before

    def test_a_refused_snapshot_does_not_lie_for_ever(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 50), hard_state=HardState(1, 1, 49)))
        refused = make_snapshot(storage, 40)
        for index in range(5, 35):
            storage.save_snapshot(make_snapshot(storage, index))
        with pytest.raises(SnapshotOutOfDate):
            storage.open_snapshot(refused)

    def test_a_received_snapshot_may_wait_while_one_of_our_own_is_saved(
        self, storage: StableStorage
    ) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
        received = make_snapshot(storage, 100, term=2, data=b"received")
        storage.save_snapshot(make_snapshot(storage, 12))
        storage.save_snapshot(make_snapshot(storage, 13))
        storage.write(WriteBatch(snapshot=received))
        with storage.open_snapshot(storage.latest_snapshot()) as file:
            assert file.read() == b"received"

    # -- compaction -------------------------------------------------------------------------

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

    # -- received snapshots -----------------------------------------------------------------

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

    def test_a_joiner_is_filled_by_a_snapshot(self, backend: Backend) -> None:
        """The membership comes with it, whether or not the batch names it."""
        storage = backend.open()
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

    # -- the rest ---------------------------------------------------------------------------

    def test_incarnations_are_remembered_until_forgotten(self, storage: StableStorage) -> None:
        storage.remember_incarnation(2, "two")
        storage.remember_incarnation(3, "three")
        storage.remember_incarnation(3, "three")
        storage.remember_incarnation(4, "")
        assert storage.known_incarnations() == {2: "two", 3: "three"}
        storage.remember_incarnation(2, "")
        storage.remember_incarnation(3, "drei")
        assert storage.known_incarnations() == {3: "drei"}

    def test_a_closed_store_refuses_everything(self, storage: StableStorage) -> None:
        storage.write(WriteBatch(entries=make_entries(2, 20)))
        snapshot = storage.latest_snapshot()
        storage.close()
        storage.close()
        calls: list[Callable[[], object]] = [
            storage.identity,
            storage.membership,
            storage.initial_state,
            storage.first_index,
            storage.last_index,
            storage.latest_snapshot,
            storage.known_incarnations,
            storage.create_snapshot_sink,
            lambda: storage.entries(2, 3),
            lambda: storage.term(2),
            lambda: storage.snapshot(0, 0),
            lambda: storage.open_snapshot(snapshot),
            lambda: storage.initialize(IDENTITY, MEMBERS),
            lambda: storage.write(WriteBatch()),
            lambda: storage.save_snapshot(snapshot),
            lambda: storage.compact(2),
            lambda: storage.remember_incarnation(2, "x"),
        ]
        for call in calls:
            with pytest.raises(StorageError, match="closed"):
                call()

    def test_readers_see_the_state_before_a_write_or_after_it(self, storage: StableStorage) -> None:
        """The writer replaces tails and discards heads; no reader ever sees a mixture."""
        storage.write(WriteBatch(entries=make_entries(2, 60), hard_state=HardState(1, 1, 1)))
        faults: list[BaseException] = []
        stop = threading.Event()
        reads = 0

        def read() -> None:
            nonlocal reads
            try:
                while not stop.is_set():
                    _check_one_read(storage)
                    reads += 1
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                faults.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for term in range(2, 100):
            low = storage.first_index() + 2
            storage.write(
                WriteBatch(
                    entries=make_entries(low, low + 60, term),
                    hard_state=HardState(term, 1, low - 1),
                )
            )
            if term % 10 == 0:
                storage.save_snapshot(make_snapshot(storage, low - 1, storage.term(low - 1)))
                storage.compact(low)
        stop.set()
        for reader in readers:
            reader.join()
        assert faults == []
        assert reads > 0


def _check_one_read(storage: StableStorage) -> None:
    """Read the log; from the second entry after the last kept one on it is of one term."""
    first, last = storage.first_index(), storage.last_index()
    try:
        entries: list[Entry] = storage.entries(first, last + 1)
    except (Compacted, Unavailable):
        return
    assert [entry.index for entry in entries] == list(range(first, last + 1))
    terms = [entry.term for entry in entries]
    assert terms == sorted(terms)
    for entry in entries:
        assert entry.data.startswith(f"{entry.term}/{entry.index}/".encode())
    # Every write put 60 entries of its term at the end; a mixture would have fewer of the last.
    assert terms.count(terms[-1]) in (58, 59, 60)


class DurableStorageContract(StorageContract):
    """The same, and everything outlives closing and opening."""

    @pytest.fixture
    def storage(self, backend: Backend) -> StableStorage:
        """A founder's store, opened again."""
        storage = backend.open()
        storage.initialize(IDENTITY, MEMBERS)
        storage.close()
        return backend.open()

    def test_everything_outlives_reopening(self, backend: Backend) -> None:
        storage = backend.open()
        storage.initialize(IDENTITY, MEMBERS)
        steps: list[Callable[[StableStorage], object]] = [
            lambda s: s.write(WriteBatch(entries=make_entries(2, 30))),
            lambda s: s.write(WriteBatch(hard_state=HardState(1, 2, 20), must_sync=False)),
            lambda s: s.write(WriteBatch(entries=make_entries(25, 27, 2))),
            lambda s: s.write(WriteBatch(membership=replace(MEMBERS, index=20, max_id=9))),
            lambda s: s.remember_incarnation(2, "two"),
            lambda s: s.save_snapshot(make_snapshot(s, 10)),
            lambda s: s.compact(8),
            lambda s: s.write(WriteBatch(snapshot=make_snapshot(s, 22))),
            lambda s: s.write(WriteBatch(entries=make_entries(27, 29, 2))),
            lambda s: s.write(WriteBatch(snapshot=make_snapshot(s, 40, 3, b"x" * 100_000))),
            lambda s: s.write(WriteBatch(entries=make_entries(41, 45, 3))),
            lambda s: s.remember_incarnation(2, ""),
            lambda s: s.save_snapshot(make_snapshot(s, 44, 3)),
            lambda s: s.compact(45),
        ]
        for step in steps:
            step(storage)
            before = contents(storage)
            storage.close()
            storage = backend.open()
            assert contents(storage) == before
            descriptor = SnapshotDescriptor.decode(storage.latest_snapshot().data)
            with storage.open_snapshot(storage.latest_snapshot()) as file:
                assert len(file.read()) == descriptor.size_bytes

    def test_a_store_stays_its_owners(self, backend: Backend) -> None:
        storage = backend.open()
        storage.initialize(IDENTITY, MEMBERS)
        storage.close()
        storage = backend.open()
        with pytest.raises(StorageForeign):
            storage.initialize(StoreIdentity("stores", 2, "other"), MEMBERS)
