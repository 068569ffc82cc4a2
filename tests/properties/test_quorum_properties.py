"""Quorums against definitions by enumeration, over any voters and any state of them."""

from __future__ import annotations

from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from raftify.core.quorum import (
    UNBOUNDED_INDEX,
    AckedIndex,
    JointConfig,
    MajorityConfig,
    VoteResult,
)

IDS = st.integers(min_value=1, max_value=7)
CONFIGS = st.frozensets(IDS, max_size=5).map(MajorityConfig)
JOINT_CONFIGS = st.builds(JointConfig, CONFIGS, CONFIGS)
# Few different indices and groups, so that ties are common.
ACKED = st.dictionaries(
    IDS, st.builds(AckedIndex, st.integers(0, 6), st.integers(0, 3)), max_size=7
)
VOTES = st.dictionaries(IDS, st.booleans(), max_size=7)


def majorities(config: MajorityConfig) -> list[tuple[int, ...]]:
    size = len(config) // 2 + 1
    return list(combinations(config, size))


def index_of(acked: dict[int, AckedIndex], node_id: int) -> int:
    return acked[node_id].matched if node_id in acked else 0


def committed_by_enumeration(config: MajorityConfig, acked: dict[int, AckedIndex]) -> int:
    if not config.voters:
        return UNBOUNDED_INDEX
    return max(min(index_of(acked, voter) for voter in voters) for voters in majorities(config))


def group_committed_by_definition(
    config: MajorityConfig, acked: dict[int, AckedIndex]
) -> tuple[int, bool]:
    """What a majority has and two groups have; without two groups, what raft-rs falls back to."""
    by_majority = committed_by_enumeration(config, acked)
    if not config.voters:
        return by_majority, True
    highest_of_group: dict[int, int] = {}
    everyone_has_a_group = True
    for voter in config:
        group = acked[voter].commit_group_id if voter in acked else 0
        if group:
            highest = max(highest_of_group.get(group, 0), index_of(acked, voter))
            highest_of_group[group] = highest
        else:
            everyone_has_a_group = False
    if len(highest_of_group) > 1:
        return min(by_majority, sorted(highest_of_group.values())[-2]), True
    if everyone_has_a_group:
        return by_majority, False
    return min(index_of(acked, voter) for voter in config), False


def vote_by_enumeration(config: MajorityConfig, votes: dict[int, bool]) -> VoteResult:
    """Won or lost is what comes out whichever way the missing votes fall."""
    missing = [voter for voter in config if voter not in votes]
    outcomes = set()
    for completion in product((False, True), repeat=len(missing)):
        all_votes = votes | dict(zip(missing, completion, strict=True))
        won = any(all(all_votes[voter] for voter in voters) for voters in majorities(config))
        outcomes.add(won or not config.voters)
    if len(outcomes) == 2:
        return VoteResult.PENDING
    return VoteResult.WON if outcomes.pop() else VoteResult.LOST


@settings(deadline=None)
@given(CONFIGS, ACKED)
def test_committed_index_of_a_majority(
    config: MajorityConfig, acked: dict[int, AckedIndex]
) -> None:
    assert config.committed_index(acked)[0] == committed_by_enumeration(config, acked)


@settings(deadline=None)
@given(JOINT_CONFIGS, ACKED)
def test_committed_index_of_a_joint(config: JointConfig, acked: dict[int, AckedIndex]) -> None:
    assert config.committed_index(acked)[0] == min(
        committed_by_enumeration(config.incoming, acked),
        committed_by_enumeration(config.outgoing, acked),
    )


@settings(deadline=None)
@given(CONFIGS, ACKED)
def test_group_committed_index_of_a_majority(
    config: MajorityConfig, acked: dict[int, AckedIndex]
) -> None:
    expected = group_committed_by_definition(config, acked)
    assert config.committed_index(acked, use_group_commit=True) == expected


@settings(deadline=None)
@given(JOINT_CONFIGS, ACKED)
def test_group_committed_index_of_a_joint(
    config: JointConfig, acked: dict[int, AckedIndex]
) -> None:
    incoming, incoming_grouped = group_committed_by_definition(config.incoming, acked)
    outgoing, outgoing_grouped = group_committed_by_definition(config.outgoing, acked)
    expected = (min(incoming, outgoing), incoming_grouped and outgoing_grouped)
    assert config.committed_index(acked, use_group_commit=True) == expected


@settings(deadline=None)
@given(CONFIGS, VOTES)
def test_vote_of_a_majority(config: MajorityConfig, votes: dict[int, bool]) -> None:
    assert config.vote_result(votes.get) is vote_by_enumeration(config, votes)


@settings(deadline=None)
@given(JOINT_CONFIGS, VOTES)
def test_vote_of_a_joint_is_won_by_both_and_lost_by_either(
    config: JointConfig, votes: dict[int, bool]
) -> None:
    halves = {
        vote_by_enumeration(config.incoming, votes),
        vote_by_enumeration(config.outgoing, votes),
    }
    if halves == {VoteResult.WON}:
        expected = VoteResult.WON
    elif VoteResult.LOST in halves:
        expected = VoteResult.LOST
    else:
        expected = VoteResult.PENDING
    assert config.vote_result(votes.get) is expected


@settings(deadline=None)
@given(JOINT_CONFIGS, ACKED, st.booleans())
def test_the_halves_may_be_interchanged(
    config: JointConfig, acked: dict[int, AckedIndex], grouped: bool
) -> None:
    interchanged = JointConfig(config.outgoing, config.incoming)
    index = config.committed_index(acked, use_group_commit=grouped)
    assert interchanged.committed_index(acked, use_group_commit=grouped) == index
    assert interchanged.describe(acked) == config.describe(acked)


@settings(deadline=None)
@given(JOINT_CONFIGS, ACKED, IDS, st.integers(0, 6))
def test_more_acknowledged_never_commits_less(
    config: JointConfig, acked: dict[int, AckedIndex], node_id: int, more: int
) -> None:
    before = config.committed_index(acked)[0]
    raised = acked | {node_id: AckedIndex(index_of(acked, node_id) + more)}
    assert config.committed_index(raised)[0] >= before
