"""What bounds the leader: sizes, windows, probes, and the uncommitted log."""

from __future__ import annotations

from typing import Any

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.progress import ProgressState
from raftify.core.raw_node import RawNode
from raftify.core.types import NO_LIMIT, Entry, EntryType, Message, MessageType
from raftify.core.uncommitted import UncommittedState
from raftify.errors import MalformedMessage, Overloaded
from tests.core.network import Network, accept, entries, founded, lead, lone, persist, take

VOTERS = [1, 2, 3]


def streaming(**settings: Any) -> RawNode:
    """Return a leader of two whose follower is up to date and gets appends without waiting."""
    raw = lone(founded([1, 2]), **settings)
    lead(raw)
    accept(raw, 2, 2)
    take(raw)
    return raw


def appends(raw: RawNode) -> list[list[int]]:
    """Return the indices in each append that is to be sent to node 2."""
    return [
        [entry.index for entry in message.entries]
        for message in take(raw)
        if message.msg_type is MessageType.APPEND and message.to == 2
    ]


# -- windows ---------------------------------------------------------------------------------


def test_a_full_window_stops_appends_until_an_answer_frees_it() -> None:
    raw = streaming(max_inflight_msgs=2)
    for _ in range(4):
        raw.propose(b"", b"x")
    assert appends(raw) == [[3], [4]]
    assert raw.status().progress[2].paused
    accept(raw, 2, 3)
    assert appends(raw) == [[5, 6]]


@pytest.mark.parametrize("late", [1, 2])
def test_a_late_answer_frees_nothing(late: int) -> None:
    raw = streaming(max_inflight_msgs=1)
    raw.propose(b"", b"x")
    raw.propose(b"", b"y")
    assert appends(raw) == [[3]]
    accept(raw, 2, late)
    assert appends(raw) == []


def test_a_heartbeats_answer_frees_one_place() -> None:
    """Answers to appends can be lost; without this the follower would wait for ever."""
    raw = streaming(max_inflight_msgs=1)
    raw.propose(b"", b"x")
    raw.propose(b"", b"y")
    take(raw)
    for expected in ([4], []):
        raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
        assert appends(raw) == ([expected] if expected else [[]])


def test_a_probe_sends_one_append_per_heartbeat() -> None:
    raw = lone(founded([1, 2]))
    lead(raw)
    assert raw.status().progress[2].state is ProgressState.PROBE
    for _ in range(3):
        raw.propose(b"", b"x")
    assert appends(raw) == [], "the first probe went out with the election"
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    assert appends(raw) == [[2, 3, 4, 5]]
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    assert len(appends(raw)) == 1


def test_an_unreachable_follower_is_probed() -> None:
    raw = streaming()
    raw.propose(b"", b"x")
    take(raw)
    raw.report_unreachable(2)
    progress = raw.status().progress[2]
    assert (progress.state, progress.next_idx) == (ProgressState.PROBE, 3)
    raw.report_unreachable(2)
    raw.propose(b"", b"y")
    assert appends(raw) == [[3, 4]]


def test_a_follower_that_lacks_what_it_was_sent_is_probed() -> None:
    raw = streaming()
    for _ in range(3):
        raw.propose(b"", b"x")
    assert appends(raw) == [[3], [4], [5]]
    raw.step(
        Message(
            MessageType.APPEND_RESPONSE,
            from_=2,
            term=2,
            index=3,
            reject=True,
            reject_hint=2,
            log_term=2,
        )
    )
    assert appends(raw) == [[3, 4, 5]]
    progress = raw.raft.tracker.progress[2]
    assert (progress.state, progress.ins.count()) == (ProgressState.PROBE, 0)


def test_a_lost_append_is_repeated() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.ignore(MessageType.APPEND)
    network.propose(1, b"a")
    network.recover()
    network.propose(1, b"b")
    network.tick(1)
    assert [node.applied for node in network.nodes.values()] == [[b"a", b"b"]] * 3


# -- sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(NO_LIMIT, [[2, 3, 4, 5]]), (0, [[2], [3], [4], [5]]), (24, [[2, 3], [4, 5]])],
)
def test_appends_are_cut_at_their_size(limit: int, expected: list[list[int]]) -> None:
    raw = lone(founded([1, 2]), max_size_per_msg=limit)
    lead(raw)
    for data in (b"12345", b"12345", b"12345"):
        raw.propose(b"", data)
    persist(raw)
    take(raw)
    accept(raw, 2, 1)
    assert appends(raw) == expected


def test_committed_entries_come_in_portions() -> None:
    raw = lone(founded([1]), max_committed_size_per_ready=20)
    lead(raw)
    portions = []
    raw.propose_batch([Entry(data=b"123456789") for _ in range(4)])
    while raw.has_ready():
        ready = persist(raw)
        if ready.committed_entries:
            portions.append([entry.index for entry in ready.committed_entries])
        raw.advance_apply()
    assert portions == [[2], [3], [4], [5], [6]]


def test_batches_join_appends_not_handed_out() -> None:
    raw = streaming(batch_append=True)
    raw.propose(b"", b"x")
    raw.propose(b"", b"y")
    assert appends(raw) == [[3, 4]]
    raw.propose(b"", b"z")
    raw.raft.tracker.progress[2].next_idx = 7
    raw.raft.raft_log.append(entries((6, 2), (7, 2)))
    raw.propose(b"", b"w")
    assert appends(raw) == [[5], [7, 8]], "a gap makes a message of its own"
    raw.set_batch_append(batch_append=False)
    raw.propose(b"", b"x")
    raw.propose(b"", b"y")
    assert appends(raw) == [[9], [10]]


@pytest.mark.parametrize("stored", [False, True])
def test_a_batch_grows_no_larger_than_a_message_may(*, stored: bool) -> None:
    """raft-rs sets no limit: what one Ready proposes becomes one message, too large to be sent."""
    raw = streaming(batch_append=True, max_size_per_msg=300)
    for data in (b"1", b"2", b"3", b"4"):
        raw.propose(b"", data * 120)
        if stored:
            persist(raw)
    assert appends(raw) == [[3, 4], [5], [6]]


def test_batches_join_appends_to_the_same_follower_only() -> None:
    raw = lone(founded(VOTERS), batch_append=True)
    lead(raw)
    raw.propose(b"", b"x")
    accept(raw, 2, 3)
    take(raw)
    accept(raw, 3, 2)
    raw.propose(b"", b"y")
    sent = {m.to: [entry.index for entry in m.entries] for m in take(raw)}
    assert sent == {3: [3, 4], 2: [4]}


def test_an_empty_append_joins_too_and_brings_the_commit_index() -> None:
    raw = streaming(batch_append=True)
    raw.propose(b"", b"x")
    persist(raw)
    raw.ping()
    accept(raw, 2, 3)
    messages = [m for m in take(raw) if m.msg_type is MessageType.APPEND]
    assert [([e.index for e in m.entries], m.commit) for m in messages] == [([3], 3)]


def test_entries_never_join_an_empty_append_that_they_do_not_follow() -> None:
    """Found by a random schedule: raft-rs lets them, the follower acknowledges indices it lacks."""
    raw = streaming(batch_append=True)
    raw.propose(b"", b"x")
    raw.propose(b"", b"y")
    persist(raw)
    take(raw)
    accept(raw, 2, 2)
    raw.raft.tracker.progress[2].ins.reset()
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    # An empty append behind entry 4 is queued; then the follower turns out to lack 3 and 4.
    raw.step(
        Message(MessageType.APPEND_RESPONSE, from_=2, term=2, index=4, reject=True, reject_hint=2)
    )
    sent = [m for m in take(raw) if m.msg_type is MessageType.APPEND]
    assert [(m.index, [e.index for e in m.entries]) for m in sent] == [(4, []), (2, [3, 4])]


def test_entries_that_do_not_follow_are_refused() -> None:
    raw = lone(founded(VOTERS))
    wrong = Message(
        MessageType.APPEND, from_=2, term=1, index=1, log_term=1, entries=entries((3, 1))
    )
    with pytest.raises(MalformedMessage, match="would lose data"):
        raw.step(wrong)
    assert (raw.raft.raft_log.last_index(), raw.failure) == (1, None)


# -- the uncommitted log ---------------------------------------------------------------------


def test_the_uncommitted_log_is_bounded() -> None:
    """etcd#10167, cockroach#31689: without a quorum a leader's log must not grow without end."""
    network = Network.of(VOTERS, max_uncommitted_size=100, max_size_per_msg=100)
    network.elect(1)
    network.isolate(1)
    for _ in range(10):
        network[1].raw.propose(b"", b"x" * 10)
    for _ in range(40):
        with pytest.raises(Overloaded, match="100 bytes"):
            network[1].raw.propose(b"", b"x" * 10)
    assert network.raft(1).raft_log.last_index() == 12
    assert network[1].raw.status().uncommitted_size == 100
    network.recover()
    network.tick(1)
    network.tick(1)
    assert network[1].raw.status().uncommitted_size == 0
    network.propose(1, b"y")
    assert network[3].applied[-1] == b"y"


def test_a_batch_is_taken_whole_or_not_at_all() -> None:
    raw = lone(founded(VOTERS), max_uncommitted_size=30, max_size_per_msg=30)
    lead(raw)
    raw.propose(b"", b"x" * 20)
    with pytest.raises(Overloaded):
        raw.propose_batch([Entry(data=b"x" * 5), Entry(data=b"x" * 6)])
    assert raw.raft.raft_log.last_index() == 3
    assert raw.propose_batch([Entry(data=b"x" * 5), Entry(data=b"x" * 5)]) == (2, 4)


def test_one_proposal_is_always_taken_and_empty_ones_never_counted() -> None:
    raw = lone(founded(VOTERS), max_uncommitted_size=10, max_size_per_msg=10)
    lead(raw)
    raw.propose(b"", b"x" * 50)
    with pytest.raises(Overloaded):
        raw.propose(b"", b"x")
    raw.propose(b"", b"")


def test_a_new_leader_counts_anew() -> None:
    """raft-rs#398: what an earlier leader appended was never counted and must not be subtracted."""
    state = UncommittedState(100)
    state.begin_term(5)
    assert state.maybe_increase_uncommitted_size([Entry(index=6, data=b"x" * 60)])
    old_and_new = [Entry(index=i, data=b"x" * 60) for i in (4, 5, 6)]
    assert state.maybe_reduce_uncommitted_size(old_and_new)
    assert state.uncommitted_size == 0
    assert not state.maybe_reduce_uncommitted_size([Entry(index=7, data=b"x")])
    assert state.maybe_reduce_uncommitted_size([])
    assert state.uncommitted_size == 0


def test_what_was_lost_with_an_earlier_reign_does_not_count_in_the_next() -> None:
    """etcd#10167: it may never commit, and would be counted for ever."""
    raw = lone(founded(VOTERS), max_uncommitted_size=100, max_size_per_msg=100)
    lead(raw)
    raw.propose(b"", b"x" * 90)
    assert raw.raft.uncommitted_size() == 90
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=9))
    persist(raw)
    lead(raw)
    assert raw.raft.uncommitted_size() == 0
    raw.propose(b"", b"x" * 100)


def test_no_limit_counts_nothing() -> None:
    state = UncommittedState(NO_LIMIT)
    assert state.maybe_increase_uncommitted_size([Entry(data=b"x")])
    assert state.maybe_reduce_uncommitted_size([Entry(data=b"x" * 9)])
    assert state.uncommitted_size == 0


def test_a_refused_configuration_change_leaves_nothing_pending() -> None:
    raw = lone(founded(VOTERS), max_uncommitted_size=10, max_size_per_msg=10)
    lead(raw)
    accept(raw, 2, 2)
    persist(raw)
    raw.advance_apply()
    raw.propose(b"", b"x" * 10)
    before = raw.raft.pending_conf_index
    with pytest.raises(Overloaded):
        raw.propose_batch([Entry(EntryType.CONF_CHANGE, data=b"\x18\x04")])
    assert raw.raft.pending_conf_index == before


# -- entries that storage must fetch ---------------------------------------------------------


def fetching() -> tuple[RawNode, MemoryStorage]:
    """Return a leader of two whose follower lacks entries that storage cannot give now."""
    storage = founded([1, 2])
    raw = lone(storage)
    lead(raw)
    raw.propose(b"", b"x")
    persist(raw)
    take(raw)
    storage.trigger_log_unavailable(True)
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    assert take(raw) == []
    return raw, storage


def test_fetched_entries_are_sent() -> None:
    raw, storage = fetching()
    storage.trigger_log_unavailable(False)
    raw.on_entries_fetched()
    assert appends(raw) == [[2, 3]]
    raw.on_entries_fetched()
    assert appends(raw) == [], "nobody waits any more"


def test_fetched_entries_are_sent_aggressively_where_that_was_the_wish() -> None:
    raw, storage = fetching()
    storage.trigger_log_unavailable(False)
    raw.raft.fetching = {2: True}
    raw.on_entries_fetched()
    assert appends(raw) == [[2, 3]]


def test_who_leads_no_more_or_left_gets_nothing() -> None:
    raw, storage = fetching()
    storage.trigger_log_unavailable(False)
    raw.raft.fetching[9] = False
    del raw.raft.fetching[2]
    raw.on_entries_fetched()
    assert take(raw) == []
    raw, storage = fetching()
    storage.trigger_log_unavailable(False)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=5))
    take(raw)
    raw.on_entries_fetched()
    assert take(raw) == []
    raw.raft.fetching[2] = False
    raw.on_entries_fetched()
    assert take(raw) == []


def test_committed_entries_wait_to_be_fetched() -> None:
    storage = founded([1])
    raw = lone(storage)
    lead(raw)
    storage.trigger_log_unavailable(True)
    ready = persist(raw)
    assert ready.committed_entries == []
    assert not raw.has_ready(), "asking again would be a busy loop"
    raw.propose(b"", b"x")
    assert persist(raw).committed_entries == []
    storage.trigger_log_unavailable(False)
    raw.on_entries_fetched()
    assert [entry.index for entry in persist(raw).committed_entries] == [2, 3]
