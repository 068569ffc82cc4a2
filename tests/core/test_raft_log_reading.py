"""What is read from the log, and what may be handed out to be applied."""

from __future__ import annotations

import pytest

from raftify.core.entry_size import entry_wire_size, fits, limit_size
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raft_log import RaftLog
from raftify.core.types import (
    NO_LIMIT,
    Entry,
    EntryType,
)
from raftify.errors import (
    Compacted,
    InvariantViolation,
    LogTemporarilyUnavailable,
    SnapshotTemporarilyUnavailable,
    Unavailable,
)
from raftify.wire.codec import encode_entry
from tests.core.logs import after_snapshot, log_of, snapshot
from tests.core.network import entries

# -- reading -----------------------------------------------------------------------------


@pytest.mark.parametrize("written", [0, 3, 5])
def test_slices_join_storage_and_the_unstable_end(written: int) -> None:
    log = log_of(1, 1, 2, 2, 3, written=written)
    assert [entry.index for entry in log.slice(2, 5)] == [2, 3, 4]
    assert log.slice(3, 3) == []
    assert [entry.index for entry in log.entries(4)] == [4, 5]
    assert log.entries(6) == []
    assert [entry.index for entry in log.all_entries()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("written", [0, 1, 3, 5])
@pytest.mark.parametrize(
    ("limit", "count"), [(0, 1), (1, 1), (4, 1), (8, 2), (12, 3), (20, 5), (999, 5)]
)
def test_slices_are_cut_at_the_wire_size_but_never_empty(
    written: int, limit: int, count: int
) -> None:
    log = log_of(1, 1, 1, 1, 1, written=written)
    assert entry_wire_size(log.all_entries()[0]) == 4
    assert len(log.entries(1, limit)) == count


def test_a_storage_that_gives_less_than_asked_ends_the_slice() -> None:
    log = log_of(1, 1, 1, 1, written=3)
    assert [entry.index for entry in log.slice(1, 5, 8)] == [1, 2]


def test_bounds_of_slices() -> None:
    log = after_snapshot(5, 2, 2)
    with pytest.raises(Compacted):
        log.slice(5, 7)
    with pytest.raises(InvariantViolation, match="in memory"):
        log.slice(6, 8)
    with pytest.raises(InvariantViolation, match="the log ends at 2"):
        log_of(1, 1, written=2).slice(1, 4)
    with pytest.raises(InvariantViolation, match="invalid range"):
        log.slice(7, 6)


def test_a_storage_that_forgot_entries_is_a_broken_invariant() -> None:
    class Forgetful(MemoryStorage):
        def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
            raise Unavailable("what?")

    storage = Forgetful()
    storage.append(entries((1, 1)))
    with pytest.raises(InvariantViolation, match="lacks entries"):
        RaftLog(storage).all_entries()


def test_entries_being_fetched_are_for_the_caller_to_wait_for() -> None:
    storage = MemoryStorage()
    storage.append(entries((1, 1)))
    storage.trigger_log_unavailable(True)
    with pytest.raises(LogTemporarilyUnavailable):
        RaftLog(storage).entries(1)


def test_scan_pages_through() -> None:
    log = log_of(1, 1, 1, written=2)
    pages = list(log.scan(1, 4, 0))
    assert [[entry.index for entry in page] for page in pages] == [[1], [2], [3]]
    assert list(log.scan(4, 4, 0)) == []


def test_a_pending_snapshot_serves_others_if_it_reaches_far_enough() -> None:
    log = log_of(1, 1, written=2)
    assert isinstance(log.store, MemoryStorage)
    log.store.commit_to_and_set_conf_states(2, None)
    pending = snapshot(5, 2)
    log.restore(pending)
    assert log.pending_snapshot() is pending
    assert log.snapshot(5, 2) is pending
    with pytest.raises(SnapshotTemporarilyUnavailable):
        log.snapshot(6, 2)
    log.restore(snapshot(6, 2))
    log.unstable.stable_snap(6)
    assert log.snapshot(2, 0).metadata.index == 2


# -- handing out -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "committed", "persisted", "unpersisted", "expected"),
    [
        (0, 3, 5, 0, [1, 2, 3]),
        (2, 3, 5, 0, [3]),
        (3, 3, 5, 0, []),
        # Committed by others, but not durable here yet.
        (0, 3, 1, 0, [1]),
        (0, 3, 0, 0, []),
        # Unless the option lets a leader apply first.
        (0, 3, 1, 1, [1, 2]),
        (0, 3, 1, 9, [1, 2, 3]),
    ],
)
def test_only_committed_and_durable_entries_are_handed_out(
    since: int, committed: int, persisted: int, unpersisted: int, expected: list[int]
) -> None:
    log = log_of(1, 1, 1, 1, 1, written=5)
    log.committed = committed
    log.persisted = persisted
    log.max_apply_unpersisted_log_limit = unpersisted
    assert [entry.index for entry in log.next_entries_since(since)] == expected
    assert log.has_next_entries_since(since) is bool(expected)


def test_nothing_before_a_snapshot_is_handed_out() -> None:
    log = after_snapshot(5, 2, 2)
    assert not log.has_next_entries_since(0)
    assert log.next_entries_since(0) == []


# -- sizes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        Entry(),
        Entry(index=1, term=1),
        Entry(EntryType.CONF_CHANGE_V2, term=1 << 40, index=(1 << 64) - 1),
        Entry(term=128, index=16384, data=b"x" * 127, context=b"y"),
        Entry(term=127, index=16383, data=b"x" * 128, context=b"y" * 16384),
    ],
)
def test_sizes_are_those_of_the_wire(entry: Entry) -> None:
    size = entry_wire_size(entry)
    assert size == len(encode_entry(entry))
    assert entry_wire_size(entry) == size, "the cached form counts the same"


def test_no_limit_means_none() -> None:
    many = entries((1, 1), (2, 1))
    assert limit_size(many, None) is many
    assert limit_size(many, NO_LIMIT) is many
    assert limit_size(many[:1], 0) == many[:1]
    assert fits(10**9, 5, None)
    assert fits(10**9, 1, 0)
    assert not fits(10**9, 2, 100)
