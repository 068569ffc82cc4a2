"""How one configuration becomes another (thesis 4.1 one at a time, 4.3 joint consensus)."""

from __future__ import annotations

import copy

import pytest

from raftify.core.confchange import Changer, check_invariants, restore
from raftify.core.describe import describe_configuration
from raftify.core.quorum import JointConfig, MajorityConfig
from raftify.core.tracker import Configuration, ProgressTracker
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfState
from raftify.errors import ConfChangeRejected, InvariantViolation

TYPES = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
}


def changes(text: str) -> list[ConfChangeSingle]:
    """`v1 l2 r3`: make 1 a voter, 2 a learner, remove 3."""
    return [ConfChangeSingle(TYPES[word[0]], int(word[1:])) for word in text.split()]


def tracker_of(conf_state: ConfState) -> ProgressTracker:
    made = ProgressTracker(max_inflight=4)
    restore(made, 1, conf_state)
    return made


def simple(made: ProgressTracker, text: str, next_idx: int = 1) -> str:
    made.apply_conf(*Changer(made).simple(changes(text)), next_idx)
    return describe_configuration(made.conf)


def enter_joint(made: ProgressTracker, text: str, *, auto_leave: bool = False) -> str:
    made.apply_conf(*Changer(made).enter_joint(changes(text), auto_leave=auto_leave), 1)
    return describe_configuration(made.conf)


def leave_joint(made: ProgressTracker) -> str:
    made.apply_conf(*Changer(made).leave_joint(), 1)
    return describe_configuration(made.conf)


@pytest.mark.parametrize(
    ("text", "result", "tracked"),
    [
        ("v3", "voters=(1 2 3) learners=(9)", [1, 2, 3, 9]),
        ("l3", "voters=(1 2) learners=(3 9)", [1, 2, 3, 9]),
        ("r2", "voters=(1) learners=(9)", [1, 9]),
        ("l2", "voters=(1) learners=(2 9)", [1, 2, 9]),
        ("v9", "voters=(1 2 9)", [1, 2, 9]),
        ("r9", "voters=(1 2)", [1, 2]),
        ("l9", "voters=(1 2) learners=(9)", [1, 2, 9]),
        ("v1", "voters=(1 2) learners=(9)", [1, 2, 9]),
        ("r7", "voters=(1 2) learners=(9)", [1, 2, 9]),
        ("l1 v1", "voters=(1 2) learners=(9)", [1, 2, 9]),
        ("v0 l0 r0", "voters=(1 2) learners=(9)", [1, 2, 9]),
        ("l3 l4 r9 v5", "voters=(1 2 5) learners=(3 4)", [1, 2, 3, 4, 5]),
        ("", "voters=(1 2) learners=(9)", [1, 2, 9]),
    ],
)
def test_simple_changes(text: str, result: str, tracked: list[int]) -> None:
    made = tracker_of(ConfState(voters=(1, 2), learners=(9,)))
    assert simple(made, text) == result
    assert list(made.progress) == tracked


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("v3 v4", "more than one voter changed without entering joint config"),
        ("r1 v3", "more than one voter changed without entering joint config"),
        ("l1 v9", "more than one voter changed without entering joint config"),
        ("r1 r2", "removed all voters"),
        ("l1 l2", "removed all voters"),
    ],
)
def test_simple_changes_that_are_refused_change_nothing(text: str, complaint: str) -> None:
    made = tracker_of(ConfState(voters=(1, 2), learners=(9,)))
    before = made.conf, dict(made.progress)
    with pytest.raises(ConfChangeRejected) as rejection:
        Changer(made).simple(changes(text))
    assert str(rejection.value) == complaint
    assert (made.conf, made.progress) == before


def test_a_configuration_begins_with_its_first_voter() -> None:
    made = ProgressTracker(max_inflight=4)
    assert simple(made, "v1 l2", next_idx=0) == "voters=(1) learners=(2)"


def test_a_configuration_of_learners_alone_is_refused() -> None:
    with pytest.raises(ConfChangeRejected, match="removed all voters"):
        Changer(ProgressTracker(max_inflight=4)).simple(changes("l1"))


def test_promotion_and_demotion_keep_the_progress() -> None:
    """A new Progress would send a snapshot or the whole log again."""
    made = tracker_of(ConfState(voters=(1, 2)))
    before = made.progress[2]
    simple(made, "l2")
    simple(made, "v2")
    assert made.progress[2] is before


def test_removal_and_readdition_in_one_change_starts_over() -> None:
    made = tracker_of(ConfState(voters=(1, 2)))
    before = made.progress[2]
    simple(made, "r2 v2", next_idx=8)
    assert made.progress[2] is not before
    assert made.progress[2].next_idx == 8


def test_a_joint_change_replaces_several_voters_at_once() -> None:
    made = tracker_of(ConfState(voters=(1, 2, 3)))
    assert enter_joint(made, "r2 r3 v4 v5 l6") == "voters=(1 4 5)&&(1 2 3) learners=(6)"
    assert list(made.progress) == [1, 2, 3, 4, 5, 6]
    assert leave_joint(made) == "voters=(1 4 5) learners=(6)"
    assert list(made.progress) == [1, 4, 5, 6]


def test_a_voter_demoted_in_a_joint_change_votes_until_it_is_left() -> None:
    made = tracker_of(ConfState(voters=(1, 2)))
    before = made.progress[2]
    assert enter_joint(made, "l2 v3") == "voters=(1 3)&&(1 2) learners_next=(2)"
    assert leave_joint(made) == "voters=(1 3) learners=(2)"
    assert made.progress[2] is before


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("l2 v2", "voters=(1 2)&&(1 2)"),
        ("l2 r2", "voters=(1)&&(1 2)"),
        ("r2 l2", "voters=(1)&&(1 2) learners_next=(2)"),
        ("l3 l3 r3 r3", "voters=(1 2)&&(1 2)"),
        ("r1 r2 r9 v2 v3", "voters=(2 3)&&(1 2)"),
        ("", "voters=(1 2)&&(1 2)"),
    ],
)
def test_within_a_joint_change_the_last_word_counts(text: str, result: str) -> None:
    assert enter_joint(tracker_of(ConfState(voters=(1, 2))), text) == result


def test_auto_leave_lasts_as_long_as_the_joint_configuration() -> None:
    made = tracker_of(ConfState(voters=(1,)))
    assert enter_joint(made, "v2", auto_leave=True) == "voters=(1 2)&&(1) autoleave"
    assert leave_joint(made) == "voters=(1 2)"


def test_only_a_joint_configuration_can_be_left() -> None:
    made = tracker_of(ConfState(voters=(1,)))
    with pytest.raises(ConfChangeRejected) as rejection:
        Changer(made).leave_joint()
    assert str(rejection.value) == "can't leave a non-joint config"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("", "config is already joint"), ("v9", "config is already joint")],
)
def test_a_joint_configuration_cannot_be_entered_twice(text: str, complaint: str) -> None:
    made = tracker_of(ConfState(voters=(1,)))
    enter_joint(made, "v2")
    with pytest.raises(ConfChangeRejected) as rejection:
        Changer(made).enter_joint(changes(text), auto_leave=False)
    assert str(rejection.value) == complaint


def test_no_simple_change_while_joint() -> None:
    made = tracker_of(ConfState(voters=(1,)))
    enter_joint(made, "v2")
    with pytest.raises(ConfChangeRejected) as rejection:
        Changer(made).simple(changes("l3"))
    assert str(rejection.value) == "can't apply simple config change in joint config"


@pytest.mark.parametrize("text", ["", "v1"])
def test_the_empty_configuration_cannot_become_joint(text: str) -> None:
    with pytest.raises(ConfChangeRejected) as rejection:
        Changer(ProgressTracker(max_inflight=4)).enter_joint(changes(text), auto_leave=False)
    assert str(rejection.value) == "can't make a zero-voter config joint"


def test_a_joint_change_that_removes_all_voters_changes_nothing() -> None:
    made = tracker_of(ConfState(voters=(1, 2)))
    before = made.conf, dict(made.progress)
    with pytest.raises(ConfChangeRejected, match=r"^removed all voters$"):
        Changer(made).enter_joint(changes("r1 r2 l3"), auto_leave=False)
    assert (made.conf, made.progress) == before


@pytest.mark.parametrize(
    "conf_state",
    [
        ConfState(),
        ConfState(voters=(1,)),
        ConfState(voters=(1, 2, 3), learners=(4, 5)),
        ConfState(voters=(1, 2, 3), voters_outgoing=(1, 2, 3)),
        ConfState(voters=(1, 2), voters_outgoing=(3, 4), auto_leave=True),
        ConfState(
            voters=(1, 2, 3), learners=(5,), voters_outgoing=(1, 2, 4, 6), learners_next=(4,)
        ),
    ],
)
def test_restore_brings_back_the_configuration(conf_state: ConfState) -> None:
    made = ProgressTracker(max_inflight=4)
    restore(made, 9, conf_state)
    assert made.conf.to_conf_state() == conf_state
    everybody = {*conf_state.voters, *conf_state.learners, *conf_state.voters_outgoing}
    assert list(made.progress) == sorted(everybody)
    assert all(progress.next_idx == 9 for progress in made.progress.values())


def test_restore_takes_ids_in_any_order() -> None:
    made = tracker_of(ConfState(voters=(3, 1, 2), learners=(9, 8)))
    assert made.conf.to_conf_state() == ConfState(voters=(1, 2, 3), learners=(8, 9))


def test_restore_replaces_what_was_there() -> None:
    """As a follower does with a snapshot's configuration, whatever its own was."""
    made = tracker_of(ConfState(voters=(1, 2, 7), voters_outgoing=(1,)))
    made.progress[1].maybe_update(5)
    restore(made, 9, ConfState(voters=(1, 3)))
    assert describe_configuration(made.conf) == "voters=(1 3)"
    assert [(node_id, p.matched) for node_id, p in made.progress.items()] == [(1, 0), (3, 0)]


@pytest.mark.parametrize(
    "conf_state",
    [
        pytest.param(ConfState(learners=(1,)), id="learners without voters"),
        pytest.param(ConfState(voters=(1, 2), learners=(2,)), id="voter and learner at once"),
        pytest.param(ConfState(voters=(1,), learners_next=(2,)), id="staged but not joint"),
        pytest.param(ConfState(voters=(1,), auto_leave=True), id="to leave but not joint"),
        pytest.param(ConfState(voters_outgoing=(1,)), id="joint without incoming voters"),
        pytest.param(
            ConfState(voters=(1,), voters_outgoing=(1, 2), learners=(2,)), id="learns and votes"
        ),
        pytest.param(
            ConfState(voters=(1,), voters_outgoing=(1,), learners_next=(2,)), id="staged stranger"
        ),
        pytest.param(ConfState(voters=(0, 1)), id="nobody's id"),
    ],
)
def test_restore_refuses_what_cannot_come_about_and_changes_nothing(
    conf_state: ConfState,
) -> None:
    made = tracker_of(ConfState(voters=(7,)))
    before = made.conf, dict(made.progress)
    with pytest.raises(ConfChangeRejected):
        restore(made, 1, conf_state)
    assert (made.conf, made.progress) == before


def joint(incoming: set[int], outgoing: set[int]) -> JointConfig:
    return JointConfig(MajorityConfig(frozenset(incoming)), MajorityConfig(frozenset(outgoing)))


@pytest.mark.parametrize(
    ("conf", "complaint"),
    [
        (Configuration(joint({1, 8}, set())), "no progress for voter 8"),
        (Configuration(joint({1}, {8})), "no progress for voter 8"),
        (Configuration(joint({1}, set()), frozenset({8, 9})), "no progress for learner 8 9"),
        (
            Configuration(joint({1}, {1}), learners_next=frozenset({8})),
            "no progress for learner to be 8",
        ),
        (
            Configuration(joint({1}, {2}), frozenset({2})),
            "both learner and outgoing voter: 2",
        ),
        (
            Configuration(joint({1, 2}, set()), frozenset({2})),
            "both learner and incoming voter: 2",
        ),
        (
            Configuration(joint({1}, set()), learners_next=frozenset({2})),
            "learner to be, but not outgoing voter: 2",
        ),
        (
            Configuration(joint({1}, set()), auto_leave=True),
            "the configuration is to be left automatically, but is not joint",
        ),
    ],
)
def test_a_contradictory_configuration_is_a_broken_invariant(
    conf: Configuration, complaint: str
) -> None:
    with pytest.raises(InvariantViolation) as violation:
        check_invariants(conf, {1, 2})
    assert str(violation.value) == complaint


def test_the_empty_configuration_is_sound() -> None:
    check_invariants(Configuration(), set())


def test_a_changer_refuses_to_start_from_a_contradiction() -> None:
    made = tracker_of(ConfState(voters=(1, 2)))
    del made.progress[2]
    with pytest.raises(InvariantViolation, match="no progress for voter 2"):
        Changer(made).simple(changes("v3"))


def test_computing_a_change_does_not_touch_the_tracker() -> None:
    made = tracker_of(ConfState(voters=(1, 2)))
    before = copy.copy(made.progress)
    conf = made.conf
    Changer(made).simple(changes("v3"))
    Changer(made).enter_joint(changes("v3 r1"), auto_leave=True)
    assert made.conf is conf
    assert made.progress == before
