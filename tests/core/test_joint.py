"""Two majorities at once (thesis 4.3: agreement needs a majority of both configurations)."""

from __future__ import annotations

import pytest

from raftify.core.quorum import (
    UNBOUNDED_INDEX,
    AckedIndex,
    JointConfig,
    MajorityConfig,
    VoteResult,
)


def joint(incoming: set[int], outgoing: set[int]) -> JointConfig:
    return JointConfig(MajorityConfig(frozenset(incoming)), MajorityConfig(frozenset(outgoing)))


def acked(**indices: int) -> dict[int, AckedIndex]:
    return {int(name[1:]): AckedIndex(index) for name, index in indices.items()}


def test_both_halves_must_have_an_index() -> None:
    config = joint({1, 2, 3}, {3, 4, 5})
    assert config.committed_index(acked(n1=9, n2=9, n3=9)) == (0, False)
    assert config.committed_index(acked(n1=9, n2=9, n3=9, n4=4)) == (4, False)
    assert config.committed_index(acked(n1=3, n2=3, n3=9, n4=9, n5=9)) == (3, False)


def test_an_empty_outgoing_half_constrains_nothing() -> None:
    config = joint({1, 2, 3}, set())
    assert config.committed_index(acked(n1=9, n2=8)) == (8, False)
    assert config.vote_result({1: True, 2: True}.get) is VoteResult.WON
    assert config.vote_result({1: False, 2: False}.get) is VoteResult.LOST


def test_two_empty_halves_commit_everything() -> None:
    assert JointConfig().committed_index({}) == (UNBOUNDED_INDEX, True)
    assert JointConfig().vote_result({1: False}.get) is VoteResult.WON


def test_groups_decide_only_if_they_do_in_both_halves() -> None:
    groups = {1: AckedIndex(9, 1), 2: AckedIndex(8, 2), 3: AckedIndex(7, 1), 4: AckedIndex(6, 1)}
    assert joint({1, 2}, {1, 2}).committed_index(groups, use_group_commit=True) == (8, True)
    assert joint({1, 2}, {3, 4}).committed_index(groups, use_group_commit=True) == (6, False)
    assert joint({1, 2}, set()).committed_index(groups, use_group_commit=True) == (8, True)


@pytest.mark.parametrize(
    ("votes", "result"),
    [
        ({}, VoteResult.PENDING),
        ({1: True, 2: True}, VoteResult.PENDING),
        ({1: True, 2: True, 4: True, 5: True}, VoteResult.WON),
        ({1: False, 2: False}, VoteResult.LOST),
        ({1: False, 2: False, 4: True, 5: True}, VoteResult.LOST),
        ({1: True, 2: True, 4: False, 5: False}, VoteResult.LOST),
        ({1: False, 2: False, 4: False, 5: False}, VoteResult.LOST),
    ],
)
def test_a_vote_is_won_in_both_halves_and_lost_in_either(
    votes: dict[int, bool], result: VoteResult
) -> None:
    assert joint({1, 2, 3}, {4, 5, 6}).vote_result(votes.get) is result


def test_members_are_those_of_both_halves() -> None:
    config = joint({1, 2}, {2, 3})
    assert config.ids() == {1, 2, 3}
    assert 1 in config
    assert 3 in config
    assert 4 not in config


@pytest.mark.parametrize(
    ("config", "is_joint", "is_singleton"),
    [
        (joint(set(), set()), False, False),
        (joint({1}, set()), False, True),
        (joint({1, 2}, set()), False, False),
        (joint({1}, {1}), True, False),
    ],
)
def test_one_voter_alone_decides_only_where_nothing_is_joint(
    config: JointConfig, *, is_joint: bool, is_singleton: bool
) -> None:
    assert config.is_joint is is_joint
    assert config.is_singleton() is is_singleton


def test_the_drawing_is_that_of_all_voters() -> None:
    assert joint({1}, {2}).describe(acked(n1=13, n2=100)) == (
        "      idx\n"
        ">      13    (id=1)\n"
        "x>    100    (id=2)\n"
    )  # fmt: skip
