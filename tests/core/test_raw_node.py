"""RawNode and its contract with the driver: Ready by Ready."""

from __future__ import annotations

import random

import pytest

from raftify.core.config import RaftConfig
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode
from raftify.core.types import (
    NO_LIMIT,
    ConfChange,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Role,
    Snapshot,
    SnapshotMetadata,
    SoftState,
)
from raftify.errors import ConfigError, InvariantViolation
from tests.core.network import (
    accept,
    config,
    entries,
    founded,
    lead,
    lone,
    persist,
    persist_open,
    role,
    stored,
    take,
)

VOTERS = [1, 2, 3]


# -- settings --------------------------------------------------------------------------------


def test_the_defaults_are_safe_and_valid() -> None:
    settings = RaftConfig(id=1)
    settings.validate()
    assert settings.check_quorum
    assert settings.pre_vote
    assert settings.step_down_on_removal
    assert settings.max_apply_unpersisted_log_limit == 0
    assert settings.max_uncommitted_size < NO_LIMIT
    assert settings.election_tick_range() == (10, 20)


def test_all_faults_are_named_at_once() -> None:
    settings = RaftConfig(
        id=0,
        election_tick=2,
        heartbeat_tick=0,
        min_election_tick=1,
        max_election_tick=1,
        max_inflight_msgs=0,
        applied=-1,
        max_waiting_reads=-1,
        read_only_option=1,  # type: ignore[arg-type] # what a caller without mypy may do
        check_quorum=False,
        max_uncommitted_size=1,
    )
    settings.read_only_option = type(RaftConfig().read_only_option).LEASE_BASED
    with pytest.raises(ConfigError) as caught:
        settings.validate()
    for part in (
        "id must not be 0",
        "applied must not be negative",
        "max_waiting_reads must not be negative",
        "heartbeat_tick must be greater than 0",
        "min_election_tick 1 must not be less than election_tick",
        "min_election_tick 1 must be less than max_election_tick 1",
        "max_inflight_msgs",
        "LEASE_BASED needs check_quorum",
        "max_uncommitted_size must not be less",
    ):
        assert part in str(caught.value)
    with pytest.raises(ConfigError, match="election_tick must be greater than heartbeat_tick"):
        RaftConfig(id=1, election_tick=1).validate()


def test_a_plain_int_is_no_way_to_confirm_reads() -> None:
    """It passed for the option of its number, and then no read was ever answered."""
    settings = RaftConfig(id=1, read_only_option=1)  # type: ignore[arg-type] # without mypy
    with pytest.raises(ConfigError, match="read_only_option must be a ReadOnlyOption, not 1"):
        settings.validate()


def test_a_bad_configuration_makes_no_node() -> None:
    with pytest.raises(ConfigError):
        RawNode(config(0), founded(VOTERS), random=random.Random(1))


# -- starting --------------------------------------------------------------------------------


def test_a_fresh_node_has_nothing_to_do() -> None:
    raw = lone(founded(VOTERS))
    assert not raw.has_ready()
    assert raw.status().ss == SoftState()
    assert raw.status().hs == HardState(term=1, commit=1)


def test_a_restarted_node_hands_out_what_is_committed_and_no_more() -> None:
    raw = lone(stored(VOTERS, [1, 1, 1], commit=2))
    ready = raw.ready()
    assert [entry.index for entry in ready.committed_entries] == [1, 2]
    assert (ready.hs, ready.ss, ready.entries, ready.must_sync) == (None, None, [], False)
    raw.advance(ready)
    assert not raw.has_ready()
    assert raw.status().applied == 2


def test_a_restarted_node_begins_after_what_was_applied() -> None:
    raw = lone(stored(VOTERS, [1, 1, 1], commit=3), applied=2)
    assert [entry.index for entry in raw.ready().committed_entries] == [3]


def test_a_restart_from_a_snapshot() -> None:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(metadata=SnapshotMetadata(ConfState((1, 2)), 5, 2)))
    storage.append(entries((6, 2)))
    storage.set_hardstate(HardState(term=2, commit=6))
    raw = lone(storage)
    assert [entry.index for entry in raw.ready().committed_entries] == [6]


def test_a_damaged_store_makes_no_node() -> None:
    """etcd#5664 and its kin: pointers out of range at start must be an error that explains."""
    with pytest.raises(InvariantViolation, match="store lost entries"):
        lone(stored(VOTERS, [1], commit=5))
    with pytest.raises(InvariantViolation, match="the log ends at 1"):
        lone(stored(VOTERS, [1], commit=1), applied=2)
    storage = MemoryStorage()
    storage.set_conf_state(ConfState((1, 2), learners=(2,)))
    with pytest.raises(InvariantViolation, match="no sequence of changes"):
        lone(storage)


# -- looks and switches ----------------------------------------------------------------------


def test_status_is_a_copy() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    status = raw.status()
    assert (status.id, status.first_index, status.last_index, status.persisted) == (1, 2, 2, 2)
    accept(raw, 2, 2)
    assert status.progress[2].matched == 0
    assert raw.status().progress[2].matched == 2
    assert raw.raft.prs is raw.raft.tracker


def test_proposing_a_batch_tells_where_it_went() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    batch = [Entry(data=b"a"), Entry(data=b"b")]
    assert raw.propose_batch(batch) == (2, 3)
    assert [(entry.term, entry.index) for entry in batch] == [(2, 3), (2, 4)]


def test_both_forms_of_a_change_are_proposed_and_applied() -> None:
    raw = lone(founded([1]))
    lead(raw)
    raw.advance(persist_open(raw))
    raw.propose_conf_change(b"v1", ConfChange(0, ConfChangeType.ADD_LEARNER_NODE, 2))
    assert raw.raft.raft_log.unstable.entries[-1].entry_type is EntryType.CONF_CHANGE
    ready = persist_open(raw)
    raw.advance(ready)
    raw.apply_conf_change(ConfChange(0, ConfChangeType.ADD_LEARNER_NODE, 2))
    raw.advance_apply()
    assert raw.status().conf_state == ConfState((1,), learners=(2,))
    with pytest.raises(Exception, match="refusing empty"):
        raw.propose_conf_change(b"v2", ConfChangeV2())


# -- group commit ----------------------------------------------------------------------------


def test_group_commit_waits_for_two_groups() -> None:
    raw = lone(founded(VOTERS))
    raw.assign_commit_groups({1: 1})
    raw.enable_group_commit(enable=True)
    raw.assign_commit_groups({1: 1, 2: 1, 3: 2, 9: 7})
    lead(raw)
    assert raw.check_group_commit_consistent() is None
    accept(raw, 2, 2)
    assert raw.raft.raft_log.committed == 1, "both are of group 1"
    accept(raw, 3, 2)
    assert raw.raft.raft_log.committed == 2
    persist(raw)
    raw.advance_apply()
    assert raw.check_group_commit_consistent() is True
    raw.propose(b"", b"x")
    persist(raw)
    accept(raw, 2, 3)
    assert raw.raft.raft_log.committed == 2
    raw.assign_commit_groups({2: 2})
    assert raw.raft.raft_log.committed == 3
    raw.propose(b"", b"y")
    persist(raw)
    raw.clear_commit_group()
    raw.assign_commit_groups({1: 1, 2: 1, 3: 2})
    accept(raw, 2, 4)
    take(raw)
    raw.enable_group_commit(enable=False)
    assert raw.raft.raft_log.committed == 4
    assert {m.to for m in take(raw)} == {2, 3}
    with pytest.raises(ConfigError, match="begin at 1"):
        raw.assign_commit_groups({1: 0})
    assert role(raw) is Role.LEADER


# -- giving up office ------------------------------------------------------------------------


def test_a_leader_may_give_up_its_office() -> None:
    raw = lone(founded(VOTERS))
    raw.step_down()
    assert (role(raw), raw.raft.term) == (Role.FOLLOWER, 1)
    lead(raw)
    raw.read_index(b"r")
    raw.step_down()
    assert (role(raw), raw.raft.term, raw.raft.leader_id) == (Role.FOLLOWER, 2, 0)
    assert raw.ready().dropped_reads == [b"r"]


def test_a_candidate_that_is_no_member_any_more_can_still_win_and_does_no_harm() -> None:
    raw = lone(founded(VOTERS))
    raw.campaign()
    persist(raw)
    del raw.raft.tracker.progress[1]
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=2))
    persist(raw)
    for voter in (2, 3):
        accept(raw, voter, 2)
    assert raw.raft.raft_log.committed == 2
