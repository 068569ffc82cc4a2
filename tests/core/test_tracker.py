"""The configuration in force, everybody's progress, and the votes."""

from __future__ import annotations

import pytest

from raftify.core.progress import Progress, ProgressState
from raftify.core.quorum import JointConfig, MajorityConfig, VoteResult
from raftify.core.tracker import Configuration, MapChangeType, ProgressTracker
from raftify.core.types import ConfState

ADD = MapChangeType.ADD
REMOVE = MapChangeType.REMOVE


def configuration(
    voters: set[int], outgoing: frozenset[int] = frozenset(), *, learners: frozenset[int]
) -> Configuration:
    joint = JointConfig(MajorityConfig(frozenset(voters)), MajorityConfig(outgoing))
    return Configuration(joint, learners)


def tracker(
    voters: set[int],
    outgoing: frozenset[int] = frozenset(),
    learners: frozenset[int] = frozenset(),
) -> ProgressTracker:
    made = ProgressTracker(max_inflight=4)
    conf = configuration(voters, outgoing, learners=learners)
    made.apply_conf(conf, [(node_id, ADD) for node_id in voters | outgoing | learners], 1)
    return made


def progress_of(made: ProgressTracker, node_id: int) -> Progress:
    progress = made.get(node_id)
    assert progress is not None
    return progress


def matched(made: ProgressTracker, **indices: int) -> None:
    for name, index in indices.items():
        progress_of(made, int(name[1:])).maybe_update(index)


def test_a_new_tracker_is_empty() -> None:
    made = ProgressTracker(max_inflight=4)
    assert made.conf == Configuration()
    assert made.progress == {}
    assert made.get(1) is None
    assert not made.is_singleton()


def test_apply_conf_adds_nodes_to_be_probed_and_removes_others() -> None:
    made = tracker({1, 2})
    made.apply_conf(configuration({1, 3}, learners=frozenset()), [(3, ADD), (2, REMOVE)], 7)
    assert list(made.progress) == [1, 3]
    added = progress_of(made, 3)
    assert (added.next_idx, added.matched, added.state) == (7, 0, ProgressState.PROBE)
    assert added.ins.capacity == 4


def test_progress_comes_in_the_order_of_the_ids() -> None:
    made = ProgressTracker(max_inflight=4)
    for node_id in (3, 1, 2):
        made.apply_conf(configuration({node_id}, learners=frozenset()), [(node_id, ADD)], 1)
    assert list(made.progress) == [1, 2, 3]


def test_a_node_added_to_an_empty_log_is_probed_from_its_first_index() -> None:
    made = ProgressTracker(max_inflight=4)
    made.apply_conf(configuration({1}, learners=frozenset()), [(1, ADD)], 0)
    assert progress_of(made, 1).next_idx == 1


def test_a_node_added_counts_as_active_until_the_next_check() -> None:
    """Else a quorum check right after the change would depose the leader that made it."""
    made = tracker({1})
    made.apply_conf(configuration({1, 2}, learners=frozenset()), [(2, ADD)], 1)
    assert made.quorum_recently_active(perspective_of=1)
    assert not made.quorum_recently_active(perspective_of=1)


def test_a_node_readded_starts_over() -> None:
    made = tracker({1, 2})
    matched(made, n2=9)
    made.apply_conf(made.conf, [(2, REMOVE), (2, ADD)], 5)
    assert (progress_of(made, 2).matched, progress_of(made, 2).next_idx) == (0, 5)


def test_clear_forgets_everything() -> None:
    made = tracker({1, 2})
    made.record_vote(1, granted=True)
    made.clear()
    assert (made.conf, made.progress, made.votes) == (Configuration(), {}, {})


def test_commit_needs_a_majority_of_voters_and_no_learner() -> None:
    made = tracker({1, 2, 3}, learners=frozenset({4, 5}))
    matched(made, n1=9, n4=9, n5=9)
    assert made.maximal_committed_index() == (0, False)
    matched(made, n3=5)
    assert made.maximal_committed_index() == (5, False)


def test_commit_needs_both_majorities_while_joint() -> None:
    made = tracker({1, 2}, frozenset({1, 3, 4}))
    matched(made, n1=9, n2=9)
    assert made.maximal_committed_index() == (0, False)
    matched(made, n3=6)
    assert made.maximal_committed_index() == (6, False)


def test_group_commit_waits_for_a_second_group() -> None:
    made = tracker({1, 2, 3})
    for node_id, group in ((1, 1), (2, 1), (3, 2)):
        progress_of(made, node_id).commit_group_id = group
    matched(made, n1=9, n2=9)
    assert made.maximal_committed_index() == (9, False)
    made.group_commit = True
    assert made.maximal_committed_index() == (0, True)
    matched(made, n3=4)
    assert made.maximal_committed_index() == (4, True)


@pytest.mark.parametrize(
    ("made", "alone"),
    [
        (tracker({1}), True),
        (tracker({1}, learners=frozenset({2})), True),
        (tracker({1, 2}), False),
        (tracker({1}, frozenset({1})), False),
    ],
)
def test_is_singleton(made: ProgressTracker, *, alone: bool) -> None:
    assert made.is_singleton() is alone


def test_votes_are_tallied_among_voters_only() -> None:
    made = tracker({1, 2, 3}, learners=frozenset({4}))
    assert made.tally_votes() == (0, 0, VoteResult.PENDING)
    made.record_vote(1, granted=True)
    made.record_vote(4, granted=True)
    made.record_vote(9, granted=True)
    made.record_vote(2, granted=False)
    assert made.tally_votes() == (1, 1, VoteResult.PENDING)
    made.record_vote(3, granted=True)
    assert made.tally_votes() == (2, 1, VoteResult.WON)
    assert made.vote_result() is VoteResult.WON


def test_the_first_vote_counts() -> None:
    """A repeated response must not turn a refusal into consent (5.2: at most one vote a term)."""
    made = tracker({1, 2})
    made.record_vote(2, granted=False)
    made.record_vote(2, granted=True)
    assert made.votes == {2: False}
    assert made.vote_result() is VoteResult.LOST


def test_a_new_election_begins_without_votes() -> None:
    made = tracker({1})
    made.record_vote(1, granted=True)
    made.reset_votes()
    assert made.vote_result() is VoteResult.PENDING


def test_a_quorum_needs_voters_of_both_halves() -> None:
    made = tracker({1, 2, 3}, frozenset({3, 4, 5}), learners=frozenset({6}))
    assert not made.has_quorum({1, 2, 6})
    assert not made.has_quorum({1, 2, 3})
    assert made.has_quorum({1, 3, 4})


def test_activity_counts_once_and_the_leader_always() -> None:
    made = tracker({1, 2, 3})
    made.quorum_recently_active(perspective_of=1)
    assert not made.quorum_recently_active(perspective_of=1)
    progress_of(made, 3).recent_active = True
    assert made.quorum_recently_active(perspective_of=1)
    assert not progress_of(made, 3).recent_active
    assert progress_of(made, 1).recent_active
    assert not made.quorum_recently_active(perspective_of=1)


def test_an_active_learner_is_no_quorum() -> None:
    made = tracker({1, 2, 3}, learners=frozenset({4}))
    made.quorum_recently_active(perspective_of=1)
    progress_of(made, 4).recent_active = True
    assert not made.quorum_recently_active(perspective_of=1)
    assert not progress_of(made, 4).recent_active


def test_the_conf_state_names_everybody_in_order() -> None:
    conf = Configuration(
        JointConfig(MajorityConfig(frozenset({3, 1})), MajorityConfig(frozenset({4, 2}))),
        learners=frozenset({6, 5}),
        learners_next=frozenset({4, 2}),
        auto_leave=True,
    )
    assert conf.is_joint
    assert conf.to_conf_state() == ConfState((1, 3), (5, 6), (2, 4), (2, 4), auto_leave=True)
