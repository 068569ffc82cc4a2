"""The Raft paper, sentence by sentence (Ongaro and Ousterhout, extended version).

Each test quotes the section it tests. Nodes here have no guards beyond the paper's: neither
pre-vote nor the quorum check.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftify.core.raw_node import RawNode
from raftify.core.types import HardState, Message, MessageType, Role
from tests.core.network import (
    Node,
    config,
    entries,
    founded,
    lead,
    lone,
    role,
    stored,
    take,
)

VOTERS = [1, 2, 3]


def candidate(raw: RawNode) -> None:
    raw.campaign()
    take(raw)


def follower_of_2(raw: RawNode) -> None:
    raw.step(Message(MessageType.APPEND, from_=2, term=raw.raft.term + 1))
    take(raw)


# -- §5.1 Raft basics ----------------------------------------------------------------------


@pytest.mark.parametrize("become", [follower_of_2, candidate, lead])
def test_a_larger_term_is_taken_over_and_makes_a_follower(
    become: Callable[[RawNode], None],
) -> None:
    """§5.1: "If one server's current term is smaller than the other's, then it updates its current
    term to the larger value. If a candidate or leader discovers that its term is out of date, it
    immediately reverts to follower state."
    """
    raw = lone(founded(VOTERS))
    become(raw)
    raw.step(Message(MessageType.APPEND, from_=3, term=9))
    assert (raw.raft.term, raw.raft.role, raw.raft.leader_id) == (9, Role.FOLLOWER, 3)


def test_a_stale_term_is_rejected() -> None:
    """§5.1: "If a server receives a request with a stale term number, it rejects the request."."""
    raw = lone(founded(VOTERS))
    raw.raft.become_follower(5, 2)
    raw.step(
        Message(MessageType.APPEND, from_=3, term=4, index=1, log_term=1, entries=entries((2, 4)))
    )
    raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=4, index=9, log_term=4))
    assert take(raw) == []
    assert raw.raft.raft_log.last_index() == 1
    assert (raw.raft.leader_id, raw.raft.vote) == (2, 0)


# -- §5.2 Leader election ------------------------------------------------------------------


def test_servers_start_as_followers() -> None:
    """§5.2: "When servers start up, they begin as followers."."""
    assert lone(founded(VOTERS)).raft.role is Role.FOLLOWER
    assert lone(stored(VOTERS, [1, 2], term=7, vote=1, commit=1)).raft.role is Role.FOLLOWER


def test_a_leader_sends_heartbeats_every_interval() -> None:
    """§5.2: "Leaders send periodic heartbeats ... to all followers in order to maintain their
    authority."
    """
    raw = lone(founded(VOTERS), heartbeat_tick=3, election_tick=10)
    lead(raw)
    counts = []
    for _ in range(6):
        raw.tick()
        counts.append(sorted((m.msg_type.name, m.to) for m in take(raw)))
    beat = [("HEARTBEAT", 2), ("HEARTBEAT", 3)]
    assert counts == [[], [], beat, [], [], beat]


@pytest.mark.parametrize("begin", ["follower", "candidate"])
def test_without_a_leader_an_election_begins(begin: str) -> None:
    """§5.2: "If a follower receives no communication over a period of time called the election
    timeout, then it ... begins an election"; "To begin an election, a follower increments its
    current term and transitions to candidate state. It then votes for itself and issues RequestVote
    RPCs in parallel to each of the other servers"; a candidate whose election ends without a winner
    "will time out and start a new election by incrementing its term".
    """
    raw = lone(founded(VOTERS))
    if begin == "candidate":
        candidate(raw)
    before = raw.raft.term
    for _ in range(2 * raw.raft.election_timeout):
        raw.tick()
        if raw.raft.term > before:
            break
    assert (raw.raft.term, raw.raft.role, raw.raft.vote) == (before + 1, Role.CANDIDATE, 1)
    asked = take(raw)
    assert sorted((m.msg_type, m.to, m.term) for m in asked) == [
        (MessageType.REQUEST_VOTE, 2, before + 1),
        (MessageType.REQUEST_VOTE, 3, before + 1),
    ]


@pytest.mark.parametrize(
    ("size", "votes", "expected"),
    [
        (1, {}, Role.LEADER),
        (3, {2: True, 3: True}, Role.LEADER),
        (3, {2: True}, Role.LEADER),
        (5, {2: True, 3: True, 4: True, 5: True}, Role.LEADER),
        (5, {2: True, 3: True, 4: True}, Role.LEADER),
        (5, {2: True, 3: True}, Role.LEADER),
        # Enough refuse: a follower again.
        (3, {2: False, 3: False}, Role.FOLLOWER),
        (5, {2: False, 3: False, 4: False, 5: False}, Role.FOLLOWER),
        (5, {2: True, 3: False, 4: False, 5: False}, Role.FOLLOWER),
        # Undecided.
        (3, {}, Role.CANDIDATE),
        (5, {2: True}, Role.CANDIDATE),
        (5, {2: False, 3: False}, Role.CANDIDATE),
        (5, {}, Role.CANDIDATE),
    ],
)
def test_a_majority_decides(size: int, votes: dict[int, bool], expected: Role) -> None:
    """§5.2: "A candidate wins an election if it receives votes from a majority of the servers in
    the full cluster for the same term."
    """
    raw = lone(founded(range(1, size + 1)))
    raw.campaign()
    for voter, granted in votes.items():
        raw.step(
            Message(
                MessageType.REQUEST_VOTE_RESPONSE,
                from_=voter,
                term=raw.raft.term,
                reject=not granted,
            )
        )
    assert role(raw) is expected
    assert raw.raft.term == 2


def test_a_repeated_vote_counts_once() -> None:
    """§5.2: votes are counted per server; the network may deliver one twice."""
    raw = lone(founded(range(1, 6)))
    raw.campaign()
    for _ in range(3):
        raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=raw.raft.term))
    assert role(raw) is Role.CANDIDATE


@pytest.mark.parametrize(
    ("voted_for", "asks", "granted"),
    [(0, 2, True), (0, 3, True), (2, 2, True), (3, 3, True), (2, 3, False), (3, 2, False)],
)
def test_one_vote_per_term_first_come_first_served(
    voted_for: int, asks: int, granted: bool
) -> None:
    """§5.2: "Each server will vote for at most one candidate in a given term, on a
    first-come-first-served basis."
    """
    raw = lone(founded(VOTERS))
    raw.raft.load_state(HardState(term=2, vote=voted_for, commit=1))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=asks, term=2, index=9, log_term=2))
    [answer] = take(raw)
    assert (answer.msg_type, answer.reject) == (MessageType.REQUEST_VOTE_RESPONSE, not granted)
    assert raw.raft.vote == (asks if granted else voted_for)


@pytest.mark.parametrize("term", [2, 3])
def test_a_candidate_yields_to_a_leader_of_its_term_or_a_later_one(term: int) -> None:
    """§5.2: "If the leader's term ... is at least as large as the candidate's current term, then
    the candidate recognizes the leader as legitimate and returns to follower state."
    """
    for msg_type in (MessageType.APPEND, MessageType.HEARTBEAT, MessageType.SNAPSHOT):
        raw = lone(founded(VOTERS))
        candidate(raw)
        message = Message(msg_type, from_=2, term=term)
        if msg_type is MessageType.SNAPSHOT:
            message.snapshot = founded(VOTERS).snapshot(1, 1)
        raw.step(message)
        assert (role(raw), raw.raft.leader_id, raw.raft.term) == (Role.FOLLOWER, 2, term)


def test_election_timeouts_are_random() -> None:
    """§5.2: "election timeouts are chosen randomly from a fixed interval"; "Each candidate restarts
    its randomized election timeout at the start of an election".
    """
    raw = lone(founded(VOTERS), election_tick=10)
    drawn = set()
    for _ in range(300):
        raw.raft.become_follower(raw.raft.term + 1, 2)
        drawn.add(raw.raft.randomized_election_timeout)
    assert drawn == set(range(10, 20))
    drawn.clear()
    for _ in range(300):
        raw.campaign()
        drawn.add(raw.raft.randomized_election_timeout)
    assert drawn == set(range(10, 20))


def test_random_timeouts_make_split_votes_rare() -> None:
    """§5.2: "Raft uses randomized election timeouts to ensure that split votes are rare"."""
    collisions = 0
    for seed in range(200):
        nodes = [Node(config(i), founded(range(1, 6)), seed) for i in range(1, 6)]
        timeouts = sorted(node.raft.randomized_election_timeout for node in nodes)
        collisions += timeouts[0] == timeouts[1]
    assert collisions < 100
