"""A majority of one set of voters (Raft paper 5.1: any two majorities share a voter)."""

from __future__ import annotations

import pytest

from raftify.core.quorum import UNBOUNDED_INDEX, AckedIndex, MajorityConfig, VoteResult


def majority(*voters: int) -> MajorityConfig:
    return MajorityConfig(frozenset(voters))


def acked(*indices: int | None) -> dict[int, AckedIndex]:
    """Voters 1, 2, ... with their indices; None stays unknown."""
    return {
        voter: AckedIndex(index)
        for voter, index in enumerate(indices, start=1)
        if index is not None
    }


def in_groups(*voters: tuple[int, int]) -> dict[int, AckedIndex]:
    """Voters 1, 2, ... with their indices and commit groups."""
    return {voter: AckedIndex(*pair) for voter, pair in enumerate(voters, start=1)}


def test_it_is_a_set_of_ids_in_order() -> None:
    config = majority(3, 1, 2)
    assert list(config) == [1, 2, 3]
    assert len(config) == 3
    assert 2 in config
    assert 4 not in config
    assert len(MajorityConfig()) == 0


@pytest.mark.parametrize(
    ("indices", "committed"),
    [
        ((7,), 7),
        ((7, 5), 5),
        ((7, 5, None), 5),
        ((7, 5, 3), 5),
        ((7, 7, 5, 3), 5),
        ((7, 7, 5, 3, 1), 5),
        ((7, None, None, None, None), 0),
        ((9, 8, 7, 6, 5, 4, 3, 2, 1), 5),
    ],
)
def test_committed_is_what_a_majority_has(indices: tuple[int | None, ...], committed: int) -> None:
    config = majority(*range(1, len(indices) + 1))
    assert config.committed_index(acked(*indices)) == (committed, False)


def test_a_voter_unknown_has_acknowledged_nothing() -> None:
    assert majority(1, 2, 3).committed_index({}) == (0, False)


def test_who_does_not_vote_is_not_counted() -> None:
    assert majority(1, 2, 3).committed_index(acked(1, 2, 3, 9, 9, 9)) == (2, False)


def test_the_empty_set_commits_everything() -> None:
    assert MajorityConfig().committed_index({}) == (UNBOUNDED_INDEX, True)
    assert MajorityConfig().committed_index({}, use_group_commit=True) == (UNBOUNDED_INDEX, True)


@pytest.mark.parametrize(
    ("voters", "committed"),
    [
        pytest.param(((9, 1), (8, 1), (7, 1)), (8, False), id="one group commits by majority"),
        pytest.param(((9, 1), (8, 1), (7, 2)), (7, True), id="waits for the second group"),
        pytest.param(((9, 2), (8, 1), (7, 1)), (8, True), id="second group is ahead"),
        pytest.param(((9, 0), (8, 1), (7, 1)), (7, False), id="a voter without group: all"),
        pytest.param(((9, 0), (8, 0), (7, 0)), (7, False), id="nobody has a group: all"),
        pytest.param(((9, 1), (8, 0), (7, 2)), (7, True), id="group of the quorum taken later"),
        pytest.param(((9, 1), (9, 2), (9, 1)), (9, True), id="all at one index"),
    ],
)
def test_group_commit_wants_two_groups(
    voters: tuple[tuple[int, int], ...], committed: tuple[int, bool]
) -> None:
    config = majority(1, 2, 3)
    assert config.committed_index(in_groups(*voters), use_group_commit=True) == committed


def test_group_commit_counts_unknown_voters_as_without_group() -> None:
    config = majority(1, 2, 3)
    assert config.committed_index(in_groups((9, 1), (8, 1)), use_group_commit=True) == (0, False)


def test_groups_do_not_matter_unless_asked_for() -> None:
    assert majority(1, 2, 3).committed_index(in_groups((9, 1), (8, 1), (7, 2))) == (8, False)


@pytest.mark.parametrize(
    ("votes", "result"),
    [
        ({}, VoteResult.PENDING),
        ({1: True}, VoteResult.PENDING),
        ({1: True, 2: True}, VoteResult.WON),
        ({1: True, 2: True, 3: False}, VoteResult.WON),
        ({1: True, 2: False}, VoteResult.PENDING),
        ({1: False, 2: False}, VoteResult.LOST),
        ({4: True, 5: True}, VoteResult.PENDING),
    ],
)
def test_a_vote_needs_a_majority_either_way(votes: dict[int, bool], result: VoteResult) -> None:
    assert majority(1, 2, 3).vote_result(votes.get) is result


def test_one_refusal_of_two_voters_loses() -> None:
    assert majority(1, 2).vote_result({1: False}.get) is VoteResult.LOST


def test_the_empty_set_wins_every_vote() -> None:
    assert MajorityConfig().vote_result({1: False}.get) is VoteResult.WON


def test_the_drawing_shows_ranks_and_who_is_unknown() -> None:
    assert majority(1, 2, 3).describe(acked(12, 5, None)) == (
        "       idx\n"
        "xx>     12    (id=1)\n"
        "x>       5    (id=2)\n"
        "?        0    (id=3)\n"
    )  # fmt: skip


def test_the_drawing_of_the_empty_set_says_so() -> None:
    assert MajorityConfig().describe({}) == "<empty majority quorum>"
