"""Whom a leader that lost its office asks its successor to remove once more: nobody who could be a
member by then."""

from __future__ import annotations

from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState
from raftify.node.departures import gone_for_good
from raftify.peers import Membership, Peers

BEFORE = Membership.of(Peers({i: f"n{i}:1" for i in (1, 2, 3)}), index=1)
WITHOUT_3 = BEFORE.with_configuration(ConfState(voters=(1, 2)), (), index=2)


def remove(*ids: int) -> ConfChangeV2:
    return ConfChangeV2(changes=tuple(ConfChangeSingle(ConfChangeType.REMOVE_NODE, i) for i in ids))


def test_who_was_removed_is_gone_for_good() -> None:
    assert gone_for_good(remove(3), BEFORE, WITHOUT_3) == {3}


def test_so_is_who_was_removed_before_that_was_asked_again() -> None:
    assert gone_for_good(remove(3), WITHOUT_3, WITHOUT_3) == {3}


def test_so_is_who_went_with_the_joint_configuration_that_was_left() -> None:
    assert gone_for_good(ConfChangeV2(), BEFORE, WITHOUT_3) == {3}


def test_an_id_that_nobody_has_had_is_not() -> None:
    """It may be a member by the time that the successor is asked, and would be removed."""
    assert gone_for_good(remove(3, 9), BEFORE, WITHOUT_3) == {3}


def test_an_id_that_waits_for_its_joiner_is_not() -> None:
    waits = WITHOUT_3.reserve("joiner", index=3)
    assert waits.reservations == {"joiner": 4}
    assert gone_for_good(remove(4), waits, waits) == set()
