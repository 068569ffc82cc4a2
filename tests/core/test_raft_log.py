"""The log: storage and its unstable end as one, and the pointers into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.raft_log import RaftLog
from raftify.errors import Compacted, InvariantViolation
from tests.core.logs import after_snapshot, log_of, snapshot
from tests.core.network import entries


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
    log.persisted = -1
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


def test_find_conflict_by_term_behind_a_snapshot() -> None:
    log = after_snapshot(5, 3, 3, 4)
    assert log.find_conflict_by_term(7, 3) == (6, 3)
    assert log.find_conflict_by_term(7, 2) == (4, 0)
    assert log.find_conflict_by_term(5, 3) == (5, 3)
    assert log.find_conflict_by_term(2, 3) == (2, 0)


def test_find_conflict_by_term_reads_few_of_many_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look per entry would keep a node busy for seconds where the uncommitted tail is long."""
    log = log_of(1, *[2] * 100_000)
    reads: list[int] = []

    def term(self: RaftLog, index: int, read: Callable[[RaftLog, int], int] = RaftLog.term) -> int:
        reads.append(index)
        return read(self, index)

    monkeypatch.setattr(RaftLog, "term", term)
    assert log.find_conflict_by_term(100_001, 1) == (1, 1)
    assert len(reads) < 25


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
