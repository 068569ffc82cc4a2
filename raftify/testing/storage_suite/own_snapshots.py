"""Snapshots that the node takes of its own state machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftify.core.types import HardState, Snapshot, SnapshotMetadata
from raftify.errors import (
    InvariantViolation,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    StorageDamaged,
    StorageError,
)
from raftify.records import SnapshotDescriptor
from raftify.storage import StableStorage, WriteBatch
from raftify.testing.storage_suite.base import Cases, contents
from raftify.testing.storage_suite.making import MEMBERS, make_entries, make_snapshot


class OwnSnapshotCases(Cases):
    """From the sink to the file that is served, and what is refused."""

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
