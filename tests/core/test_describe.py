"""States as text: what people read in logs and golden files compare."""

from __future__ import annotations

from raftify.core.describe import describe_conf_state, describe_configuration, describe_progress
from raftify.core.progress import Progress
from raftify.core.quorum import JointConfig, MajorityConfig
from raftify.core.tracker import Configuration
from raftify.core.types import ConfState


def test_a_conf_state_shows_what_it_has() -> None:
    assert describe_conf_state(ConfState()) == "voters=()"
    assert describe_conf_state(ConfState(voters=(2, 1), learners=(4,))) == (
        "voters=(1 2) learners=(4)"
    )


def test_a_joint_configuration_shows_both_halves() -> None:
    conf = Configuration(
        JointConfig(MajorityConfig(frozenset({1, 2})), MajorityConfig(frozenset({1, 3}))),
        learners=frozenset({4}),
        learners_next=frozenset({3}),
        auto_leave=True,
    )
    assert describe_configuration(conf) == (
        "voters=(1 2)&&(1 3) learners=(4) learners_next=(3) autoleave"
    )


def test_a_healthy_progress_is_short() -> None:
    progress = Progress(7, 2)
    progress.recent_active = True
    progress.maybe_update(4)
    progress.become_replicate()
    assert describe_progress(progress) == "StateReplicate match=4 next=5"


def test_a_progress_shows_what_holds_it_back() -> None:
    progress = Progress(7, 2)
    progress.pause()
    assert describe_progress(progress, is_learner=True) == (
        "StateProbe match=0 next=7 learner paused inactive"
    )
    progress.become_snapshot(12)
    assert describe_progress(progress) == (
        "StateSnapshot match=0 next=7 paused pendingSnap=12 inactive"
    )


def test_a_progress_shows_what_is_in_flight() -> None:
    progress = Progress(1, 2)
    progress.recent_active = True
    progress.become_replicate()
    progress.update_state(3)
    assert describe_progress(progress) == "StateReplicate match=0 next=4 inflight=1"
    progress.update_state(5)
    assert describe_progress(progress) == "StateReplicate match=0 next=6 paused inflight=2[full]"
