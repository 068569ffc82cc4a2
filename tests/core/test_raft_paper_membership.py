"""The Raft paper's section 6 (extended version) and the thesis on membership and clients.

Sentence by sentence; docs/paper.md lists each with its test. Nodes go by the configuration that
they have applied, not by the newest in their log (docs/decisions/0002).
"""

from __future__ import annotations

import pytest

from raftify.core.types import ConfChangeTransition, ConfState, Message, MessageType, Role
from raftify.errors import LeaderTransferring, NotLeader, PendingConfChange
from tests.core.changes import (
    ADD,
    LEARNER,
    REMOVE,
    change,
    conf,
    joined,
    joint,
    make,
    ready_leader,
)
from tests.core.network import Network, accept, founded, lead, lone, persist, role, take

VOTERS = [1, 2, 3]
EXPLICIT = ConfChangeTransition.EXPLICIT


def old_and_new() -> Network:
    """Return a cluster in the joint configuration of (1 2 3) and (1 4 5), led by 1."""
    network = Network.of(VOTERS)
    network.elect(1)
    joined(network, 4)
    joined(network, 5)
    change_all = joint((ADD, 4), (ADD, 5), (REMOVE, 2), (REMOVE, 3), transition=EXPLICIT)
    make(network, 1, change_all)
    assert conf(network, 5) == ConfState((1, 4, 5), voters_outgoing=(1, 2, 3))
    return network


# -- §6, thesis 4.3: joint consensus -------------------------------------------------------


def test_joint_entries_go_to_both_configurations() -> None:
    """§6: "Log entries are replicated to all servers in both configurations."."""
    network = old_and_new()
    network.propose(1, b"x")
    assert [node.applied for node in network.nodes.values()] == [[b"x"]] * 5


@pytest.mark.parametrize("node_id", [2, 4])
def test_joint_any_server_of_either_may_lead(node_id: int) -> None:
    """§6: "Any server from either configuration may serve as leader."."""
    network = old_and_new()
    network.elect(node_id)
    network.propose(node_id, b"x")
    assert network[1].applied == [b"x"]


@pytest.mark.parametrize(
    ("up", "wins"),
    [
        ({1, 2, 4}, True),
        ({2, 3, 4, 5}, True),
        ({1, 2, 3}, False),
        ({1, 4, 5}, False),
    ],
)
def test_joint_agreement_needs_separate_majorities(up: set[int], wins: bool) -> None:
    """§6: "Agreement (for elections and entry commitment) requires separate majorities from both
    the old and new configurations."
    """
    network = old_and_new()
    network.isolate(*(set(network.nodes) - up))
    candidate = max(up - {1})
    network[candidate].raw.campaign()
    network.settle()
    assert (network.raft(candidate).role is Role.LEADER) is wins


def test_joint_requests_are_served_all_the_time() -> None:
    """§6: "Joint consensus ... allows the cluster to continue servicing client requests throughout
    the configuration change."
    """
    network = Network.of(VOTERS)
    network.elect(1)
    joined(network, 4)
    applied = []
    network[1].raw.propose_conf_change(b"", joint((ADD, 4), (REMOVE, 3)))
    for number in range(6):
        applied.append(b"%d" % number)
        network.propose(1, applied[-1])
        network.tick(1)
        assert network[1].applied == applied
    assert conf(network, 1) == ConfState((1, 2, 4))


def test_the_new_configuration_is_proposed_when_the_joint_one_is_committed() -> None:
    """§6: "Once C_old,new has been committed ... it is now safe for the leader to create a log
    entry describing C_new": not before, though the entry is in its log.
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(1)
    network[1].raw.propose_conf_change(b"", joint((REMOVE, 3), (LEARNER, 2)))
    network.settle()
    network.tick(1, 3)
    assert len(network[1].terms()) == 2
    network.recover()
    network.tick(1, 4)
    assert conf(network, 1) == ConfState((1,), learners=(2,))
    assert len(network[1].terms()) == 3


def test_a_leader_that_leaves_does_not_count_itself() -> None:
    """§6: "there will be a period of time ... when the leader is managing a cluster that does not
    include itself; it replicates log entries but does not count itself in majorities."
    """
    raw = ready_leader(VOTERS)
    raw.apply_conf_change(joint((REMOVE, 1), (ADD, 4), transition=EXPLICIT))
    raw.propose(b"", b"x")
    persist(raw)
    # With itself it would be a majority of (2 3 4), too.
    accept(raw, 2, 3)
    assert raw.raft.raft_log.committed == 2
    accept(raw, 4, 3)
    assert raw.raft.raft_log.committed == 3


def test_new_servers_are_brought_up_before_they_vote() -> None:
    """§6: "the new servers join the cluster as non-voting members (the leader replicates log
    entries to them, but they are not considered for majorities)"; thesis 4.2.1.
    """
    network = Network.of(VOTERS)
    network.elect(1)
    joined(network, 4)
    network.propose(1, b"a")
    make(network, 1, change(LEARNER, 4))
    assert network.raft(4).raft_log.committed == network.raft(1).raft_log.committed == 4
    network.isolate(1, 4)
    network[1].raw.propose(b"", b"x")
    network.settle()
    assert network.raft(1).raft_log.committed == 4
    network.recover()
    make(network, 1, change(ADD, 4))
    assert conf(network, 4) == ConfState((1, 2, 3, 4))


@pytest.mark.parametrize("guarded", [True, False])
def test_removed_servers_do_not_disturb_who_hears_a_leader(guarded: bool) -> None:
    """§6: "servers disregard RequestVote RPCs when they believe a current leader exists. ... if a
    server receives a RequestVote RPC within the minimum election timeout of hearing from a current
    leader, it does not update its term or grant its vote."; thesis 4.2.3. (With check_quorum; the
    paper's bare algorithm is disturbed.)
    """
    raw = lone(founded(VOTERS), check_quorum=guarded, election_tick=10)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=2, commit=1))
    take(raw)
    for _ in range(9):
        raw.tick()
    raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=9, index=9, log_term=9))
    assert (raw.raft.term, raw.raft.vote) == ((2, 0) if guarded else (9, 3))


def test_a_node_without_a_leader_for_a_timeout_votes_again() -> None:
    """§6: "This does not affect normal elections, where each server waits at least a minimum
    election timeout before starting an election."
    """
    raw = lone(founded(VOTERS), check_quorum=True, election_tick=10)
    raw.raft.set_randomized_election_timeout(19)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=2, commit=1))
    for _ in range(10):
        raw.tick()
    raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=3, index=9, log_term=1))
    assert (raw.raft.term, raw.raft.vote) == (3, 3)


# -- thesis 4.1: one server at a time ------------------------------------------------------


def test_the_next_change_waits_for_the_one_before() -> None:
    """Thesis 4.1: the next change may begin when the one before is committed, and not while it is
    under way: majorities two changes apart need not meet. (Here: when it is applied.)
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(1)
    network[1].raw.propose_conf_change(b"", change(REMOVE, 3))
    with pytest.raises(PendingConfChange):
        network[1].raw.propose_conf_change(b"", change(REMOVE, 2))
    network.settle()
    with pytest.raises(PendingConfChange):
        network[1].raw.propose_conf_change(b"", change(REMOVE, 2))
    network.recover()
    network.tick(1, 2)
    network[1].raw.propose_conf_change(b"", change(REMOVE, 2))
    network.settle()
    assert conf(network, 1) == ConfState((1,))


def test_a_server_outside_its_own_configuration_is_still_answered() -> None:
    """Thesis 4.1: a server takes appends from a leader that is not in its configuration, and votes
    for a candidate that is not: its own may be older than theirs.
    """
    raw = lone(founded([1, 2]))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=9, term=2, index=1, log_term=1))
    [vote] = take(raw)
    assert (vote.to, vote.reject) == (9, False)
    raw.step(Message(MessageType.APPEND, from_=9, term=2, index=1, log_term=1))
    [answer] = take(raw)
    assert (answer.to, answer.reject, raw.raft.leader_id) == (9, False, 9)


def test_a_leader_removes_itself_and_hands_over_by_election() -> None:
    """Thesis 4.2.2: "a leader that is removed from the configuration steps down once the C_new
    entry is committed."
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(1)
    network[1].raw.propose_conf_change(b"", change(REMOVE, 1))
    network.settle()
    assert network.raft(1).role is Role.LEADER
    network.recover()
    network.tick(1, 2)
    assert network.raft(1).role is Role.FOLLOWER
    assert network.raft(1).raft_log.committed == 3
    network.tick_all(30)
    [leader] = network.leaders()
    assert leader in (2, 3)


# -- thesis 3.10: leadership transfer ------------------------------------------------------


def test_a_transfer_step_by_step() -> None:
    """Thesis 3.10: 1. "The prior leader stops accepting new client requests." 2. "The prior leader
    fully updates the target server's log". 3. "The prior leader sends a TimeoutNow request to the
    target server. This request has the same effect as the target server's election timer firing".
    """
    raw = lone(founded(VOTERS))
    lead(raw)
    accept(raw, 3, 2)
    take(raw)
    raw.transfer_leader(2)
    with pytest.raises(LeaderTransferring):
        raw.propose(b"", b"x")
    raw.tick()
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    kinds = [m.msg_type for m in take(raw) if m.to == 2]
    assert MessageType.TIMEOUT_NOW not in kinds
    accept(raw, 2, 2)
    assert MessageType.TIMEOUT_NOW in [m.msg_type for m in take(raw) if m.to == 2]

    target = lone(founded(VOTERS), pre_vote=True, check_quorum=True)
    target.step(Message(MessageType.HEARTBEAT, from_=1, term=2, commit=1))
    take(target)
    target.step(Message(MessageType.TIMEOUT_NOW, from_=1, term=2))
    assert (role(target), target.raft.term) == (Role.CANDIDATE, 3)
    assert {m.msg_type for m in take(target)} == {MessageType.REQUEST_VOTE}


def test_a_transfer_that_fails_is_given_up_after_an_election_timeout() -> None:
    """Thesis 3.10: "If leadership transfer does not complete after about an election timeout, the
    prior leader aborts the transfer and resumes accepting client requests."
    """
    raw = lone(founded(VOTERS), election_tick=10)
    lead(raw)
    accept(raw, 2, 2)
    raw.transfer_leader(2)
    for _ in range(9):
        raw.tick()
    with pytest.raises(LeaderTransferring):
        raw.propose(b"", b"x")
    raw.tick()
    raw.propose(b"", b"x")
    assert (role(raw), raw.raft.raft_log.last_index()) == (Role.LEADER, 3)


# -- thesis 6.2 to 6.4: clients ------------------------------------------------------------


def test_who_does_not_lead_says_who_does() -> None:
    """Thesis 6.2: who is asked and does not lead either names the leader, if it knows one, or
    passes the request on.
    """
    network = Network.of(VOTERS)
    with pytest.raises(NotLeader) as refused:
        network[2].raw.propose_batch([])
    assert refused.value.leader_id == 0
    network.elect(1)
    with pytest.raises(NotLeader) as refused:
        network[2].raw.propose_batch([])
    assert refused.value.leader_id == 1
    network.propose(2, b"x")
    assert network[3].applied == [b"x"]


def test_a_leader_that_nobody_answers_steps_down() -> None:
    """Thesis 6.2: "a leader in Raft steps down if an election timeout elapses without a successful
    round of heartbeats to a majority of its cluster".
    """
    network = Network.of(VOTERS, check_quorum=True, election_tick=10)
    network.elect(1)
    network.tick(1, 10)
    network.isolate(1)
    network.tick(1, 9)
    assert network.leaders() == [1]
    network.tick(1, 11)
    assert network.leaders() == []


def test_a_read_step_by_step() -> None:
    """Thesis 6.4: the leader waits until it committed in its term, remembers its commit index, has
    a majority acknowledge a new round of heartbeats, and answers at the index remembered.
    """
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.read_index(b"r")
    assert not [m for m in take(raw) if m.context]
    accept(raw, 2, 2)
    beats = [m for m in take(raw) if m.msg_type is MessageType.HEARTBEAT]
    assert sorted(m.to for m in beats) == [2, 3]
    # What commits afterwards is none of the read's business.
    raw.propose(b"", b"x")
    persist(raw)
    accept(raw, 2, 3)
    assert (raw.raft.raft_log.committed, raw.raft.read_states) == (3, [])
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=3, term=2, context=beats[0].context))
    [read] = raw.raft.read_states
    assert (read.index, read.request_ctx) == (2, b"r")


def test_one_round_serves_all_reads_that_wait_for_it() -> None:
    """Thesis 6.4: one round of heartbeats serves any number of reads that were collected: here
    those that waited for a new leader's first commit.
    """
    raw = lone(founded(VOTERS))
    lead(raw)
    for number in range(100):
        raw.read_index(b"%d" % number)
    accept(raw, 2, 2)
    beats = [m for m in take(raw) if m.msg_type is MessageType.HEARTBEAT and m.context]
    assert len(beats) == 2, "one round, to two followers"
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=3, term=2, context=beats[0].context))
    assert [r.request_ctx for r in raw.raft.read_states] == [b"%d" % i for i in range(100)]


def test_followers_ask_the_leader_for_an_index() -> None:
    """Thesis 6.4: a follower asks the leader for an index, and serves the read itself."""
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"x")
    network[3].raw.read_index(b"r")
    network.settle()
    assert [(read.index, read.request_ctx) for read in network[3].reads] == [(3, b"r")]
    assert network[1].reads == []
