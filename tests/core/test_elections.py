"""Elections beyond the paper's sentences: votes, learners, priorities, what a campaign needs."""

from __future__ import annotations

import pytest

from raftify.core.confchange_codec import encode_conf_change
from raftify.core.memory_storage import MemoryStorage
from raftify.core.types import (
    ConfChange,
    ConfChangeType,
    Entry,
    EntryType,
    Message,
    MessageType,
    Role,
)
from raftify.errors import InvariantViolation
from tests.core.network import (
    Network,
    Node,
    config,
    founded,
    lead,
    lone,
    persist,
    role,
    stored,
    take,
)

VOTERS = [1, 2, 3]
BOTH_KINDS = [
    (MessageType.REQUEST_VOTE, MessageType.REQUEST_VOTE_RESPONSE),
    (MessageType.REQUEST_PRE_VOTE, MessageType.REQUEST_PRE_VOTE_RESPONSE),
]


def test_a_split_vote_is_repeated_and_won_later() -> None:
    network = Network.of(VOTERS)
    network.isolate(3)
    for node_id in (1, 2):
        network[node_id].raw.campaign()
    network.settle()
    assert network.leaders() == []
    network.tick_all(40, without=[2, 3])
    assert network.leaders() == [1]


def test_a_vote_goes_only_to_a_log_that_is_up_to_date() -> None:
    """openraft#1220: a vote merely seen must not become one given."""
    raw = lone(stored(VOTERS, [1, 2, 2]))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=9, index=9, log_term=1))
    [answer] = take(raw)
    assert answer.reject
    assert (raw.raft.term, raw.raft.vote) == (9, 0)
    raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=9, index=3, log_term=2))
    [answer] = take(raw)
    assert not answer.reject
    assert raw.raft.vote == 3


def test_a_vote_may_go_to_a_node_that_is_no_member_yet() -> None:
    """Thesis 4.2.2: the voter may not know of the change that made it one, nor that it left."""
    raw = lone(founded(VOTERS))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=9, term=2, index=1, log_term=1))
    [answer] = take(raw)
    assert (answer.reject, raw.raft.vote) == (False, 9)


def test_who_follows_a_terms_leader_votes_for_nobody_else_in_it() -> None:
    """Its vote may still be free: the leader was elected without it."""
    raw = lone(founded(VOTERS))
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=2))
    take(raw)
    raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=2, index=9, log_term=2))
    [answer] = take(raw)
    assert answer.reject
    assert (raw.raft.vote, raw.raft.leader_id) == (0, 2)


@pytest.mark.parametrize(("asks", "responds"), BOTH_KINDS)
@pytest.mark.parametrize("role_before", list(Role))
def test_every_role_answers_vote_requests_of_a_later_term(
    asks: MessageType, responds: MessageType, role_before: Role
) -> None:
    raw = lone(founded(VOTERS), pre_vote=True)
    if role_before is Role.LEADER:
        lead(raw)
    elif role_before is not Role.FOLLOWER:
        raw.campaign()
        if role_before is Role.CANDIDATE:
            raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=2, term=2))
    take(raw)
    assert role(raw) is role_before
    raw.step(Message(asks, from_=2, term=7, index=9, log_term=2))
    [answer] = take(raw)
    assert (answer.msg_type, answer.reject, answer.term) == (responds, False, 7)
    if asks is MessageType.REQUEST_PRE_VOTE:
        assert role(raw) is role_before, "a pre-vote disturbs nobody"
    else:
        assert (role(raw), raw.raft.vote) == (Role.FOLLOWER, 2)


def test_a_granted_vote_restarts_the_election_timer_and_a_refused_one_does_not() -> None:
    raw = lone(founded(VOTERS))
    for _ in range(5):
        raw.tick()
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=1, index=0, log_term=0))
    assert raw.raft.election_elapsed == 5
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=1, index=1, log_term=1))
    assert raw.raft.election_elapsed == 0


def test_candidates_and_pre_candidates_count_only_their_own_kind_of_answer() -> None:
    """canonical/raft#196: a late pre-vote answer must not make a candidate leader."""
    raw = lone(founded(range(1, 6)), pre_vote=True)
    raw.campaign()
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=1))
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=3, term=1))
    assert role(raw) is Role.PRE_CANDIDATE
    raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=2, term=2))
    raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=3, term=2))
    assert (role(raw), raw.raft.term, raw.raft.vote) == (Role.CANDIDATE, 2, 1)
    raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=4, term=2))
    raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=5, term=2))
    assert (role(raw), raw.raft.vote) == (Role.CANDIDATE, 1)
    persist(raw)
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=4, term=2))
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=5, term=2))
    assert role(raw) is Role.LEADER


@pytest.mark.parametrize(("own", "theirs", "granted"), [(2, 1, False), (2, 2, True), (2, 3, True)])
def test_priority_decides_among_equal_logs_only(own: int, theirs: int, granted: bool) -> None:
    for index, expected in ((1, granted), (2, True)):
        raw = lone(founded(VOTERS), priority=own)
        raw.step(
            Message(
                MessageType.REQUEST_VOTE, from_=2, term=2, index=index, log_term=1, priority=theirs
            )
        )
        [answer] = take(raw)
        assert answer.reject is not expected


def test_priority_does_not_decide_against_a_shorter_log_of_a_later_term() -> None:
    """Storm 73: the longer log was of an older term, so that its node could not be elected; it
    refused the others for their lower priority, and nobody led any more."""
    storage = founded(VOTERS)
    storage.append([Entry(term=1, index=2), Entry(term=1, index=3)])
    raw = lone(storage, priority=2)
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=3, index=2, log_term=2, priority=1))
    [answer] = take(raw)
    assert not answer.reject


def test_who_cannot_be_elected_does_not_insist_on_its_priority() -> None:
    """It may be a voter since a change that it does not know to be committed."""
    raw = lone(founded([2, 3]), priority=2)
    assert not raw.raft.promotable
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=2, index=1, log_term=1, priority=1))
    [answer] = take(raw)
    assert not answer.reject


def test_vote_requests_carry_the_priority() -> None:
    raw = lone(founded(VOTERS))
    raw.set_priority(7)
    raw.campaign()
    assert [message.priority for message in take(raw)] == [7, 7]


# -- what stands against a campaign ----------------------------------------------------------


def test_a_node_without_configuration_never_campaigns() -> None:
    raw = lone(MemoryStorage())
    for _ in range(100):
        raw.tick()
    raw.campaign()
    raw.step(Message(MessageType.TIMEOUT_NOW, from_=2, term=1))
    assert role(raw) is Role.FOLLOWER
    assert raw.campaign_blocker() == "it has no configuration yet; a leader must send it one"


def test_a_learner_never_campaigns() -> None:
    raw = lone(founded([1, 2], [3]), 3)
    for _ in range(100):
        raw.tick()
    raw.campaign()
    raw.step(Message(MessageType.TIMEOUT_NOW, from_=2, term=1))
    assert role(raw) is Role.FOLLOWER
    assert raw.campaign_blocker() == "it is no voter of the configuration it knows"


def test_a_leader_does_not_campaign() -> None:
    raw = lone(founded(VOTERS))
    assert raw.campaign_blocker() is None
    lead(raw)
    raw.campaign()
    assert (role(raw), raw.raft.term) == (Role.LEADER, 2)
    assert raw.campaign_blocker() == "it leads already"


def test_a_committed_configuration_change_must_be_applied_first() -> None:
    """Who must vote may be about to change (etcd#11510 and others)."""
    storage = founded(VOTERS)
    change = encode_conf_change(ConfChange(0, ConfChangeType.ADD_NODE, 4))
    storage.append([Entry(EntryType.CONF_CHANGE, term=1, index=2, data=change)])
    raw = lone(storage)
    assert raw.campaign_blocker() is None, "not committed yet"
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=1, commit=2))
    assert raw.campaign_blocker() == "a committed configuration change has yet to be applied"
    raw.campaign()
    assert role(raw) is Role.FOLLOWER
    ready = persist(raw)
    assert len(ready.committed_entries) == 1
    raw.apply_conf_change(ConfChange(0, ConfChangeType.ADD_NODE, 4))
    raw.advance_apply()
    assert raw.campaign_blocker() is None


def test_entries_that_cannot_be_read_now_stand_against_a_campaign() -> None:
    storage = stored(VOTERS, [1, 1], commit=2)
    storage.trigger_log_unavailable(True)
    raw = lone(storage)
    raw.campaign()
    assert role(raw) is Role.FOLLOWER
    blocker = raw.campaign_blocker()
    assert blocker is not None
    assert "fetching" in blocker
    storage.trigger_log_unavailable(False)
    assert raw.campaign_blocker() is None


def test_a_sole_voter_waits_until_its_log_is_durable() -> None:
    """Its own vote decides at once, and must stand for what a crash cannot take back."""
    raw = lone(founded([1]))
    raw.campaign()
    assert role(raw) is Role.LEADER
    raw.raft.become_follower(3, 0)
    assert raw.campaign_blocker() == "its log is not durable yet"
    raw.campaign()
    assert role(raw) is Role.FOLLOWER
    persist(raw)
    raw.campaign()
    assert (role(raw), raw.raft.term) == (Role.LEADER, 4)


# -- what roles forbid -----------------------------------------------------------------------


def test_forbidden_transitions() -> None:
    raw = lone(founded(VOTERS))
    with pytest.raises(InvariantViolation, match="follower cannot become leader"):
        raw.raft.become_leader()
    lead(raw)
    with pytest.raises(InvariantViolation, match="cannot become candidate"):
        raw.raft.become_candidate()
    with pytest.raises(InvariantViolation, match="cannot become pre-candidate"):
        raw.raft.become_pre_candidate()


def test_winning_with_a_log_that_is_not_durable_is_a_broken_invariant() -> None:
    raw = lone(founded(VOTERS))
    raw.step(
        Message(
            MessageType.APPEND,
            from_=2,
            term=1,
            index=1,
            log_term=1,
            entries=[Entry(term=1, index=2)],
        )
    )
    raw.campaign()
    with pytest.raises(InvariantViolation, match="on_persist_ready must come before"):
        raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=2))


def test_the_timeout_can_be_set_within_its_range() -> None:
    raw = lone(founded(VOTERS), election_tick=10)
    raw.raft.set_randomized_election_timeout(19)
    for _ in range(18):
        assert not raw.tick()
    assert raw.tick()
    for wrong in (9, 20):
        with pytest.raises(InvariantViolation, match="range"):
            raw.raft.set_randomized_election_timeout(wrong)


def test_vote_messages_need_a_term() -> None:
    raw = lone(founded(VOTERS))
    with pytest.raises(InvariantViolation, match="needs the term"):
        raw.raft.send(Message(MessageType.REQUEST_VOTE, to=2))


# -- commit by vote --------------------------------------------------------------------------


def behind(role_before: Role) -> tuple[MemoryStorage, dict[str, bool]]:
    return stored(VOTERS, [1, 1, 1], commit=1), {"pre_vote": role_before is Role.PRE_CANDIDATE}


@pytest.mark.parametrize("role_before", [Role.FOLLOWER, Role.CANDIDATE, Role.PRE_CANDIDATE])
def test_commit_is_learned_from_the_messages_of_a_campaign(role_before: Role) -> None:
    """raft-rs: without a leader nobody else tells what is committed."""
    storage, settings = behind(role_before)
    raw = lone(storage, **settings)
    if role_before is Role.FOLLOWER:
        # A refused candidate still brings its knowledge along.
        raw.step(
            Message(
                MessageType.REQUEST_VOTE,
                from_=2,
                term=2,
                index=2,
                log_term=1,
                commit=2,
                commit_term=1,
            )
        )
    else:
        raw.campaign()
        kind = BOTH_KINDS[role_before is Role.PRE_CANDIDATE][1]
        raw.step(Message(kind, from_=2, term=raw.raft.term, reject=True, commit=2, commit_term=1))
    assert raw.raft.raft_log.committed == 2
    assert role(raw) is role_before


@pytest.mark.parametrize(
    ("commit", "commit_term"), [(0, 0), (2, 0), (0, 1), (1, 1), (2, 9), (9, 1)]
)
def test_commit_of_a_campaign_is_taken_only_where_the_logs_match(
    commit: int, commit_term: int
) -> None:
    raw = lone(stored(VOTERS, [1, 1, 1], commit=1))
    raw.step(
        Message(MessageType.REQUEST_VOTE, from_=2, term=2, commit=commit, commit_term=commit_term)
    )
    assert raw.raft.raft_log.committed == 1


def test_a_refusal_tells_what_is_committed() -> None:
    raw = lone(stored(VOTERS, [1, 2, 2], commit=2))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=3, index=1, log_term=1))
    [answer] = take(raw)
    assert (answer.commit, answer.commit_term) == (2, 2)


def test_a_candidate_that_learns_of_a_configuration_change_gives_up() -> None:
    storage = founded(range(1, 6))
    change = encode_conf_change(ConfChange(0, ConfChangeType.ADD_NODE, 6))
    storage.append([Entry(EntryType.CONF_CHANGE, term=1, index=2, data=change)])
    raw = lone(storage)
    raw.campaign()
    answer = Message(
        MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=2, reject=True, commit=2, commit_term=1
    )
    raw.step(answer)
    assert role(raw) is Role.FOLLOWER


def test_a_leader_learns_nothing_from_votes() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(1)
    network.propose(1, b"x")
    late = Message(MessageType.REQUEST_VOTE, from_=2, to=1, term=2, commit=3, commit_term=2)
    network.deliver([late])
    assert network.committed()[1] == 2


# -- clusters --------------------------------------------------------------------------------


def test_all_restart_and_nothing_committed_changes() -> None:
    """PySyncObj#84, #201: whoever forgets term and vote lets a slow starter overwrite all."""
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network.propose(1, b"a", b"b")
    network.recover()
    for node in network.nodes.values():
        node.restart()
    network.raft(3).set_randomized_election_timeout(10)
    network.raft(1).set_randomized_election_timeout(15)
    network.raft(2).set_randomized_election_timeout(18)
    network.tick_all(60)
    assert len(network.leaders()) == 1
    assert network.leaders() != [3]
    assert [node.applied for node in network.nodes.values()] == [[b"a", b"b"]] * 3


def test_a_sole_node_restarts_and_applies_everything_once() -> None:
    """openraft#1246: committed entries must be applied again by an empty state machine."""
    network = Network([Node(config(1), founded([1]))])
    network.elect(1)
    network.propose(1, b"a", b"b")
    network[1].restart()
    network.elect(1)
    assert network[1].applied == [b"a", b"b"]


def test_partial_connectivity_finds_a_stable_leader() -> None:
    """decentralizedthoughts 2020-12-12: five nodes, links 1-2, 1-3, 2-3, 2-4, 3-5 only."""
    network = Network.of(range(1, 6), check_quorum=True, pre_vote=True)
    links = {(1, 2), (1, 3), (2, 3), (2, 4), (3, 5)}
    for one in range(1, 6):
        for other in range(one + 1, 6):
            if (one, other) not in links:
                network.cut(one, other)
    network.tick_all(60)
    leaders = network.leaders()
    assert len(leaders) == 1
    term = network.raft(leaders[0]).term
    before = network.committed()[leaders[0]]
    network.tick_all(60)
    assert network.leaders() == leaders
    network.propose(leaders[0], b"x")
    assert network.committed()[leaders[0]] == before + 1
    assert network.raft(leaders[0]).term == term
