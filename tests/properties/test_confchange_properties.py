"""Configuration changes in any order: what they reach, and that no two quorums miss each other."""

from __future__ import annotations

from itertools import chain, combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from raftify.core.confchange import Changer, check_invariants, restore
from raftify.core.describe import describe_configuration
from raftify.core.tracker import ProgressTracker
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfState
from raftify.errors import ConfChangeRejected

IDS = range(1, 7)
SINGLES = st.builds(
    ConfChangeSingle, st.sampled_from(ConfChangeType), st.integers(min_value=0, max_value=6)
)
CHANGES = st.lists(SINGLES, max_size=6)
# Node 1 stays a voter, so that no step on the way can remove the last one.
CHANGES_OF_OTHERS = st.lists(
    st.builds(
        ConfChangeSingle, st.sampled_from(ConfChangeType), st.integers(min_value=2, max_value=6)
    ),
    max_size=8,
)
STEPS = st.tuples(st.sampled_from(["simple", "enter", "leave"]), CHANGES, st.booleans())
EVERY_SUBSET = [
    set(subset)
    for subset in chain.from_iterable(combinations(IDS, size) for size in range(len(IDS) + 1))
]


def tracker_of(*voters: int) -> ProgressTracker:
    made = ProgressTracker(max_inflight=4)
    restore(made, 1, ConfState(voters=voters))
    return made


def one_by_one(made: ProgressTracker, changes: list[ConfChangeSingle]) -> None:
    for change in changes:
        made.apply_conf(*Changer(made).simple([change]), 1)


def at_once(made: ProgressTracker, changes: list[ConfChangeSingle]) -> None:
    made.apply_conf(*Changer(made).enter_joint(changes, auto_leave=False), 1)
    made.apply_conf(*Changer(made).leave_joint(), 1)


@settings(deadline=None)
@given(CHANGES_OF_OTHERS, CHANGES_OF_OTHERS)
def test_a_joint_change_reaches_what_a_sequence_of_simple_ones_does(
    before: list[ConfChangeSingle], changes: list[ConfChangeSingle]
) -> None:
    simple, joint = tracker_of(1), tracker_of(1)
    one_by_one(simple, before)
    one_by_one(joint, before)
    one_by_one(simple, changes)
    at_once(joint, changes)
    assert describe_configuration(joint.conf) == describe_configuration(simple.conf)
    assert joint.progress.keys() == simple.progress.keys()


def take_step(made: ProgressTracker, step: tuple[str, list[ConfChangeSingle], bool]) -> None:
    verb, changes, auto_leave = step
    changer = Changer(made)
    if verb == "simple":
        result = changer.simple(changes)
    elif verb == "enter":
        result = changer.enter_joint(changes, auto_leave=auto_leave)
    else:
        result = changer.leave_joint()
    made.apply_conf(*result, 1)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=8))
def test_quorums_of_consecutive_configurations_always_meet(
    steps: list[tuple[str, list[ConfChangeSingle], bool]],
) -> None:
    """Else two leaders of one term, or a commit unseen by the next leader (thesis 4.1, 4.3)."""
    made = tracker_of(1, 2, 3)
    for step in steps:
        conf, progress = made.conf, dict(made.progress)
        before = [subset for subset in EVERY_SUBSET if made.has_quorum(subset)]
        try:
            take_step(made, step)
        except ConfChangeRejected:
            assert made.conf is conf
            assert made.progress == progress
            continue
        check_invariants(made.conf, made.progress)
        for quorum in before:
            assert not made.has_quorum(set(IDS) - quorum), describe_configuration(made.conf)


@settings(deadline=None)
@given(st.lists(STEPS, max_size=6))
def test_every_configuration_reached_survives_being_stored(
    steps: list[tuple[str, list[ConfChangeSingle], bool]],
) -> None:
    made = tracker_of(1, 2, 3)
    for step in steps:
        try:
            take_step(made, step)
        except ConfChangeRejected:
            continue
        restored = ProgressTracker(max_inflight=4)
        restore(restored, 1, made.conf.to_conf_state())
        assert restored.conf == made.conf
        assert list(restored.progress) == list(made.progress)
