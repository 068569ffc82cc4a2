"""Replication: what a leader sends and learns, what a follower answers, what commits."""

from __future__ import annotations

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.progress import ProgressState
from raftify.core.types import ConfChange, Entry, Message, MessageType, Role
from raftify.errors import Compacted, InvariantViolation, NoLeader, ProposalDropped
from tests.core.network import (
    Network,
    Node,
    accept,
    config,
    entries,
    founded,
    lead,
    lone,
    persist,
    role,
    stored,
    take,
)

VOTERS = [1, 2, 3]


def test_everybody_applies_the_same_in_the_same_order() -> None:
    network = Network.of(range(1, 6))
    network.elect(1)
    network.propose(1, b"a", b"b")
    network.elect(2)
    network.propose(2, b"c")
    network.propose(4, b"d")
    for node in network.nodes.values():
        assert node.applied == [b"a", b"b", b"c", b"d"]


def test_an_own_entry_counts_only_when_it_is_durable() -> None:
    """Thesis 10.2.1: appends overlap the leader's write, and may commit without it."""
    raw = lone(founded(VOTERS))
    lead(raw)
    accept(raw, 2, 2)
    raw.propose(b"", b"x")
    assert any(m.entries for m in take(raw)), "sent before it is durable here"
    accept(raw, 2, 3)
    assert raw.raft.raft_log.committed == 2
    accept(raw, 3, 3)
    assert raw.raft.raft_log.committed == 3
    assert raw.raft.raft_log.persisted == 2
    ready = raw.ready()
    assert [e.index for e in ready.committed_entries] == [2], "entry 3 is not durable here"


def test_a_minority_commits_nothing_and_its_entries_are_replaced() -> None:
    network = Network.of(range(1, 6))
    network.elect(1)
    network.isolate(1, 2)
    network.propose(1, b"lost", b"lost too")
    assert network.committed()[1] == 2
    network.elect(3)
    network.propose(3, b"kept")
    network.recover()
    network.tick(3)
    assert [node.applied for node in network.nodes.values()] == [[b"kept"]] * 5
    assert len({tuple(node.terms()) for node in network.nodes.values()}) == 1


def test_entries_of_earlier_terms_commit_with_the_new_leaders_first() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(1)
    network.propose(1, b"a")
    network.recover()
    network[1].restart()
    network.elect(1)
    assert network.raft(1).term == 3
    assert [node.applied for node in network.nodes.values()] == [[b"a"]] * 3


def test_a_fresh_leader_knows_nothing_of_the_others() -> None:
    """async-raft#113: match begins at 0, or a dead node counts for a majority."""
    raw = lone(founded([1, 2, 3]))
    lead(raw)
    progress = raw.status().progress
    assert {i: p.matched for i, p in progress.items()} == {1: 2, 2: 0, 3: 0}
    assert {i: p.next_idx for i, p in progress.items()} == {1: 3, 2: 2, 3: 2}


def test_dead_nodes_never_match() -> None:
    network = Network.of(range(1, 6))
    network.isolate(4)
    network.elect(1)
    network.propose(1, b"a", b"b")
    assert network[1].raw.status().progress[4].matched == 0


# -- answers ---------------------------------------------------------------------------------


def leading(**settings: object) -> Node:
    """Return a leader of three at term 2 whose log ends at 2 and is durable."""
    node = Node(config(1, **settings), founded(VOTERS))
    lead(node.raw)
    return node


@pytest.mark.parametrize(
    ("index", "reject", "hint", "matched", "next_idx", "sends", "committed"),
    [
        # Late answers change nothing.
        (0, False, 0, 0, 2, 0, 1),
        # A rejection takes the probe back.
        (1, True, 0, 0, 1, 1, 1),
        # An acceptance brings match and commit.
        (2, False, 0, 2, 3, 1, 2),
    ],
)
def test_a_leader_learns_from_answers(
    index: int, reject: bool, hint: int, matched: int, next_idx: int, sends: int, committed: int
) -> None:
    raw = leading().raw
    raw.step(
        Message(
            MessageType.APPEND_RESPONSE,
            from_=2,
            term=2,
            index=index,
            reject=reject,
            reject_hint=hint,
        )
    )
    progress = raw.status().progress[2]
    assert (progress.matched, raw.raft.raft_log.committed) == (matched, committed)
    sent = [m for m in take(raw) if m.to == 2]
    assert len(sent) == sends
    if reject:
        # Entry 1 is gone: only a snapshot can bring the follower further.
        assert sent[0].msg_type is MessageType.SNAPSHOT
    else:
        assert progress.next_idx == next_idx


def test_a_late_rejection_is_passed_over() -> None:
    raw = leading().raw
    accept(raw, 2, 2)
    take(raw)
    raw.step(Message(MessageType.APPEND_RESPONSE, from_=2, term=2, index=1, reject=True))
    assert take(raw) == []
    assert raw.status().progress[2].state is ProgressState.REPLICATE


def test_an_answer_brings_news_of_the_commit_to_all() -> None:
    raw = leading().raw
    accept(raw, 2, 2)
    raw.propose(b"", b"x")
    persist(raw)
    take(raw)
    accept(raw, 2, 3)
    assert (2, 3) in [(m.to, m.commit) for m in take(raw)]


def test_skip_bcast_commit_waits_for_the_next_message() -> None:
    raw = leading(skip_bcast_commit=True).raw
    for follower in (2, 3):
        accept(raw, follower, 2)
    # As long as a configuration change may be pending everybody is told; apply, and it is not.
    persist(raw)
    raw.advance_apply()
    take(raw)
    raw.propose(b"", b"x")
    persist(raw)
    take(raw)
    accept(raw, 2, 3)
    assert raw.raft.raft_log.committed == 3
    assert take(raw) == []
    raw.skip_bcast_commit(skip=False)
    raw.propose(b"", b"y")
    persist(raw)
    take(raw)
    accept(raw, 2, 4)
    assert {m.to for m in take(raw)} == {2, 3}


def test_skip_bcast_commit_does_not_delay_a_configuration_change() -> None:
    raw = leading(skip_bcast_commit=True).raw
    for follower in (2, 3):
        accept(raw, follower, 2)
    persist(raw)
    raw.advance_apply()
    raw.propose_conf_change(b"", ConfChange(node_id=4))
    persist(raw)
    take(raw)
    accept(raw, 2, 3)
    assert {(m.to, m.commit) for m in take(raw)} == {(2, 3), (3, 3)}


def test_whole_terms_are_skipped_when_logs_part() -> None:
    """cockroach#60612: entry by entry, a long divergent tail takes hours to be found."""
    leader_log = [1, *[5] * 200]
    follower_log = [1, *[2] * 200]
    network = Network(
        [
            Node(config(1), stored([1, 2], leader_log)),
            Node(config(2), stored([1, 2], follower_log)),
        ]
    )
    network.elect(1)
    probes = [m for m in network.log if m.msg_type is MessageType.APPEND_RESPONSE and m.reject]
    assert len(probes) <= 2
    assert network[2].terms() == network[1].terms()


def test_a_follower_ahead_in_terms_is_found_quickly_too() -> None:
    network = Network(
        [
            Node(config(1), stored([1, 2], [1, 3, 3, 3, 3, 3, 3, 3, 7])),
            Node(config(2), stored([1, 2], [1, 3, 3, 4, 4, 5, 5, 5, 6])),
        ]
    )
    network.elect(1)
    rejections = [m for m in network.log if m.msg_type is MessageType.APPEND_RESPONSE and m.reject]
    assert len(rejections) <= 2
    assert network[2].terms() == network[1].terms()


def test_a_late_append_is_answered_with_the_commit_index() -> None:
    raw = lone(stored(VOTERS, [1, 1, 1], commit=3))
    raw.step(Message(MessageType.APPEND, from_=2, term=1, index=1, log_term=1))
    [answer] = take(raw)
    assert (answer.index, answer.commit, answer.reject) == (3, 3, False)


def test_a_follower_whose_storage_forgot_a_term_stops() -> None:
    class Forgetful(MemoryStorage):
        def term(self, index: int) -> int:
            if index == 1:
                return super().term(index)
            raise Compacted("forgot")

    storage = Forgetful()
    storage.set_conf_state(founded(VOTERS).initial_state().conf_state)
    storage.append(entries((1, 1), (2, 1)))
    raw = lone(storage)
    with pytest.raises(InvariantViolation, match="no term for entry 2"):
        raw.step(Message(MessageType.APPEND, from_=2, term=1, index=2, log_term=1))


# -- heartbeats ------------------------------------------------------------------------------


def test_a_heartbeat_never_commits_beyond_what_matches() -> None:
    """scylladb#10578: beyond its match a follower may hold entries of a deposed leader."""
    network = Network(
        [
            Node(config(1), stored(VOTERS, [1, 2, 2, 2], term=2)),
            Node(config(2), stored(VOTERS, [1, 2, 2, 2], term=2)),
            Node(config(3), stored(VOTERS, [1, 1, 1, 1, 1], term=1)),
        ]
    )
    network.drop(1, 3)
    network.elect(1)
    assert network.committed() == {1: 5, 2: 5, 3: 0}
    network.recover()
    network.ignore(MessageType.APPEND)
    network.tick(1)
    beats = [m for m in network.log if m.msg_type is MessageType.HEARTBEAT and m.to == 3]
    assert [m.commit for m in beats] == [0]
    assert network.committed()[3] == 0
    network.recover()
    network.tick(1)
    network.tick(1)
    assert network[3].terms() == network[1].terms()


@pytest.mark.parametrize(("commit", "expected"), [(3, 3), (1, 2)])
def test_a_follower_takes_the_commit_index_of_a_heartbeat(commit: int, expected: int) -> None:
    raw = lone(stored(VOTERS, [1, 1, 1], commit=2))
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=1, commit=commit, context=b"c"))
    [answer] = take(raw)
    assert (answer.msg_type, answer.commit, answer.context) == (
        MessageType.HEARTBEAT_RESPONSE,
        expected,
        b"c",
    )


def test_a_node_that_lost_its_log_says_so_and_does_nothing_more() -> None:
    """etcd-io/raft#25, etcd#10166: a wiped node must give a clear error and never vote."""
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a")
    network.nodes[3] = Node(config(3), founded(VOTERS))
    beat = Message(MessageType.HEARTBEAT, from_=1, to=3, term=2, commit=3)
    with pytest.raises(InvariantViolation, match="lost entries that it had acknowledged"):
        network[3].raw.step(beat)
    with pytest.raises(InvariantViolation, match="stopped for good"):
        network[3].raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=9))


def test_ping_sends_heartbeats_at_once_and_only_from_a_leader() -> None:
    raw = lone(founded(VOTERS))
    raw.ping()
    assert take(raw) == []
    lead(raw)
    raw.ping()
    assert sorted((m.msg_type, m.to) for m in take(raw)) == [
        (MessageType.HEARTBEAT, 2),
        (MessageType.HEARTBEAT, 3),
    ]


def test_a_follower_whose_answers_are_lost_catches_up_after_a_heartbeat() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.ignore(MessageType.APPEND_RESPONSE)
    network.propose(1, b"a")
    assert network.committed()[1] == 2
    network.recover()
    network.tick(1)
    assert network.committed()[1] == 3


# -- proposals -------------------------------------------------------------------------------


def test_a_follower_passes_proposals_on() -> None:
    raw = lone(founded(VOTERS))
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=1))
    take(raw)
    raw.propose(b"ctx", b"x")
    [passed] = take(raw)
    assert (passed.msg_type, passed.to, passed.from_, passed.term) == (
        MessageType.PROPOSE,
        2,
        1,
        0,
    )
    assert [(e.data, e.context) for e in passed.entries] == [(b"x", b"ctx")]


def test_a_follower_told_not_to_pass_proposals_on_drops_them() -> None:
    """etcd-io/raft#73."""
    raw = lone(founded(VOTERS), disable_proposal_forwarding=True)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=1))
    take(raw)
    with pytest.raises(ProposalDropped, match="node 2 leads"):
        raw.propose(b"", b"x")
    assert take(raw) == []


def test_without_a_leader_proposals_are_dropped_with_a_reason() -> None:
    raw = lone(founded(VOTERS))
    with pytest.raises(NoLeader, match="no leader is known in term 1"):
        raw.propose(b"", b"x")
    raw.campaign()
    with pytest.raises(NoLeader, match="an election is under way"):
        raw.propose(b"", b"x")


def test_a_proposal_delivered_twice_is_two_entries_that_share_nothing() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    passed_on = Message(
        MessageType.PROPOSE, from_=2, to=1, entries=[Entry(data=b"x", context=b"c")]
    )
    network.deliver([passed_on, passed_on])
    network.settle()
    assert [(e.index, e.data, e.context) for e in network.raft(1).raft_log.all_entries()[1:]] == [
        (3, b"x", b"c"),
        (4, b"x", b"c"),
    ]
    assert passed_on.entries == [Entry(data=b"x", context=b"c")]


def test_an_empty_proposal_is_a_bug() -> None:
    raw = leading().raw
    with pytest.raises(InvariantViolation, match="at least one entry"):
        raw.propose_batch([])


def test_a_leader_that_hears_a_higher_term_forgets_its_reign() -> None:
    raw = leading().raw
    raw.step(Message(MessageType.APPEND_RESPONSE, from_=2, term=5))
    assert (role(raw), raw.raft.term) == (Role.FOLLOWER, 5)
    assert raw.status().progress == {}


def test_progress_state_after_acceptance() -> None:
    raw = leading().raw
    assert raw.status().progress[2].state is ProgressState.PROBE
    accept(raw, 2, 2)
    assert raw.status().progress[2].state is ProgressState.REPLICATE
