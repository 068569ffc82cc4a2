"""What a leader knows of a follower, and how it learns (Raft paper 5.3; raft-rs Progress)."""

from __future__ import annotations

import pytest

from raftify.core.progress import Progress, ProgressState
from raftify.core.types import INVALID_INDEX
from raftify.errors import InvariantViolation

PROBE = ProgressState.PROBE
REPLICATE = ProgressState.REPLICATE
SNAPSHOT = ProgressState.SNAPSHOT


def progress(
    state: ProgressState, *, matched: int = 0, next_idx: int = 1, capacity: int = 4
) -> Progress:
    made = Progress(next_idx, capacity)
    made.state = state
    made.matched = matched
    return made


def test_a_new_progress_probes_and_knows_nothing() -> None:
    made = Progress(7, 4)
    assert (made.matched, made.next_idx, made.state) == (0, 7, PROBE)
    assert not made.is_paused()
    assert not made.recent_active
    assert (made.pending_snapshot, made.pending_request_snapshot) == (0, INVALID_INDEX)
    assert (made.committed_index, made.commit_group_id) == (0, 0)


def test_reset_starts_over_and_keeps_what_a_new_term_does_not_change() -> None:
    made = progress(REPLICATE, matched=3, next_idx=9)
    made.ins.add(8)
    made.paused = made.recent_active = True
    made.pending_request_snapshot = 5
    made.commit_group_id = 2
    made.committed_index = 3
    made.reset(11)
    assert (made.matched, made.next_idx, made.state) == (0, 11, PROBE)
    assert made.ins.count() == 0
    assert not made.is_paused()
    assert not made.recent_active
    assert made.pending_request_snapshot == INVALID_INDEX
    assert (made.commit_group_id, made.committed_index) == (2, 3)


@pytest.mark.parametrize(
    ("state", "paused", "expected"),
    [
        (PROBE, False, False),
        (PROBE, True, True),
        (REPLICATE, False, False),
        (REPLICATE, True, False),
        (SNAPSHOT, False, True),
        (SNAPSHOT, True, True),
    ],
)
def test_pausing_holds_back_probes_only(
    state: ProgressState, *, paused: bool, expected: bool
) -> None:
    made = progress(state)
    made.paused = paused
    assert made.is_paused() is expected


def test_replication_pauses_while_the_window_is_full() -> None:
    made = progress(REPLICATE, capacity=1)
    made.update_state(3)
    assert made.is_paused()
    made.ins.free_to(3)
    assert not made.is_paused()


def test_pause_and_resume() -> None:
    made = Progress(1, 4)
    made.pause()
    assert made.is_paused()
    made.resume()
    assert not made.is_paused()


@pytest.mark.parametrize(
    ("state", "pending_snapshot", "next_idx"),
    [
        pytest.param(REPLICATE, 0, 2, id="back to what matched"),
        pytest.param(SNAPSHOT, 10, 11, id="the snapshot arrived"),
        pytest.param(SNAPSHOT, 0, 2, id="the snapshot failed"),
    ],
)
def test_become_probe(state: ProgressState, pending_snapshot: int, next_idx: int) -> None:
    made = progress(state, matched=1, next_idx=5)
    made.pending_snapshot = pending_snapshot
    made.paused = True
    made.become_probe()
    assert (made.state, made.matched, made.next_idx) == (PROBE, 1, next_idx)
    assert made.pending_snapshot == 0
    assert not made.is_paused()


def test_a_probe_after_a_snapshot_does_not_go_back_behind_what_matched() -> None:
    made = progress(SNAPSHOT, matched=12)
    made.pending_snapshot = 10
    made.become_probe()
    assert made.next_idx == 13


def test_become_replicate_starts_behind_what_matched() -> None:
    made = progress(PROBE, matched=1, next_idx=5)
    made.pause()
    made.become_replicate()
    assert (made.state, made.matched, made.next_idx) == (REPLICATE, 1, 2)
    assert not made.is_paused()


def test_become_snapshot_stops_sending_and_forgets_what_was_in_flight() -> None:
    made = progress(REPLICATE, matched=1, next_idx=5)
    made.ins.add(4)
    made.become_snapshot(10)
    assert (made.state, made.matched, made.pending_snapshot) == (SNAPSHOT, 1, 10)
    assert made.ins.count() == 0
    assert made.is_paused()


def test_a_failed_snapshot_leads_back_to_what_matched() -> None:
    made = progress(SNAPSHOT, matched=4)
    made.pending_snapshot = 10
    made.snapshot_failure()
    made.become_probe()
    assert made.next_idx == 5


@pytest.mark.parametrize(
    ("state", "matched", "expected"),
    [
        (SNAPSHOT, 9, False),
        (SNAPSHOT, 10, True),
        (SNAPSHOT, 11, True),
        (PROBE, 11, False),
    ],
)
def test_a_snapshot_is_caught_up_once_appends_reach_its_index(
    state: ProgressState, matched: int, *, expected: bool
) -> None:
    made = progress(state, matched=matched)
    made.pending_snapshot = 10
    assert made.is_snapshot_caught_up() is expected


@pytest.mark.parametrize(
    ("index", "matched", "next_idx", "is_news"),
    [(2, 3, 5, False), (3, 3, 5, False), (4, 4, 5, True), (5, 5, 6, True), (9, 9, 10, True)],
)
def test_maybe_update_never_goes_back(
    index: int, matched: int, next_idx: int, *, is_news: bool
) -> None:
    made = progress(PROBE, matched=3, next_idx=5)
    made.pause()
    assert made.maybe_update(index) is is_news
    assert (made.matched, made.next_idx) == (matched, next_idx)
    assert made.is_paused() is not is_news


def test_an_old_acknowledgement_still_moves_a_probe_that_went_too_far_back() -> None:
    made = progress(PROBE, matched=5, next_idx=3)
    assert not made.maybe_update(5)
    assert made.next_idx == 6


def test_the_committed_index_never_falls() -> None:
    made = Progress(1, 4)
    made.update_committed(5)
    made.update_committed(3)
    assert made.committed_index == 5


def test_optimistic_update_assumes_that_all_will_arrive() -> None:
    made = Progress(1, 4)
    made.optimistic_update(5)
    assert made.next_idx == 6


@pytest.mark.parametrize(
    ("state", "matched", "next_idx", "rejected", "match_hint", "in_date", "expected_next"),
    [
        pytest.param(REPLICATE, 5, 10, 5, 5, False, 10, id="replicate: matched since"),
        pytest.param(REPLICATE, 5, 10, 4, 4, False, 10, id="replicate: below what matched"),
        pytest.param(REPLICATE, 5, 10, 9, 9, True, 6, id="replicate: back to matched + 1"),
        pytest.param(PROBE, 0, 0, 0, 0, False, 0, id="probe: nothing was sent"),
        pytest.param(PROBE, 0, 10, 5, 5, False, 10, id="probe: answers an earlier probe"),
        pytest.param(PROBE, 0, 10, 9, 9, True, 9, id="probe: one back"),
        pytest.param(PROBE, 0, 2, 1, 1, True, 1, id="probe: one back to the first"),
        pytest.param(PROBE, 0, 1, 0, 0, True, 1, id="probe: never before the first"),
        pytest.param(PROBE, 0, 10, 9, 2, True, 3, id="probe: behind the hint"),
        pytest.param(PROBE, 0, 10, 9, 0, True, 1, id="probe: the hint is nothing"),
        pytest.param(PROBE, 5, 6, 5, 2, True, 3, id="probe: late rejection of what matched"),
    ],
)
def test_maybe_decr_to(
    state: ProgressState,
    matched: int,
    next_idx: int,
    rejected: int,
    match_hint: int,
    in_date: bool,
    expected_next: int,
) -> None:
    """The leader finds where the logs agree by going back on each rejection (5.3)."""
    made = progress(state, matched=matched, next_idx=next_idx)
    made.pause()
    assert made.maybe_decr_to(rejected, match_hint, INVALID_INDEX) is in_date
    assert (made.matched, made.next_idx) == (matched, expected_next)
    assert made.paused is (not in_date or state is REPLICATE)


@pytest.mark.parametrize(
    ("state", "rejected", "in_date"),
    [
        (REPLICATE, 4, False),
        (REPLICATE, 5, True),
        (REPLICATE, 9, True),
        (PROBE, 1, True),
        (PROBE, 9, True),
    ],
)
def test_a_request_for_a_snapshot_leaves_the_next_index(
    state: ProgressState, rejected: int, *, in_date: bool
) -> None:
    made = progress(state, matched=5, next_idx=10)
    assert made.maybe_decr_to(rejected, 0, 7) is in_date
    assert made.next_idx == 10
    assert made.pending_request_snapshot == (7 if in_date else INVALID_INDEX)


@pytest.mark.parametrize(("state", "pending"), [(PROBE, 7), (REPLICATE, 8)])
def test_a_second_request_for_a_snapshot(state: ProgressState, pending: int) -> None:
    """While probing the first request stands; a replicating follower's newer one replaces it."""
    made = progress(state, matched=5, next_idx=10)
    made.maybe_decr_to(9, 0, 7)
    made.maybe_decr_to(9, 0, 8)
    assert made.pending_request_snapshot == pending


def test_sending_while_replicating_moves_on_and_fills_the_window() -> None:
    made = progress(REPLICATE, matched=3, next_idx=4)
    made.update_state(6)
    made.update_state(9)
    assert made.next_idx == 10
    assert made.ins.count() == 2


def test_sending_while_probing_pauses_and_stays() -> None:
    made = progress(PROBE, next_idx=4)
    made.update_state(6)
    assert made.is_paused()
    assert made.next_idx == 4
    assert made.ins.count() == 0


def test_sending_while_a_snapshot_is_on_its_way_is_a_bug() -> None:
    made = progress(PROBE, next_idx=4)
    made.become_snapshot(10)
    with pytest.raises(InvariantViolation, match=r"up to index 6 .* snapshot at index 10"):
        made.update_state(6)
