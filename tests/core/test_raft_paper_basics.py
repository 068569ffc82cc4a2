"""The Raft paper, sentence by sentence: what 5.1 and 5.2 say beyond test_raft_paper.py.

docs/paper.md lists every sentence with its test. The nodes have no guards beyond the paper's.
"""

from __future__ import annotations

from itertools import product

import pytest

from raftify.core.types import Entry, Message, MessageType, Role
from tests.core.network import Network, founded, lead, lone, persist, role, take

VOTERS = [1, 2, 3]
FIVE = [1, 2, 3, 4, 5]


# -- §5.1 Raft basics ----------------------------------------------------------------------


@pytest.mark.parametrize(("down", "works"), [(2, True), (3, False)])
def test_five_servers_bear_the_loss_of_two(down: int, works: bool) -> None:
    """§5.1: "five is a typical number, which allows the system to tolerate two failures"."""
    network = Network.of(FIVE)
    network.isolate(*FIVE[: 5 - down])
    network[1].raw.campaign()
    network.settle()
    assert (network.raft(1).role is Role.LEADER) is works
    if works:
        network.propose(1, b"x")
        assert network[1].applied == [b"x"]


def test_followers_issue_no_requests() -> None:
    """§5.1: "Followers are passive: they issue no requests on their own but simply respond to
    requests from leaders and candidates."
    """
    raw = lone(founded(VOTERS), election_tick=10)
    for _ in range(9):
        assert raw.tick() is False
    assert take(raw) == []
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=2))
    [answer] = take(raw)
    assert (answer.msg_type, answer.to) == (MessageType.HEARTBEAT_RESPONSE, 2)


def test_no_votes_give_a_term_two_leaders() -> None:
    """§5.1: "Raft ensures that there is at most one leader in a given term": whichever of two
    candidates each of the other voters hears first, and whatever comes through.
    """
    elected = set()
    for first, heard in product(product([1, 2], repeat=3), product([0, 1, 2], repeat=3)):
        network = Network.of(FIVE)
        for candidate in (1, 2):
            network[candidate].raw.campaign()
        asked = network.collect()
        for voter, preferred, count in zip((3, 4, 5), first, heard, strict=True):
            requests = sorted(
                (m for m in asked if m.to == voter), key=lambda m: m.from_ != preferred
            )
            network.deliver(requests[:count])
        network.settle()
        leaders = [node_id for node_id in network.leaders() if network.raft(node_id).term == 2]
        assert len(leaders) <= 1
        elected.update(leaders or [0])
    assert elected == {0, 1, 2}


def test_a_term_may_end_without_a_leader() -> None:
    """§5.1: "In some situations an election will result in a split vote. In this case the term will
    end with no leader; a new term (with a new election) will begin shortly."
    """
    network = Network.of([1, 2])
    for candidate in (1, 2):
        network[candidate].raw.campaign()
    network.settle()
    assert network.leaders() == []
    network.tick_all(25)
    [leader] = network.leaders()
    assert network.raft(leader).term >= 3


#: Terms travel in every message but these: forwarded as they came, local, or only about an election
#: that may never be held.
_WITHOUT_A_TERM_OF_THEIR_OWN = {
    MessageType.HUP,
    MessageType.BEAT,
    MessageType.PROPOSE,
    MessageType.UNREACHABLE,
    MessageType.SNAP_STATUS,
    MessageType.CHECK_QUORUM,
    MessageType.READ_INDEX,
    MessageType.REQUEST_PRE_VOTE,
    MessageType.REQUEST_PRE_VOTE_RESPONSE,
}


@pytest.mark.parametrize(
    "msg_type", [kind for kind in MessageType if kind not in _WITHOUT_A_TERM_OF_THEIR_OWN]
)
@pytest.mark.parametrize("begin", [Role.FOLLOWER, Role.CANDIDATE, Role.LEADER])
def test_every_message_brings_its_term(msg_type: MessageType, begin: Role) -> None:
    """§5.1: "Current terms are exchanged whenever servers communicate; if one server's current term
    is smaller than the other's, then it updates its current term to the larger value."
    """
    raw = lone(founded(VOTERS))
    if begin is Role.CANDIDATE:
        raw.campaign()
    elif begin is Role.LEADER:
        lead(raw)
    message = Message(msg_type, from_=2, term=7, index=1, log_term=1)
    if msg_type is MessageType.SNAPSHOT:
        message.snapshot = founded(VOTERS).snapshot(1, 1)
    if msg_type is MessageType.READ_INDEX_RESP:
        message.entries = [Entry(data=b"context")]
    raw.step(message)
    # The order to take over is followed at once, in a term of its own.
    if msg_type is MessageType.TIMEOUT_NOW:
        assert (raw.raft.term, role(raw)) == (8, Role.CANDIDATE)
    else:
        assert (raw.raft.term, role(raw)) == (7, Role.FOLLOWER)


def test_what_is_sent_has_the_senders_term() -> None:
    """§5.1: the other direction: every request and answer carries the sender's term."""
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"x")
    network.tick(1)
    assert {message.term for message in network.log} == {2}


def test_unanswered_requests_are_repeated() -> None:
    """§5.1: "Servers retry RPCs if they do not receive a response in a timely manner"."""
    network = Network.of(VOTERS)
    network.ignore(MessageType.REQUEST_VOTE)
    network[1].raw.campaign()
    network.settle()
    network.recover()
    network.tick(1, network.raft(1).randomized_election_timeout)
    assert network.leaders() == [1]
    network.ignore(MessageType.APPEND)
    network.propose(1, b"x")
    network.recover()
    network.tick(1, 2)
    assert [node.applied for node in network.nodes.values()] == [[b"x"]] * 3


# -- §5.2 Leader election ------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MessageType.HEARTBEAT, MessageType.APPEND])
def test_a_follower_that_hears_its_leader_stays_one(kind: MessageType) -> None:
    """§5.2: "A server remains in follower state as long as it receives valid RPCs from a leader or
    candidate."
    """
    raw = lone(founded(VOTERS), election_tick=10)
    for _ in range(10):
        raw.step(Message(kind, from_=2, term=2, index=1, log_term=1, commit=1))
        for _ in range(9):
            raw.tick()
    assert (role(raw), raw.raft.term) == (Role.FOLLOWER, 2)


def test_a_stale_leader_does_not_keep_a_follower() -> None:
    """§5.2: only *valid* requests do: those of an old term do not hold an election back."""
    raw = lone(founded(VOTERS), election_tick=10)
    raw.raft.become_follower(5, 2)
    for _ in range(20):
        raw.step(Message(MessageType.HEARTBEAT, from_=3, term=4))
        raw.tick()
    assert role(raw) is Role.CANDIDATE


def test_votes_of_another_term_do_not_count() -> None:
    """§5.2: a candidate wins with "votes from a majority ... for the same term"."""
    raw = lone(founded(VOTERS))
    raw.campaign()
    raw.campaign()
    assert raw.raft.term == 3
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=2))
    assert role(raw) is Role.CANDIDATE
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=3))
    assert role(raw) is Role.LEADER


def test_who_wins_tells_everybody_at_once() -> None:
    """§5.2: "Once a candidate wins an election, it becomes leader. It then sends heartbeat messages
    to all of the other servers to establish its authority and prevent new elections." (Its first
    append does that, too.)
    """
    raw = lone(founded(FIVE))
    raw.campaign()
    persist(raw)
    take(raw)
    for voter in (2, 3):
        raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=voter, term=2))
    assert sorted((m.msg_type, m.to, m.term) for m in take(raw)) == [
        (MessageType.APPEND, to, 2) for to in (2, 3, 4, 5)
    ]


@pytest.mark.parametrize("kind", [MessageType.APPEND, MessageType.HEARTBEAT, MessageType.SNAPSHOT])
def test_a_candidate_rejects_a_leader_of_an_older_term(kind: MessageType) -> None:
    """§5.2: "If the term in the RPC is smaller than the candidate's current term, then the
    candidate rejects the RPC and continues in candidate state."
    """
    raw = lone(founded(VOTERS))
    raw.campaign()
    raw.campaign()
    take(raw)
    raw.step(Message(kind, from_=2, term=2, snapshot=founded(VOTERS).snapshot(1, 1)))
    assert (role(raw), raw.raft.term, raw.raft.leader_id) == (Role.CANDIDATE, 3, 0)
    # Figure 2: "Reply false if term < currentTerm". A heartbeat comes with a snapshot, too.
    answers = [] if kind is MessageType.SNAPSHOT else [(MessageType.APPEND_RESPONSE, 2, 3)]
    assert [(m.msg_type, m.to, m.term) for m in take(raw)] == answers


def test_a_candidate_waits_for_a_new_timeout() -> None:
    """§5.2: "Each candidate restarts its randomized election timeout at the start of an election,
    and it waits for that timeout to elapse before starting the next election".
    """
    raw = lone(founded(VOTERS), election_tick=10)
    raw.raft.set_randomized_election_timeout(12)
    for _ in range(12):
        raw.tick()
    assert (role(raw), raw.raft.term, raw.raft.election_elapsed) == (Role.CANDIDATE, 2, 0)
    raw.raft.set_randomized_election_timeout(15)
    for _ in range(14):
        raw.tick()
    assert raw.raft.term == 2
    raw.tick()
    assert raw.raft.term == 3
