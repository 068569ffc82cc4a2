"""What a node counts and remembers, by raft-rs's names, and when it begins to count anew."""

from __future__ import annotations

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.progress import ProgressState
from raftify.core.raw_node import RawNode
from raftify.core.read_only import ReadState
from raftify.core.types import Entry, EntryType, Message, MessageType, Role
from tests.core.network import accept, append, founded, lead, lone, persist, role, take, vote

VOTERS = [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("term", 7),
        ("vote", 2),
        ("role", Role.CANDIDATE),
        ("leader_id", 3),
        ("election_elapsed", 4),
        ("heartbeat_elapsed", 2),
        ("randomized_election_timeout", 17),
        ("pending_conf_index", 9),
        ("pending_request_snapshot", 5),
        ("lead_transferee", 2),
        ("priority", 3),
        ("check_quorum", True),
        ("pre_vote", True),
        ("max_committed_size_per_ready", 10),
        ("read_states", [ReadState(1, b"r")]),
        ("msgs", [Message(MessageType.HEARTBEAT, to=2)]),
    ],
)
def test_what_raft_rs_names_may_be_read_and_set(name: str, value: object) -> None:
    core = lone(founded(VOTERS)).raft
    assert getattr(core, name) != value
    setattr(core, name, value)
    assert getattr(core, name) == value


def test_log_and_tracker_have_raft_rs_names() -> None:
    core = lone(founded(VOTERS)).raft
    log = core.raft_log
    assert (log.committed, log.applied, log.persisted) == (1, 1, 1)
    assert (log.unstable.offset, log.unstable.entries, log.unstable.snapshot) == (2, [], None)
    assert core.prs is core.tracker
    progress = core.prs.progress[2]
    assert (progress.matched, progress.next_idx, progress.state) == (0, 2, ProgressState.PROBE)


# -- ticks -----------------------------------------------------------------------------------


def ticks(raw: RawNode, number: int) -> list[bool]:
    return [raw.tick() for _ in range(number)]


def test_a_learner_waits_and_does_nothing() -> None:
    """It counts on: were it to begin anew, it would take itself to hear a leader for ever."""
    raw = lone(founded([1, 2], [3]), 3, check_quorum=True)
    append(raw, (2, 2))
    assert ticks(raw, 40) == [False] * 40
    assert raw.raft.election_elapsed == 40


def test_a_pre_candidate_without_an_answer_waits_for_another_timeout() -> None:
    raw = lone(founded(VOTERS), pre_vote=True)
    raw.raft.set_randomized_election_timeout(12)
    assert ticks(raw, 12) == [False] * 11 + [True]
    assert role(raw) is Role.PRE_CANDIDATE
    take(raw)
    assert ticks(raw, 11) == [False] * 11
    assert take(raw) == []
    assert raw.tick()
    assert {message.msg_type for message in take(raw)} == {MessageType.REQUEST_PRE_VOTE}


def test_a_leaders_tick_tells_whether_something_came_of_it() -> None:
    raw = lone(founded(VOTERS), heartbeat_tick=4, check_quorum=True)
    lead(raw)
    raw.raft.tracker.progress[2].recent_active = True
    beats, checks = {4, 8}, {10}
    assert ticks(raw, 10) == [i in beats | checks for i in range(1, 11)]


def test_a_new_leader_has_a_whole_timeout_to_be_heard_in() -> None:
    raw = lone(founded(VOTERS), check_quorum=True)
    raw.campaign()
    ticks(raw, 7)
    vote(raw, MessageType.REQUEST_VOTE_RESPONSE, 2)
    assert role(raw) is Role.LEADER
    ticks(raw, 9)
    assert role(raw) is Role.LEADER
    raw.tick()
    assert role(raw) is Role.FOLLOWER


def test_a_new_reign_begins_with_a_whole_interval_before_its_first_heartbeat() -> None:
    raw = lone(founded(VOTERS), heartbeat_tick=3)
    lead(raw)
    ticks(raw, 2)
    raw.step_down()
    lead(raw)
    assert ticks(raw, 3) == [False, False, True]


def test_a_new_term_begins_with_a_whole_timeout() -> None:
    raw = lone(founded(VOTERS))
    ticks(raw, 9)
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=5))
    assert raw.raft.election_elapsed == 0


# -- what ends with a role -------------------------------------------------------------------


def test_a_leader_that_steps_down_forgets_its_pending_change() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.raft.pending_conf_index = 9
    raw.step_down()
    assert raw.raft.pending_conf_index == 0


def test_who_campaigns_wants_no_snapshot_any_more() -> None:
    raw = lone(founded(VOTERS))
    append(raw, (2, 2))
    raw.request_snapshot()
    raw.campaign()
    assert raw.raft.pending_request_snapshot == 0


# -- what a leader knows ---------------------------------------------------------------------


def test_a_new_leader_knows_its_own_log_and_commit_index() -> None:
    raw = lone(founded(VOTERS))
    append(raw, (2, 2), commit=2)
    persist(raw)
    raw.campaign()
    vote(raw, MessageType.REQUEST_VOTE_RESPONSE, 3)
    own = raw.raft.tracker.progress[1]
    assert (own.matched, own.next_idx, own.committed_index) == (2, 3, 2)
    assert own.state is ProgressState.REPLICATE
    persist(raw)
    accept(raw, 2, 3)
    assert (own.matched, own.committed_index) == (3, 3)


def test_a_leader_learns_what_followers_know_to_be_committed() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.step(Message(MessageType.APPEND_RESPONSE, from_=2, term=2, index=1, commit=1))
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=3, term=2, commit=1))
    progress = raw.status().progress
    assert (progress[2].committed_index, progress[3].committed_index) == (1, 1)


def test_a_rejection_tells_nothing_of_what_matches() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.step(
        Message(
            MessageType.APPEND_RESPONSE,
            from_=2,
            term=2,
            index=1,
            reject=True,
            reject_hint=2,
            log_term=2,
        )
    )
    assert raw.raft.tracker.progress[2].matched == 0


def test_skip_bcast_commit_holds_when_the_leaders_own_write_commits() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    accept(raw, 2, 2)
    persist(raw)
    raw.advance_apply()
    raw.skip_bcast_commit(skip=True)
    raw.propose(b"", b"x")
    accept(raw, 2, 3)
    take(raw)
    persist(raw)
    assert raw.raft.raft_log.committed == 3
    assert take(raw) == []


def test_who_leads_no_more_commits_nothing_by_its_own_write() -> None:
    raw = lone(founded([1]))
    lead(raw)
    raw.propose_batch([Entry(data=b"x")])
    raw.step_down()
    persist(raw)
    assert raw.raft.raft_log.persisted == 3
    assert raw.raft.raft_log.committed == 2


def test_only_requests_for_votes_tell_a_priority() -> None:
    raw = lone(founded(VOTERS))
    raw.set_priority(5)
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=2, index=9, log_term=2, priority=5))
    (answer,) = take(raw)
    assert (answer.reject, answer.priority) == (False, 0)


# -- settings of one follower or group -------------------------------------------------------


def test_the_window_of_one_follower_can_be_set() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    for voter in (2, 3):
        accept(raw, voter, 2)
    take(raw)
    raw.adjust_max_inflight_msgs(2, 0)
    raw.adjust_max_inflight_msgs(9, 1)
    raw.propose(b"", b"x")
    assert [message.to for message in take(raw)] == [3]
    raw.adjust_max_inflight_msgs(2, 1)
    raw.propose(b"", b"y")
    assert {message.to for message in take(raw)} == {2, 3}


# -- what others' business does not touch ----------------------------------------------------


def test_who_does_not_lead_keeps_its_leader_when_told_to_step_down() -> None:
    raw = lone(founded(VOTERS))
    append(raw, (2, 2))
    raw.step_down()
    assert raw.raft.leader_id == 2


def test_a_follower_that_learns_of_a_change_from_a_candidate_keeps_its_leader() -> None:
    raw = lone(founded(VOTERS))
    append(raw, (2, 2))
    raw.raft.raft_log.all_entries()[0].entry_type = EntryType.CONF_CHANGE
    raw.tick()
    raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=2, commit=2, commit_term=2))
    assert raw.raft.raft_log.committed == 2
    assert (raw.raft.leader_id, raw.raft.election_elapsed) == (2, 1)


def test_entries_join_no_heartbeat() -> None:
    raw = lone(founded([1, 2]), batch_append=True)
    lead(raw)
    accept(raw, 2, 2)
    take(raw)
    raw.ping()
    raw.propose(b"", b"x")
    sent = [(message.msg_type, len(message.entries)) for message in take(raw)]
    assert sent == [(MessageType.HEARTBEAT, 0), (MessageType.APPEND, 1)]


def test_an_acknowledgement_brings_no_snapshot() -> None:
    """The follower goes on with what it has; whether it needs one shows with the next append."""
    raw = lone(founded([1, 2]))
    lead(raw)
    raw.propose(b"", b"x")
    persist(raw)
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    take(raw)
    progress = raw.raft.tracker.progress[2]
    progress.become_replicate()
    storage = raw.store()
    assert isinstance(storage, MemoryStorage)
    storage.compact(4)
    accept(raw, 2, 1)
    assert take(raw) == []
    assert progress.state is ProgressState.REPLICATE
