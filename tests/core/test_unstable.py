"""The end of the log that is not written yet."""

from __future__ import annotations

import pytest

from raftify.core.entry_size import approximate_size
from raftify.core.types import Snapshot, SnapshotMetadata
from raftify.core.unstable import Unstable
from raftify.errors import InvariantViolation
from tests.core.network import entries


def unstable(offset: int, *terms: int, snapshot: tuple[int, int] | None = None) -> Unstable:
    made = Unstable(offset)
    made.entries = entries(*[(offset + i, term) for i, term in enumerate(terms)], data=b"xyz")
    made.entries_size = approximate_size(made.entries)
    if snapshot is not None:
        made.snapshot = Snapshot(metadata=SnapshotMetadata(index=snapshot[0], term=snapshot[1]))
    return made


def check_size(log: Unstable) -> None:
    assert log.entries_size == approximate_size(log.entries)


def test_first_index_is_known_only_with_a_snapshot() -> None:
    assert unstable(5, 1).maybe_first_index() is None
    assert unstable(5).maybe_first_index() is None
    assert unstable(5, 1, snapshot=(4, 1)).maybe_first_index() == 5
    assert unstable(5, snapshot=(4, 1)).maybe_first_index() == 5


def test_last_index_is_the_last_entrys_or_the_snapshots() -> None:
    assert unstable(5, 1, 1).maybe_last_index() == 6
    assert unstable(5, 1, snapshot=(4, 1)).maybe_last_index() == 5
    assert unstable(5, snapshot=(4, 1)).maybe_last_index() == 4
    assert unstable(0).maybe_last_index() is None


@pytest.mark.parametrize(
    ("log", "index", "term"),
    [
        (unstable(5, 1, 2), 4, None),
        (unstable(5, 1, 2), 5, 1),
        (unstable(5, 1, 2), 6, 2),
        (unstable(5, 1, 2), 7, None),
        (unstable(5, 3, snapshot=(4, 2)), 5, 3),
        (unstable(5, 3, snapshot=(4, 2)), 4, 2),
        (unstable(5, 3, snapshot=(4, 2)), 3, None),
        (unstable(5, snapshot=(4, 2)), 5, None),
        (unstable(5, snapshot=(4, 2)), 4, 2),
        (unstable(0), 5, None),
    ],
)
def test_term(log: Unstable, index: int, term: int | None) -> None:
    assert log.maybe_term(index) == term


def test_restore_forgets_entries_and_begins_after_the_snapshot() -> None:
    log = unstable(5, 1, 1, snapshot=(4, 1))
    snapshot = Snapshot(metadata=SnapshotMetadata(index=6, term=2))
    log.restore(snapshot)
    assert (log.offset, log.entries, log.entries_size) == (7, [], 0)
    assert log.snapshot is snapshot


@pytest.mark.parametrize(
    ("written", "offset", "left"),
    [
        ((5, 1), 6, [2, 2]),
        ((7, 2), 8, []),
        # Overwritten while it was written: what is here now is not what storage has.
        ((6, 1), 5, [1, 2, 2]),
        ((4, 1), 5, [1, 2, 2]),
        ((8, 2), 5, [1, 2, 2]),
    ],
)
def test_what_was_written_leaves_and_what_came_since_stays(
    written: tuple[int, int], offset: int, left: list[int]
) -> None:
    log = unstable(5, 1, 2, 2)
    log.stable_entries(*written)
    assert log.offset == offset
    assert [entry.term for entry in log.entries] == left
    check_size(log)


def test_a_newer_snapshot_stays_when_the_older_is_written() -> None:
    """tikv#9349: a second snapshot arrives before the first is persisted."""
    log = unstable(5, snapshot=(4, 1))
    seen = []
    for written in (3, 4, 4):
        log.stable_snap(written)
        seen.append(log.snapshot is not None)
    assert seen == [True, False, False]


@pytest.mark.parametrize(
    ("log", "new", "offset", "terms"),
    [
        # Right behind the end.
        (unstable(5, 1), [(6, 1), (7, 1)], 5, [1, 1, 1]),
        (unstable(5), [(5, 1)], 5, [1]),
        # In place of everything, at or before the offset.
        (unstable(5, 1), [(5, 2), (6, 2)], 5, [2, 2]),
        (unstable(5, 1), [(4, 2), (5, 2), (6, 2)], 4, [2, 2, 2]),
        (unstable(5), [(3, 2)], 3, [2]),
        # In place of the end.
        (unstable(5, 1, 1, 1), [(6, 2)], 5, [1, 2]),
        (unstable(5, 1, 1, 1), [(7, 2), (8, 2)], 5, [1, 1, 2, 2]),
    ],
)
def test_appending_replaces_what_follows(
    log: Unstable, new: list[tuple[int, int]], offset: int, terms: list[int]
) -> None:
    log.truncate_and_append(entries(*new, data=b"longer"))
    assert log.offset == offset
    assert [entry.term for entry in log.entries] == terms
    assert [entry.index for entry in log.entries] == [offset + i for i in range(len(terms))]
    check_size(log)


def test_a_gap_is_refused() -> None:
    with pytest.raises(InvariantViolation, match="gap"):
        unstable(5, 1).truncate_and_append(entries((7, 1)))


def test_slice_returns_a_list_of_its_own() -> None:
    log = unstable(5, 1, 2, 3)
    part = log.slice(6, 8)
    assert [entry.term for entry in part] == [2, 3]
    part.clear()
    assert len(log.entries) == 3
    assert log.slice(6, 6) == []


@pytest.mark.parametrize(("low", "high"), [(4, 6), (5, 9), (7, 6)])
def test_slice_out_of_bounds(low: int, high: int) -> None:
    with pytest.raises(InvariantViolation, match="in memory"):
        unstable(5, 1, 2, 3).slice(low, high)
