"""Followers that ask for a snapshot."""

from __future__ import annotations

import pytest

from raftify.core.types import (
    Message,
    MessageType,
)
from raftify.errors import (
    Rejected,
)
from tests.core.network import (
    Network,
    founded,
    lead,
    lone,
    stored,
    take,
)

VOTERS = [1, 2, 3]


# -- asking for one --------------------------------------------------------------------------


def test_a_follower_may_ask_for_a_snapshot() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a")
    network[3].raw.request_snapshot()
    with pytest.raises(Rejected, match="on its way"):
        network[3].raw.request_snapshot()
    before = len(network[3].snapshots)
    # A repeated append or heartbeat repeats the request, not the acknowledgement.
    network[3].raw.step(Message(MessageType.HEARTBEAT, from_=1, term=2, commit=3))
    network[3].raw.step(Message(MessageType.APPEND, from_=1, term=2, index=3, log_term=2))
    network.settle()
    assert len(network[3].snapshots) == before + 1
    assert network[3].snapshots[-1].metadata.index == 3
    network.propose(1, b"b")
    network.tick(1)
    assert network[3].applied == [b"a", b"b"]


def test_a_snapshot_cannot_be_asked_for_just_now() -> None:
    raw = lone(stored(VOTERS, [1, 1]))
    with pytest.raises(Rejected, match="no leader"):
        raw.request_snapshot()
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=4))
    with pytest.raises(Rejected, match="no entry of the leader's term"):
        raw.request_snapshot()
    leader = lone(founded(VOTERS))
    lead(leader)
    with pytest.raises(Rejected, match="nobody to ask"):
        leader.request_snapshot()
    assert leader.failure is None


def test_a_request_survives_a_change_of_leader() -> None:
    raw = lone(stored(VOTERS, [2, 2], commit=1))
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=2))
    raw.request_snapshot()
    take(raw)
    raw.step(Message(MessageType.APPEND, from_=3, term=3, index=2, log_term=2))
    [again] = take(raw)
    assert (again.to, again.reject, again.request_snapshot) == (3, True, 2)
