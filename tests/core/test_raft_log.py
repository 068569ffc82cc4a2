"""The log: storage and its unstable end as one, and the pointers into it."""

from __future__ import annotations

import pytest

from raftify.core.entry_size import entry_wire_size, fits, limit_size
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raft_log import RaftLog
from raftify.core.types import (
    NO_LIMIT,
    ConfState,
    Entry,
    EntryType,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import Compacted, InvariantViolation, LogTemporarilyUnavailable, Unavailable
from raftify.wire.codec import encode_entry
from tests.core.network import entries


def log_of(*terms: int, written: int = 0) -> RaftLog:
    """Return a log that begins at index 1; the first `written` entries are in storage."""
    storage = MemoryStorage()
    all_of_them = entries(*enumerate(terms, 1))
    storage.append(all_of_them[:written])
    log = RaftLog(storage)
    log.append(all_of_them[written:])
    return log


def snapshot(index: int, term: int) -> Snapshot:
    return Snapshot(metadata=SnapshotMetadata(ConfState((1, 2)), index, term))


def after_snapshot(index: int, term: int, *terms: int) -> RaftLog:
    storage = MemoryStorage()
    storage.apply_snapshot(snapshot(index, term))
    log = RaftLog(storage)
    log.append(entries(*enumerate(terms, index + 1)))
    return log


class Racing(MemoryStorage):
    """A storage that is compacted under the reader's hands."""

    def term(self, index: int) -> int:
        raise Compacted("gone")


# -- positions ---------------------------------------------------------------------------


def test_a_new_log_begins_where_storage_does() -> None:
    log = after_snapshot(5, 2)
    assert (log.first_index(), log.last_index(), log.last_term()) == (6, 5, 2)
    assert (log.committed, log.applied, log.persisted) == (5, 5, 5)
    assert str(log) == (
        "committed=5, persisted=5, applied=5, unstable.offset=6, unstable.entries.len()=0"
    )


@pytest.mark.parametrize("written", [0, 2, 3])
def test_term_is_the_same_wherever_the_entry_is(written: int) -> None:
    log = log_of(1, 2, 2, written=written)
    assert [log.term(i) for i in range(6)] == [0, 1, 2, 2, 0, 0]


def test_term_around_a_snapshot() -> None:
    log = after_snapshot(5, 2, 3)
    assert [log.term(i) for i in range(3, 9)] == [0, 0, 2, 3, 0, 0]


def test_term_around_a_pending_snapshot() -> None:
    log = log_of(1, 1, written=2)
    log.restore(snapshot(5, 4))
    assert [log.term(i) for i in (1, 2, 4, 5, 6)] == [0, 0, 0, 4, 0]
    assert (log.first_index(), log.last_index(), log.last_term()) == (6, 5, 4)


@pytest.mark.parametrize(
    ("last_index", "term", "expected"),
    [
        # The later last term wins, whatever the length (paper §5.4.1).
        (1, 3, True), (9, 1, False),
        # Equal terms: the longer log, or an equal one.
        (2, 2, False), (3, 2, True), (4, 2, True),
    ],
)  # fmt: skip
def test_is_up_to_date(last_index: int, term: int, expected: bool) -> None:
    assert log_of(1, 2, 2).is_up_to_date(last_index, term) is expected


def test_a_storage_without_its_own_end_is_a_broken_invariant() -> None:
    log = RaftLog(Racing())
    with pytest.raises(InvariantViolation, match="no term for its last index"):
        log.last_term()
    with pytest.raises(InvariantViolation, match="missing"):
        log.commit_info()
    assert not log.match_term(0, 0)
    assert log.find_conflict_by_term(0, 0) == (0, None)
    assert not log.maybe_persist(0, 1)


# -- appending ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "conflict"),
    [
        ([], 0),
        ([(1, 1), (2, 2), (3, 3)], 0),
        ([(2, 2), (3, 3)], 0),
        ([(1, 1), (2, 2), (3, 3), (4, 4), (5, 4)], 4),
        ([(4, 4)], 4),
        ([(1, 4), (2, 4)], 1),
        ([(2, 1), (3, 4)], 2),
        ([(3, 1), (4, 2)], 3),
    ],
)
def test_find_conflict(new: list[tuple[int, int]], conflict: int) -> None:
    assert log_of(1, 2, 3, written=2).find_conflict(entries(*new)) == conflict


@pytest.mark.parametrize(
    ("terms", "index", "term", "expected"),
    [
        # The log's own end, and every place before it, if the term is high enough.
        ((2, 2, 5, 5, 5), 5, 5, (5, 5)),
        ((2, 2, 5, 5, 5), 4, 9, (4, 5)),
        # Whole terms are skipped.
        ((2, 2, 5, 5, 5), 5, 4, (2, 2)),
        ((2, 2, 5, 5, 5), 5, 1, (0, 0)),
        ((4, 4, 4), 3, 3, (0, 0)),
        # Beyond the end nothing is known.
        ((2, 2), 3, 2, (3, None)),
    ],
)
def test_find_conflict_by_term(
    terms: tuple[int, ...], index: int, term: int, expected: tuple[int, int | None]
) -> None:
    assert log_of(*terms).find_conflict_by_term(index, term) == expected


@pytest.mark.parametrize(
    ("new", "terms", "offset"),
    [
        ([], [1, 2], 3),
        ([(3, 2)], [1, 2, 2], 3),
        ([(1, 2)], [2], 1),
        ([(2, 3), (3, 3)], [1, 3, 3], 2),
    ],
)
def test_append(new: list[tuple[int, int]], terms: list[int], offset: int) -> None:
    log = log_of(1, 2, written=2)
    assert log.append(entries(*new)) == len(terms)
    assert [entry.term for entry in log.all_entries()] == terms
    assert log.unstable.offset == offset


def test_what_is_committed_is_never_replaced() -> None:
    log = log_of(1, 1, 1)
    log.commit_to(2)
    with pytest.raises(InvariantViolation, match="committed"):
        log.append(entries((2, 2)))
    with pytest.raises(InvariantViolation, match="two leaders of a term"):
        log.maybe_append(1, 1, 2, entries((2, 2)))


@pytest.mark.parametrize(
    ("previous", "committed", "new", "expected", "commit"),
    [
        # The logs do not match there: nothing happens (paper §5.3).
        ((3, 2), 3, [(4, 4)], None, 1),
        ((4, 3), 3, [(5, 4)], None, 1),
        # They match: the commit index rises as far as what was sent, and never falls.
        ((3, 3), 3, [], (0, 3), 3),
        ((3, 3), 4, [], (0, 3), 3),
        ((3, 3), 2, [], (0, 3), 2),
        ((0, 0), 9, [], (0, 0), 1),
        ((3, 3), 3, [(4, 4)], (4, 4), 3),
        ((3, 3), 5, [(4, 4), (5, 4)], (4, 5), 5),
        ((3, 3), 5, [(4, 4)], (4, 4), 4),
        # What conflicts is replaced, and all that follows it.
        ((1, 1), 3, [(2, 4), (3, 4)], (2, 3), 3),
        # What is there already stays.
        ((1, 1), 1, [(2, 2)], (0, 2), 1),
    ],
)
def test_maybe_append(
    previous: tuple[int, int],
    committed: int,
    new: list[tuple[int, int]],
    expected: tuple[int, int] | None,
    commit: int,
) -> None:
    log = log_of(1, 2, 3, written=3)
    log.commit_to(1)
    assert log.maybe_append(*previous, committed, entries(*new)) == expected
    assert log.committed == commit
    if expected is not None and expected[0]:
        assert log.last_index() == previous[0] + len(new)
        assert log.persisted == expected[0] - 1


# -- pointers ----------------------------------------------------------------------------


def test_commit_index_rises_never_falls_and_stays_within_the_log() -> None:
    log = log_of(1, 2, 3)
    log.commit_to(2)
    log.commit_to(1)
    assert log.committed == 2
    assert log.commit_info() == (2, 2)
    with pytest.raises(InvariantViolation, match="lost entries that it had acknowledged"):
        log.commit_to(4)


def test_only_entries_of_the_given_term_commit() -> None:
    """Paper §5.4.2: what a quorum has of an earlier term does not commit by itself."""
    log = log_of(1, 2, 3)
    assert not log.maybe_commit(2, 3)
    assert log.maybe_commit(2, 2)
    assert not log.maybe_commit(2, 2)
    assert not log.maybe_commit(9, 0), "beyond the end, where the term reads 0"
    assert not log.maybe_commit(9, 3)
    assert log.committed == 2


def test_applied_stays_within_what_is_committed() -> None:
    log = log_of(1, 1, 1, written=3)
    log.commit_to(2)
    log.applied_to(0)
    log.applied_to(2)
    for wrong in (1, 3):
        with pytest.raises(InvariantViolation, match="out of range"):
            log.applied_to(wrong)


def test_persisted_follows_storage() -> None:
    log = log_of(1, 2, 2)
    assert not log.maybe_persist(2, 2), "not written yet"
    assert isinstance(log.store, MemoryStorage)
    log.store.append(log.unstable.entries[:2])
    log.unstable.stable_entries(2, 2)
    assert not log.maybe_persist(2, 1), "another entry was written there"
    assert log.maybe_persist(2, 2)
    assert not log.maybe_persist(2, 2), "known already"
    assert not log.maybe_persist(3, 2), "still unstable"


def test_an_entry_overwritten_and_sent_again_is_durable_only_after_its_second_write() -> None:
    """raft-rs, maybe_persist: A's entries, then C's in their place, then A's again."""
    log = log_of(1, written=1)
    log.append(entries((2, 1)))
    assert isinstance(log.store, MemoryStorage)
    log.store.append(entries((2, 1)))
    log.maybe_append(1, 1, 0, entries((2, 2)))
    log.maybe_append(1, 1, 0, entries((2, 1)))
    assert not log.maybe_persist(2, 1)
    assert log.persisted == 1


def test_a_persisted_snapshot_raises_persisted() -> None:
    log = log_of(1, written=1)
    log.restore(snapshot(5, 2))
    assert log.maybe_persist_snap(5)
    assert not log.maybe_persist_snap(5)
    with pytest.raises(InvariantViolation, match="only 5 is committed"):
        log.maybe_persist_snap(6)
    log.committed = 7
    with pytest.raises(InvariantViolation, match="unwritten entries"):
        log.maybe_persist_snap(6)


def test_restore_discards_everything_after_the_snapshot_too() -> None:
    """hashicorp/raft#697: a log kept beside an installed snapshot conflicts for ever."""
    log = log_of(1, 1, 1, written=3)
    log.commit_to(1)
    log.restore(snapshot(3, 2))
    assert (log.committed, log.persisted, log.last_index(), log.last_term()) == (3, 1, 3, 2)
    assert log.unstable.offset == 4
    with pytest.raises(InvariantViolation, match="would undo"):
        log.restore(snapshot(2, 2))


# -- starting ----------------------------------------------------------------------------


def test_a_stored_commit_index_may_lag_but_not_lead() -> None:
    log = after_snapshot(5, 2, 2)
    log.resume_commit(3)
    assert log.committed == 5
    log.resume_commit(6)
    assert log.committed == 6
    with pytest.raises(InvariantViolation, match="store lost entries"):
        log.resume_commit(7)


def test_what_was_applied_had_been_committed() -> None:
    """etcd#5664 and its kin: a commit index is not synced on its own, a state machine may be."""
    log = after_snapshot(5, 2, 2, 2)
    log.resume_applied(6, may_lead=False)
    assert (log.applied, log.committed) == (6, 6)
    with pytest.raises(InvariantViolation, match="store lost entries"):
        log.resume_applied(8, may_lead=False)
    log.resume_applied(8, may_lead=True)
    assert (log.applied, log.committed) == (8, 7)
    with pytest.raises(InvariantViolation, match="restore it from the snapshot first"):
        log.resume_applied(4, may_lead=False)


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
@pytest.mark.parametrize(("limit", "count"), [(0, 1), (1, 1), (4, 1), (8, 2), (12, 3), (99, 5)])
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
