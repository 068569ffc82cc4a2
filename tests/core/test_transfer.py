"""Handing over leadership (thesis 3.10)."""

from __future__ import annotations

import pytest

from raftify.core.types import ConfChange, ConfChangeType, Message, MessageType, Role
from raftify.errors import LeaderTransferring, NotLeader
from tests.core.network import Network, accept, founded, lead, lone, persist, role, take

VOTERS = [1, 2, 3]


@pytest.mark.parametrize("guarded", [False, True])
def test_to_a_follower_that_is_up_to_date(guarded: bool) -> None:
    network = Network.of(VOTERS, check_quorum=guarded, pre_vote=guarded)
    network.elect(1)
    network[1].raw.transfer_leader(2)
    network.settle()
    assert network.leaders() == [2]
    kinds = {m.msg_type for m in network.log if m.from_ == 2}
    assert MessageType.REQUEST_PRE_VOTE not in kinds, "the leader itself wants it"


def test_a_follower_passes_the_wish_on() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network[2].raw.transfer_leader(2)
    network.settle()
    assert network.leaders() == [2]


def test_a_follower_without_a_leader_drops_the_wish() -> None:
    raw = lone(founded(VOTERS))
    raw.transfer_leader(2)
    assert take(raw) == []


def test_to_one_that_lags_after_it_caught_up() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network.propose(1, b"a", b"b")
    network.recover()
    network[1].raw.transfer_leader(3)
    network.settle()
    network.tick(1)
    assert network.leaders() == [3]
    assert network[3].applied == [b"a", b"b"]


def test_one_that_lags_is_sent_what_it_lacks_at_once() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    accept(raw, 3, 2)
    raw.propose(b"", b"x")
    raw.report_unreachable(3)
    take(raw)
    raw.transfer_leader(3)
    [message] = take(raw)
    assert (message.msg_type, message.to) == (MessageType.APPEND, 3)
    assert [entry.index for entry in message.entries] == [3]


def test_it_has_a_whole_election_timeout_however_late_it_begins() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network.propose(1, b"x")
    leader = network.raft(1)
    network.tick(1, leader.election_timeout - 1)
    network[1].raw.transfer_leader(3)
    network.tick(1, leader.election_timeout - 1)
    assert leader.lead_transferee == 3
    network.tick(1)
    assert leader.lead_transferee is None


def test_to_one_that_needs_a_snapshot() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network.propose(1, *[b"x"] * 5)
    network[1].storage.compact(6)
    network.recover()
    network[1].raw.transfer_leader(3)
    network.settle()
    network.tick(1)
    network.tick(1)
    assert network.leaders() == [3]


def test_to_itself_or_to_nobody_changes_nothing() -> None:
    network = Network.of([1, 2], [3])
    network.elect(1)
    for nobody in (1, 3, 9):
        network[1].raw.transfer_leader(nobody)
        network.settle()
        assert network.leaders() == [1]
        assert network.raft(1).lead_transferee is None


def test_proposals_are_refused_meanwhile_for_one_timeout_at_most() -> None:
    """openraft#2088, hashicorp/raft#487: a dead transferee must not block writes for long."""
    network = Network.of(VOTERS, election_tick=10)
    network.elect(1)
    network.isolate(3)
    network[1].raw.transfer_leader(3)
    network.settle()
    with pytest.raises(LeaderTransferring, match="node 3"):
        network[1].raw.propose(b"", b"x")
    assert network[1].raw.status().lead_transferee == 3
    network.tick(1, 9)
    assert network.raft(1).lead_transferee == 3
    network.tick(1, 1)
    assert network.raft(1).lead_transferee is None
    network.propose(1, b"x")
    assert network[2].applied == [b"x"]


def test_reads_still_work_meanwhile() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network[1].raw.transfer_leader(3)
    network[1].raw.read_index(b"r")
    network.settle()
    assert [read.request_ctx for read in network[1].reads] == [b"r"]


def test_a_second_transfer_replaces_the_first() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network[1].raw.transfer_leader(3)
    network.settle()
    network[1].raw.transfer_leader(2)
    network.settle()
    assert network.leaders() == [2]


def test_asking_twice_for_the_same_does_not_prolong_it() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.transfer_leader(3)
    raw.tick()
    take(raw)
    raw.transfer_leader(3)
    assert take(raw) == []
    assert raw.raft.election_elapsed == 1


def test_losing_office_ends_it() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.transfer_leader(3)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=9))
    assert raw.raft.lead_transferee is None


def test_removing_the_transferee_ends_it() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    accept(raw, 2, 2)
    raw.transfer_leader(3)
    raw.apply_conf_change(ConfChange(0, ConfChangeType.ADD_LEARNER_NODE, 4))
    assert raw.raft.lead_transferee == 3
    raw.apply_conf_change(ConfChange(0, ConfChangeType.REMOVE_NODE, 3))
    assert raw.raft.lead_transferee is None


def test_a_late_order_to_take_over_does_not_unseat_a_later_leader() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    order = Message(MessageType.TIMEOUT_NOW, from_=1, to=3, term=2)
    network.elect(2)
    network.deliver([order])
    network.settle()
    assert network.leaders() == [2]


def test_a_candidate_ignores_the_order() -> None:
    raw = lone(founded(VOTERS))
    raw.campaign()
    term = raw.raft.term
    raw.step(Message(MessageType.TIMEOUT_NOW, from_=2, term=term))
    assert (role(raw), raw.raft.term) == (Role.CANDIDATE, term)


def test_the_transferee_is_told_once_it_has_everything() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.propose(b"", b"x")
    persist(raw)
    raw.transfer_leader(2)
    assert MessageType.TIMEOUT_NOW not in [m.msg_type for m in take(raw)]
    accept(raw, 2, 2)
    assert MessageType.TIMEOUT_NOW not in [m.msg_type for m in take(raw)]
    accept(raw, 2, 3)
    assert [m.to for m in take(raw) if m.msg_type is MessageType.TIMEOUT_NOW] == [2]


def test_batches_are_not_passed_on() -> None:
    raw = lone(founded(VOTERS))
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=1))
    with pytest.raises(NotLeader) as caught:
        raw.propose_batch([])
    assert caught.value.leader_id == 2


def test_a_leader_of_higher_priority_hands_its_office_over_where_its_vote_is_needed() -> None:
    """Both logs end alike then, and it refused the vote to whom it had chosen itself."""
    network = Network.of([1, 2])
    network[1].raw.set_priority(2)
    network.elect(1)
    network[1].raw.transfer_leader(2)
    network.settle()
    assert network.leaders() == [2]
