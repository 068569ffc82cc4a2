"""Pre-vote (thesis 9.6) and the quorum check (thesis 6.2, 4.2.3), alone and together."""

from __future__ import annotations

import pytest

from raftify.core.terms import CAMPAIGN_TRANSFER
from raftify.core.types import HardState, Message, MessageType, Role
from tests.core.network import Network, Node, config, founded, lead, lone, role, stored, take

VOTERS = [1, 2, 3]


# -- pre-vote --------------------------------------------------------------------------------


def test_a_pre_campaign_changes_neither_term_nor_vote() -> None:
    raw = lone(founded(VOTERS), pre_vote=True)
    raw.raft.load_state(HardState(term=4, vote=3, commit=1))
    raw.campaign()
    assert (role(raw), raw.raft.term, raw.raft.vote) == (Role.PRE_CANDIDATE, 4, 3)
    assert [(m.msg_type, m.term) for m in take(raw)] == [(MessageType.REQUEST_PRE_VOTE, 5)] * 2


def test_granting_a_pre_vote_changes_neither_term_nor_vote() -> None:
    """canonical/raft#196: a pre-vote is no vote."""
    raw = lone(founded(VOTERS), pre_vote=True)
    raw.step(Message(MessageType.REQUEST_PRE_VOTE, from_=2, term=9, index=1, log_term=1))
    [answer] = take(raw)
    assert (answer.reject, answer.term) == (False, 9)
    assert (raw.raft.term, raw.raft.vote, raw.raft.election_elapsed) == (1, 0, 0)
    # So everybody else gets one as well.
    raw.step(Message(MessageType.REQUEST_PRE_VOTE, from_=3, term=9, index=1, log_term=1))
    assert not take(raw)[0].reject


def test_a_refused_pre_vote_of_a_later_term_is_that_terms() -> None:
    raw = lone(founded(VOTERS), pre_vote=True)
    raw.campaign()
    raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=2, term=6, reject=True))
    assert (role(raw), raw.raft.term) == (Role.FOLLOWER, 6)


def test_a_pre_candidate_that_loses_keeps_its_term() -> None:
    raw = lone(founded(VOTERS), pre_vote=True)
    raw.campaign()
    for voter in (2, 3):
        raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=voter, term=1, reject=True))
    assert (role(raw), raw.raft.term) == (Role.FOLLOWER, 1)


def test_pre_votes_of_an_earlier_campaign_count_no_more() -> None:
    raw = lone(founded([1, 2, 3, 4, 5]), pre_vote=True)
    for voter in (2, 3):
        raw.campaign()
        raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=voter, term=2))
        assert (role(raw), raw.raft.term) == (Role.PRE_CANDIDATE, 1)


def test_a_pre_vote_looks_at_the_log_too() -> None:
    """ClickHouse/NuRaft#134: granted on liveness alone, stale nodes keep unseating leaders."""
    network = Network.of(VOTERS, pre_vote=True)
    network.elect(1)
    network.isolate(3)
    network.propose(1, b"x")
    network.recover()
    network.isolate(1)
    network[3].raw.campaign()
    network.settle()
    assert (network.roles()[3], network.raft(3).term) == (Role.PRE_CANDIDATE, 2)
    network.elect(2)


def test_a_partitioned_node_comes_back_without_a_stir() -> None:
    network = Network.of(VOTERS, pre_vote=True, check_quorum=True)
    network.elect(1)
    network.isolate(3)
    network.tick_all(100)
    assert network.raft(3).term == 2
    network.recover()
    network.tick_all(30)
    assert network.leaders() == [1]
    assert network.raft(1).term == 2
    network.propose(1, b"x")
    assert network[3].applied == [b"x"]


def test_a_low_term_does_not_keep_a_node_from_winning() -> None:
    """etcd#8243, canonical/raft#279: terms {5, 1}, the leader gone; the low term must be answered.

    Node 2 has the longer log and the lower term, node 3 the other way round.
    """
    everybody = [1, 2, 3]
    nodes = [
        Node(config(1, pre_vote=True), stored(everybody, [1, 1, 1], term=1, commit=1)),
        Node(config(2, pre_vote=True), stored(everybody, [1, 1, 1], term=1, commit=1)),
        Node(config(3, pre_vote=True), stored(everybody, [1, 1], term=5, commit=1)),
    ]
    network = Network(nodes)
    network.isolate(1)
    network.tick_all(80)
    assert network.leaders() == [2]


def test_a_stale_pre_vote_request_is_answered_with_the_term() -> None:
    raw = lone(founded(VOTERS))
    raw.raft.become_follower(5, 0)
    raw.step(Message(MessageType.REQUEST_PRE_VOTE, from_=2, term=3, index=9, log_term=3))
    [answer] = take(raw)
    assert (answer.msg_type, answer.term, answer.reject) == (
        MessageType.REQUEST_PRE_VOTE_RESPONSE,
        5,
        True,
    )


def test_a_rolling_upgrade_to_pre_vote() -> None:
    """hashicorp/raft#530: two nodes pre-vote, the third does not yet; all orders must elect."""
    for old in VOTERS:
        nodes = [Node(config(i, pre_vote=i != old), founded(VOTERS)) for i in VOTERS]
        network = Network(nodes)
        for node_id in VOTERS:
            network.elect(node_id)
            assert network.leaders() == [node_id]
        # The old node was away and is ahead in term, but behind in its log.
        leader = next(i for i in VOTERS if i != old)
        network.elect(leader)
        network.isolate(old)
        network.propose(leader, b"x")
        network[old].raw.campaign()
        network.settle()
        network.recover()
        network.tick_all(300)
        assert len(network.leaders()) == 1
        network.propose(network.leaders()[0], b"y")
        assert [node.applied for node in network.nodes.values()] == [[b"x", b"y"]] * 3


# -- quorum check ----------------------------------------------------------------------------


def test_a_leader_without_a_quorum_steps_down() -> None:
    network = Network.of(VOTERS, check_quorum=True)
    network.elect(1)
    network.isolate(1)
    network.tick(1, 10)
    assert network.leaders() == [1], "they were heard of in this interval"
    network.tick(1, 10)
    assert network.leaders() == []
    assert network.raft(1).leader_id == 0


def test_a_leader_with_a_quorum_stays() -> None:
    network = Network.of(VOTERS, check_quorum=True)
    network.elect(1)
    network.isolate(3)
    network.tick_all(100, without=[3])
    assert network.leaders() == [1]


def test_learners_make_no_quorum() -> None:
    network = Network.of([1, 2], [3, 4], check_quorum=True)
    network.elect(1)
    network.isolate(2)
    network.tick_all(20, without=[2])
    assert network.leaders() == []


@pytest.mark.parametrize("kind", [MessageType.REQUEST_VOTE, MessageType.REQUEST_PRE_VOTE])
def test_who_hears_a_leader_does_not_vote(kind: MessageType) -> None:
    """Thesis 4.2.3, against nodes that were removed and do not know (hashicorp/raft#476)."""
    raw = lone(founded(VOTERS), check_quorum=True)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=1))
    take(raw)
    request = Message(kind, from_=3, term=9, index=9, log_term=9)
    for _ in range(raw.raft.election_timeout):
        raw.step(request)
        assert take(raw) == []
        assert raw.raft.term == 1
        raw.raft.election_elapsed += 1
    raw.step(request)
    assert [m.reject for m in take(raw)] == [False]


def test_a_leader_within_its_lease_does_not_vote_either() -> None:
    raw = lone(founded(VOTERS), check_quorum=True)
    lead(raw)
    raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=9, index=9, log_term=9))
    assert (role(raw), raw.raft.term) == (Role.LEADER, 2)


def test_a_transfer_overrides_the_lease() -> None:
    raw = lone(founded(VOTERS), check_quorum=True)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=1))
    take(raw)
    raw.step(
        Message(
            MessageType.REQUEST_VOTE,
            from_=3,
            term=2,
            index=1,
            log_term=1,
            context=CAMPAIGN_TRANSFER,
        )
    )
    assert [m.reject for m in take(raw)] == [False]


@pytest.mark.parametrize("guard", ["check_quorum", "pre_vote"])
@pytest.mark.parametrize("kind", [MessageType.HEARTBEAT, MessageType.APPEND])
def test_a_leader_of_an_older_term_is_told(guard: str, kind: MessageType) -> None:
    """A node ahead in term could else neither win an election nor follow."""
    raw = lone(founded(VOTERS), **{guard: True})
    raw.raft.become_follower(5, 0)
    raw.step(Message(kind, from_=2, term=3))
    [answer] = take(raw)
    assert (answer.msg_type, answer.term, answer.to) == (MessageType.APPEND_RESPONSE, 5, 2)


def test_other_old_messages_are_dropped() -> None:
    raw = lone(founded(VOTERS), check_quorum=True, pre_vote=True)
    raw.raft.become_follower(5, 0)
    for kind in MessageType:
        if kind not in (
            MessageType.HEARTBEAT,
            MessageType.APPEND,
            MessageType.REQUEST_PRE_VOTE,
        ):
            raw.raft.step(Message(kind, from_=2, term=3))
    assert take(raw) == []
    assert raw.raft.term == 5


def demand_that_a_stuck_candidate_is_freed(network: Network) -> None:
    """Let node 3 run ahead in term while it is cut off; then all must come to a common one."""
    network.elect(1)
    network.isolate(3)
    for _ in range(3):
        network[3].raw.campaign()
    network.settle()
    ahead = network.raft(3).term
    network.recover()
    network.tick_all(30)
    assert len(network.leaders()) == 1
    assert min(network.raft(i).term for i in VOTERS) >= ahead


def test_a_stuck_candidate_is_freed_by_its_higher_term() -> None:
    """etcd's FreeStuckCandidate: no pre-vote, so the cut-off node ran ahead in term."""
    network = Network.of(VOTERS, check_quorum=True)
    demand_that_a_stuck_candidate_is_freed(network)


def test_a_stuck_candidate_without_guards_of_its_own_is_freed_too() -> None:
    """Storm "short 7": the others would not hear its campaigns, and it did not answer the leader.

    raft-rs answers only where the candidate itself checks quorums or pre-votes, which nodes may
    differ in while options are rolled out.
    """
    network = Network.of(VOTERS, check_quorum=True)
    network.raft(3).check_quorum = False
    demand_that_a_stuck_candidate_is_freed(network)


def test_who_follows_a_newer_leader_says_nothing_without_guards() -> None:
    """It is not stuck, and raft-rs is as silent."""
    raw = lone(founded(VOTERS))
    raw.raft.become_follower(5, 3)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=3))
    assert take(raw) == []


def test_a_voter_not_promotable_still_sees_its_lease_run_out() -> None:
    """etcd: a learner's election timer runs, or it would refuse its vote for ever."""
    raw = lone(founded([1, 2], [3]), 3, check_quorum=True)
    raw.step(Message(MessageType.HEARTBEAT, from_=1, term=1))
    take(raw)
    for _ in range(10):
        raw.tick()
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=2, index=1, log_term=1))
    assert [m.reject for m in take(raw)] == [False]


# -- both ------------------------------------------------------------------------------------


def test_a_pre_candidate_forgets_its_leader() -> None:
    """raft-rs#84, etcd#8334: holding on to it, two pre-candidates refuse each other for ever."""
    network = Network.of(VOTERS, pre_vote=True, check_quorum=True)
    network.elect(1)
    network.isolate(1)
    network.cut(2, 3)
    # Node 2 pre-campaigns in vain, and with it forgets node 1.
    network[2].raw.campaign()
    network.settle()
    assert network.roles()[2] is Role.PRE_CANDIDATE
    assert network.raft(2).leader_id == 0
    network.recover()
    network.isolate(1)
    network.raft(3).election_elapsed = 0
    for _ in range(10):
        network.raft(3).election_elapsed += 1
    network.elect(3)


def test_asymmetric_links_do_not_churn_terms() -> None:
    """A node that hears nobody but is heard by all must not unseat the leader again and again."""
    network = Network.of(VOTERS, pre_vote=True, check_quorum=True)
    network.elect(1)
    network.drop(1, 3)
    network.drop(2, 3)
    network.tick_all(100)
    assert network.leaders() == [1]
    assert network.raft(1).term == 2
