"""The Raft paper, sentence by sentence: log replication and safety (sections 5.3 to 5.5)."""

from __future__ import annotations

import pytest

from raftify.core.types import Entry, Message, MessageType
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
    stored,
    take,
)

VOTERS = [1, 2, 3]


# -- §5.3 Log replication ------------------------------------------------------------------


def test_a_leader_appends_and_sends_what_is_proposed() -> None:
    """§5.3: "The leader appends the command to its log as a new entry, then issues AppendEntries
    RPCs in parallel to each of the other servers"; "the leader includes the index and term of the
    entry in its log that immediately precedes the new entries".
    """
    raw = lone(founded(VOTERS))
    lead(raw)
    for follower in (2, 3):
        accept(raw, follower, 2)
    take(raw)
    raw.propose(b"", b"x")
    expected = Entry(term=2, index=3, data=b"x")
    assert raw.raft.raft_log.unstable.entries == [expected]
    sent = sorted(take(raw), key=lambda m: m.to)
    assert [(m.msg_type, m.to, m.index, m.log_term, m.commit, m.entries) for m in sent] == [
        (MessageType.APPEND, to, 2, 2, 2, [expected]) for to in (2, 3)
    ]


@pytest.mark.parametrize(
    ("size", "acceptors", "committed"),
    [
        (1, [], True),
        (3, [], False),
        (3, [2], True),
        (3, [2, 3], True),
        (5, [], False),
        (5, [2], False),
        (5, [2, 3], True),
        (5, [2, 3, 4, 5], True),
    ],
)
def test_an_entry_commits_when_a_majority_has_it(
    size: int, acceptors: list[int], committed: bool
) -> None:
    """§5.3: "A log entry is committed once the leader that created the entry has replicated it on a
    majority of the servers"; "This also commits all preceding entries in the leader's log".
    """
    raw = lone(founded(range(1, size + 1)))
    lead(raw)
    raw.propose(b"", b"x")
    persist(raw)
    for follower in acceptors:
        accept(raw, follower, 3)
    assert (raw.raft.raft_log.committed == 3) is committed


def test_the_leader_tells_followers_what_is_committed_and_they_apply_in_order() -> None:
    """§5.3: "The leader keeps track of the highest index it knows to be committed, and it includes
    that index in future AppendEntries RPCs ... Once a follower learns that a log entry is
    committed, it applies the entry to its local state machine (in log order)."
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a", b"b", b"c")
    assert [node.applied for node in network.nodes.values()] == [[b"a", b"b", b"c"]] * 3
    assert {m.commit for m in network.log if m.msg_type is MessageType.APPEND} >= {1, 2, 5}


@pytest.mark.parametrize(
    ("terms", "previous", "accepted", "hint", "hint_term"),
    [
        # The log has the preceding entry.
        ([1, 2], (0, 0), True, 0, 0),
        ([1, 2], (1, 1), True, 0, 0),
        ([1, 2], (2, 2), True, 0, 0),
        # It has another one there.
        ([1, 2], (1, 2), False, 1, 1),
        # It ends before; the whole term that cannot match is skipped.
        ([1, 2], (3, 3), False, 2, 2),
        ([1, 2], (3, 1), False, 1, 1),
    ],
)
def test_the_consistency_check(
    terms: list[int], previous: tuple[int, int], accepted: bool, hint: int, hint_term: int
) -> None:
    """§5.3: "If the follower does not find an entry in its log with the same index and term, then
    it refuses the new entries"; "the follower can include the term of the conflicting entry and the
    first index it stores for that term".
    """
    raw = lone(stored(VOTERS, terms))
    raw.raft.become_follower(3, 2)
    raw.step(Message(MessageType.APPEND, from_=2, term=3, index=previous[0], log_term=previous[1]))
    [answer] = take(raw)
    assert (answer.msg_type, answer.reject) == (MessageType.APPEND_RESPONSE, not accepted)
    assert (answer.reject_hint, answer.log_term) == (hint, hint_term)
    assert answer.index == previous[0]


@pytest.mark.parametrize(
    ("previous", "new", "terms", "unstable"),
    [
        ((2, 2), [(3, 3)], [1, 2, 3], [3]),
        ((1, 1), [(2, 3), (3, 4)], [1, 3, 4], [3, 4]),
        ((0, 0), [(1, 1)], [1, 2], []),
        ((0, 0), [(1, 3)], [3], [3]),
    ],
)
def test_conflicting_entries_are_overwritten(
    previous: tuple[int, int], new: list[tuple[int, int]], terms: list[int], unstable: list[int]
) -> None:
    """§5.3: "the leader handles inconsistencies by forcing the followers' logs to duplicate its
    own"; "If an existing entry conflicts with a new one ..., delete the existing entry and all that
    follow it"; "Append any new entries not already in the log" (Figure 2).
    """
    raw = lone(stored(VOTERS, [1, 2]))
    raw.step(
        Message(
            MessageType.APPEND,
            from_=2,
            term=4,
            index=previous[0],
            log_term=previous[1],
            entries=entries(*new),
        )
    )
    log = raw.raft.raft_log
    assert [entry.term for entry in log.all_entries()] == terms
    assert [entry.term for entry in log.unstable.entries] == unstable


LEADERS_LOG = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]


@pytest.mark.parametrize(
    "terms",
    [
        [1, 1, 1, 4, 4, 5, 5, 6, 6],
        [1, 1, 1, 4],
        [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        [1, 1, 1, 4, 4, 4, 4],
        [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ],
    ids="abcdef",
)
def test_a_leader_brings_followers_into_sync(terms: list[int]) -> None:
    """§5.3, Figure 7: whatever the follower's log, it becomes the leader's, and no node with a
    shorter history unseats the leader.
    """
    # Term 8 of the figure begins when node 1 wins over node 3, whose log is its own.
    nodes = [
        Node(config(1), stored(VOTERS, LEADERS_LOG, term=7)),
        Node(config(2), stored(VOTERS, terms, term=7)),
        Node(config(3), stored(VOTERS, LEADERS_LOG, term=7)),
    ]
    network = Network(nodes)
    network.elect(1)
    network.propose(1, b"x")
    network.tick(1)
    assert network[2].terms() == network[1].terms() == [*LEADERS_LOG, 8, 8]
    assert network.committed() == {1: 12, 2: 12, 3: 12}


# -- §5.4 Safety ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "index", "log_term", "granted"),
    [
        # The same last term: the longer log, or one as long.
        ([1], 1, 1, True),
        ([1], 2, 1, True),
        ([1, 1], 1, 1, False),
        # The later last term, whatever the length.
        ([1], 1, 2, True),
        ([1, 1], 1, 2, True),
        ([2], 1, 1, False),
        ([2], 2, 1, False),
        ([2, 1], 1, 1, False),
    ],
)
def test_only_up_to_date_candidates_get_votes(
    terms: list[int], index: int, log_term: int, granted: bool
) -> None:
    """§5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the
    candidate."
    """
    raw = lone(stored(VOTERS, terms, term=2))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=3, index=index, log_term=log_term))
    [answer] = take(raw)
    assert answer.reject is not granted


def test_a_vote_request_tells_about_the_candidates_log() -> None:
    """§5.4.1: "the RPC includes information about the candidate's log"."""
    raw = lone(stored(VOTERS, [1, 2]))
    raw.campaign()
    for message in take(raw):
        assert (message.index, message.log_term, message.term) == (2, 2, 3)


@pytest.mark.parametrize(("index", "committed"), [(1, 0), (2, 0), (3, 3)])
def test_only_entries_of_the_own_term_commit_by_counting(index: int, committed: int) -> None:
    """§5.4.2, Figure 8: "Raft never commits log entries from previous terms by counting replicas.
    Only log entries from the leader's current term are committed by counting replicas".
    """
    raw = lone(stored([1, 2], [1, 2]))
    lead(raw)
    accept(raw, 2, index)
    assert raw.raft.raft_log.committed == committed


def test_figure_8() -> None:
    """§5.4.2, Figure 8: an entry of term 2 on a majority is not committed and may be overwritten.

    PySyncObj#110, async-raft#108.
    """
    everybody = range(1, 6)
    logs = {1: [1, 2], 2: [1, 2], 3: [1, 2], 4: [1], 5: [1, 3]}
    network = Network(Node(config(i), stored(everybody, log, term=3)) for i, log in logs.items())
    # (c) S1 leads in term 4, and S2 and S3 hold its entry of term 2, but not that of term 4.
    network.filter(lambda m: not any(entry.term == 4 for entry in m.entries))
    network.isolate(1, 2, 3)
    network.elect(1)
    for follower in (2, 3):
        accept(network[1].raw, follower, 2)
    network.settle()
    assert network.committed() == dict.fromkeys(everybody, 0)
    # (d) S1 is gone; S5 wins with the votes of S3 and S4 and overwrites it.
    network.recover()
    network.isolate(1)
    network.tick_all(45, without=[1, 2, 3, 4])
    assert network.leaders() == [1, 5]
    network.propose(5, b"x")
    assert network[3].terms() == network[5].terms() == [1, 3, 5, 5]
    assert network.committed()[3] == 4


def test_a_new_leader_commits_an_entry_of_its_term_first() -> None:
    """§8: "Raft handles this by having each leader commit a blank no-op entry into the log at the
    start of its term."
    """
    network = Network.of(VOTERS)
    network.elect(1)
    last = network.raft(1).raft_log.all_entries()[-1]
    assert (last.term, last.data) == (2, b"")
    assert network.committed() == {1: 2, 2: 2, 3: 2}


# -- §5.5, Figure 2 ------------------------------------------------------------------------


def test_repeated_requests_do_no_harm() -> None:
    """§5.5: "Raft RPCs are idempotent, so this causes no harm."."""
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a")
    before = [(node.terms(), list(node.applied)) for node in network.nodes.values()]
    network.deliver(list(network.log))
    network.settle()
    assert [(node.terms(), node.applied) for node in network.nodes.values()] == before
    assert network.leaders() == [1]


def test_a_follower_never_takes_over_more_than_was_sent() -> None:
    """Figure 2: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last
    new entry)".
    """
    for new, commit, expected in (
        ([(2, 1)], 1, 1),
        ([(2, 1)], 2, 2),
        ([(2, 1)], 3, 2),
        ([], 9, 1),
    ):
        raw = lone(founded(VOTERS))
        raw.step(
            Message(
                MessageType.APPEND,
                from_=2,
                term=2,
                index=1,
                log_term=1,
                entries=entries(*new),
                commit=commit,
            )
        )
        assert raw.raft.raft_log.committed == expected


def test_term_and_vote_survive_a_restart() -> None:
    """Figure 2: "Persistent state on all servers: (Updated on stable storage before responding to
    RPCs)". Whoever forgets its vote votes twice.
    """
    network = Network.of(VOTERS)
    network[2].raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=5, index=9, log_term=1))
    network[2].process()
    network[2].restart()
    assert (network.raft(2).term, network.raft(2).vote) == (5, 3)
    network[2].raw.step(Message(MessageType.REQUEST_VOTE, from_=1, term=5, index=9, log_term=1))
    [answer] = network[2].process()
    assert answer.reject
