"""The Raft paper, sentence by sentence: what 5.3, 5.4 and 7 say beyond test_raft_paper_replication.

docs/paper.md lists every sentence with its test.
"""

from __future__ import annotations

import pytest

from raftify.core.types import Entry, Message, MessageType, Role
from tests.core.network import (
    Network,
    Node,
    accept,
    append,
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

# -- §5.3 Log replication ------------------------------------------------------------------


def test_a_slow_follower_is_served_for_as_long_as_it_takes() -> None:
    """§5.3: "If followers crash or run slowly, or if network packets are lost, the leader retries
    AppendEntries RPCs indefinitely (even after it has responded to the client) until all followers
    eventually store all log entries."
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network.propose(1, b"a", b"b")
    assert network[1].applied == [b"a", b"b"]
    network.tick(1, 50)
    network.recover()
    network.tick(1, 2)
    assert network[3].terms() == network[1].terms()
    assert network[3].applied == [b"a", b"b"]


def test_one_round_commits_and_a_slow_follower_does_not_matter() -> None:
    """§5.3: "in the normal case a new entry can be replicated with a single round of RPCs to a
    majority of the cluster; and a single slow follower will not impact performance."
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network[1].raw.propose(b"", b"x")
    network.deliver(network.collect())
    network.deliver(network.collect())
    assert network.raft(1).raft_log.committed == 3


def test_a_leader_never_touches_its_own_log() -> None:
    """§5.3, Figure 3 (Leader Append-Only): "a leader never overwrites or deletes entries in its
    log; it only appends new entries." Not even if another claims to lead the same term.
    """
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.propose(b"", b"x")
    before = raw.raft.raft_log.all_entries()
    for kind in (MessageType.APPEND, MessageType.SNAPSHOT):
        raw.step(
            Message(
                kind,
                from_=2,
                term=2,
                index=1,
                log_term=1,
                entries=entries((2, 2), data=b"other"),
                snapshot=founded(VOTERS).snapshot(1, 1),
            )
        )
    assert raw.raft.raft_log.all_entries() == before
    assert role(raw) is Role.LEADER


def test_an_index_has_one_entry_per_term() -> None:
    """§5.3: "a leader creates at most one entry with a given log index in a given term, and log
    entries never change their position in the log."
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a", b"b")
    network.elect(2)
    network.propose(2, b"c")
    network.elect(1)
    network.propose(1, b"d")
    seen: dict[tuple[int, int], bytes] = {}
    for message in network.log:
        for entry in message.entries:
            if message.msg_type is MessageType.APPEND:
                assert seen.setdefault((entry.term, entry.index), entry.data) == entry.data
    assert len(seen) == 7


def test_next_index_begins_after_the_leaders_last_entry() -> None:
    """§5.3: "When a leader first comes to power, it initializes all nextIndex values to the index
    just after the last one in its log"; Figure 2: matchIndex "initialized to 0".
    """
    raw = lone(stored(VOTERS, [1, 1, 1]))
    lead(raw)
    for follower in (2, 3):
        progress = raw.raft.tracker.progress[follower]
        assert (progress.next_idx, progress.matched) == (4, 0)


def test_a_rejection_takes_the_next_index_back_until_the_logs_match() -> None:
    """§5.3: "After a rejection, the leader decrements nextIndex and retries the AppendEntries RPC.
    Eventually nextIndex will reach a point where the leader and follower logs match."
    """
    raw = lone(stored(VOTERS, [1, 1, 1]))
    raw.campaign()
    persist(raw)
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=2))
    rejected = 3
    while rejected:
        sent = [m for m in take(raw) if m.to == 2 and m.msg_type is MessageType.APPEND]
        assert [(m.index, len(m.entries)) for m in sent] == [(rejected, 4 - rejected)]
        # A follower of an older version, that gives no hint beyond the index before.
        raw.step(
            Message(
                MessageType.APPEND_RESPONSE,
                from_=2,
                term=2,
                index=rejected,
                reject=True,
                reject_hint=rejected - 1,
            )
        )
        rejected -= 1
    [sent_whole] = [m for m in take(raw) if m.to == 2]
    assert (sent_whole.index, [e.index for e in sent_whole.entries]) == (0, [1, 2, 3, 4])


def test_one_rejection_per_term_is_enough() -> None:
    """§5.3: "with this optimization, one AppendEntries RPC will be required for each term with
    conflicting entries, rather than one RPC per entry."
    """
    leader_log = [1] * 3 + [4] * 10
    follower_log = [1] * 3 + [2] * 10 + [3] * 10
    network = Network(
        Node(config(i), stored(VOTERS, log, term=5))
        for i, log in ((1, leader_log), (2, follower_log), (3, leader_log))
    )
    network.elect(1)
    rejections = [m for m in network.log if m.from_ == 2 and m.reject and m.to == 1]
    assert [m.msg_type for m in rejections].count(MessageType.APPEND_RESPONSE) == 1
    assert network[2].terms() == network[1].terms()


def test_a_new_leader_sends_nothing_to_restore_consistency_but_appends() -> None:
    """§5.3: "a leader does not need to take any special actions to restore log consistency when it
    comes to power. It just begins normal operation".
    """
    network = Network(
        Node(config(i), stored(VOTERS, log, term=3))
        for i, log in ((1, [1, 2]), (2, [1, 1, 1]), (3, [1, 2]))
    )
    network.elect(1)
    kinds = {m.msg_type for m in network.log if m.from_ == 1}
    assert kinds == {MessageType.REQUEST_VOTE, MessageType.APPEND}
    assert network[2].terms() == [1, 2, 4]


# -- §5.4 Safety ---------------------------------------------------------------------------


@pytest.mark.parametrize(("candidate", "wins"), [(2, True), (3, True), (4, False), (5, False)])
def test_who_lacks_a_committed_entry_cannot_win(candidate: int, wins: bool) -> None:
    """§5.4.1: "it prevents a candidate from winning an election unless its log contains all
    committed entries"; §5.4.3, Leader Completeness: at least one voter both has the entry and
    votes.
    """
    everybody = range(1, 6)
    network = Network.of(everybody)
    network.elect(1)
    network.isolate(4, 5)
    network.propose(1, b"x")
    assert network[1].applied == [b"x"]
    network.recover()
    network.isolate(1)
    network[candidate].raw.campaign()
    network.settle()
    assert (network.raft(candidate).role is Role.LEADER) is wins


def test_a_later_leader_has_what_was_committed() -> None:
    """§5.4, Leader Completeness: "if a log entry is committed in a given term, then that entry will
    be present in the logs of the leaders for all higher-numbered terms." State Machine Safety: all
    apply the same at the same index.
    """
    network = Network.of(VOTERS)
    for number, leader in enumerate((1, 2, 3, 2, 1)):
        network.elect(leader)
        network.propose(leader, b"%d" % number)
        assert network[leader].applied == [b"%d" % i for i in range(number + 1)]
    assert network[1].applied == network[2].applied == network[3].applied


# -- §5.5 Follower and candidate crashes ---------------------------------------------------


def test_a_follower_that_restarts_is_brought_up_to_date() -> None:
    """§5.5: "If a follower or candidate crashes, then future RequestVote and AppendEntries RPCs
    sent to it will fail. Raft handles these failures by retrying indefinitely".
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a")
    network.isolate(2)
    network.propose(1, b"b")
    network[2].restart()
    network.recover()
    network.tick(1, 2)
    assert network[2].applied == [b"a", b"b"]


# -- §7 Log compaction ---------------------------------------------------------------------


def test_each_server_compacts_on_its_own() -> None:
    """§7: "each server takes snapshots independently, covering just the committed entries in its
    log"; a follower does so "without the knowledge of the leader".
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a", b"b", b"c")
    network[2].storage.compact(5)
    assert (network.raft(2).raft_log.first_index(), network.raft(1).raft_log.first_index()) == (
        5,
        2,
    )
    network.propose(1, b"d")
    assert network[2].applied == network[1].applied == [b"a", b"b", b"c", b"d"]
    network.elect(2)


def test_the_entry_after_a_snapshot_is_checked_against_it() -> None:
    """§7: "the last included index ..., and the last included term ... are preserved to support the
    AppendEntries consistency check for the first log entry following the snapshot, since that entry
    needs a previous log index and term."
    """
    raw = lone(founded(VOTERS))
    # The founding snapshot is at index 1, term 1.
    for log_term, accepted in ((2, False), (1, True)):
        raw.step(
            Message(
                MessageType.APPEND,
                from_=2,
                term=2,
                index=1,
                log_term=log_term,
                entries=entries((2, 2)),
            )
        )
        assert (raw.raft.raft_log.last_index() == 2) is accepted
        take(raw)


def test_a_snapshot_is_sent_only_to_who_needs_what_is_gone() -> None:
    """§7: "leaders must occasionally send snapshots to followers that lag behind. This happens when
    the leader has already discarded the next log entry that it needs to send to a follower."
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(3)
    network.propose(1, b"a", b"b")
    network[1].storage.compact(4)
    network.recover()
    network.tick(1, 3)
    sent = {m.to for m in network.log if m.msg_type is MessageType.SNAPSHOT}
    assert sent == {3}
    assert network[3].snapshots[0].metadata.index == 4


def test_what_follows_a_snapshot_that_is_known_stays() -> None:
    """§7: "If instead the follower receives a snapshot that describes a prefix of its log ..., then
    log entries covered by the snapshot are deleted but entries following the snapshot are still
    valid and must be retained." (What it covers already is kept too, as in raft-rs.)
    """
    raw = lone(founded(VOTERS))
    append(raw, (2, 2), (3, 2), (4, 2))
    persist(raw)
    take(raw)
    storage = founded(VOTERS)
    storage.append([Entry(term=2, index=2), Entry(term=2, index=3)])
    storage.commit_to_and_set_conf_states(3, None)
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=storage.snapshot(3, 1)))
    log = raw.raft.raft_log
    assert [entry.index for entry in log.all_entries()] == [2, 3, 4]
    assert log.committed == 3


def test_what_conflicts_with_a_snapshot_goes() -> None:
    """§7: "the follower discards its entire log; it is all superseded by the snapshot and may
    possibly have uncommitted entries that conflict with the snapshot."
    """
    raw = lone(founded(VOTERS))
    append(raw, (2, 2), (3, 2), (4, 2), (5, 2))
    persist(raw)
    take(raw)
    storage = founded(VOTERS)
    storage.append([Entry(term=3, index=2), Entry(term=3, index=3)])
    storage.commit_to_and_set_conf_states(3, None)
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=3, snapshot=storage.snapshot(3, 1)))
    log = raw.raft.raft_log
    assert (log.first_index(), log.last_index(), log.committed) == (4, 3, 3)
    [answer] = take(raw)
    assert (answer.index, answer.reject) == (3, False)


# -- §8 Client interaction -----------------------------------------------------------------


def test_entries_of_earlier_terms_wait_for_the_empty_entry() -> None:
    """§8: "at the start of its term, it may not know which [entries are committed]. To find out, it
    needs to commit an entry from its term."
    """
    raw = lone(stored(VOTERS, [1, 1], commit=1))
    lead(raw)
    accept(raw, 2, 2)
    assert raw.raft.raft_log.committed == 1
    accept(raw, 2, 3)
    assert raw.raft.raft_log.committed == 3
