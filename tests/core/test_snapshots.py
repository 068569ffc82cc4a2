"""Snapshots: sent to whom, restored how, and what becomes of lost ones."""

from __future__ import annotations

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.progress import ProgressState
from raftify.core.raw_node import RawNode, SnapshotStatus
from raftify.core.snapshot_handling import restore
from raftify.core.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Message,
    MessageType,
    Role,
    Snapshot,
)
from raftify.errors import (
    InvariantViolation,
    MalformedMessage,
    SnapshotTemporarilyUnavailable,
)
from tests.core.network import (
    Network,
    accept,
    entries,
    founded,
    lead,
    lone,
    persist,
    role,
    snapshot,
    stored,
    take,
)

VOTERS = [1, 2, 3]


def leader_with_lost_begin() -> RawNode:
    """Return a leader at term 2 that has nothing before index 2 any more."""
    raw = lone(founded(VOTERS))
    lead(raw)
    return raw


def rejects_all(raw: RawNode, from_: int = 2) -> None:
    """Let a follower with an empty log answer."""
    raw.step(Message(MessageType.APPEND_RESPONSE, from_=from_, term=2, index=1, reject=True))


# -- sending ---------------------------------------------------------------------------------


def test_who_lacks_what_is_gone_gets_a_snapshot() -> None:
    raw = leader_with_lost_begin()
    rejects_all(raw)
    [message] = take(raw)
    assert message.msg_type is MessageType.SNAPSHOT
    assert message.snapshot is not None
    assert message.snapshot.metadata.index == 1
    progress = raw.status().progress[2]
    assert (progress.state, progress.pending_snapshot) == (ProgressState.SNAPSHOT, 1)
    raw.propose(b"", b"x")
    assert [m for m in take(raw) if m.to == 2] == [], "nothing else meanwhile"


def test_who_is_not_heard_of_gets_no_snapshot() -> None:
    raw = leader_with_lost_begin()
    progress = raw.raft.tracker.progress[2]
    progress.next_idx = 1
    raw.raft.tracker.progress[2].resume()
    raw.propose(b"", b"x")
    assert [m for m in take(raw) if m.to == 2] == []
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    assert [m.msg_type for m in take(raw)] == [MessageType.SNAPSHOT]


def test_a_snapshot_not_there_yet_is_asked_for_again() -> None:
    raw = leader_with_lost_begin()
    storage = raw.store()
    assert isinstance(storage, MemoryStorage)
    storage.trigger_snap_unavailable()
    rejects_all(raw)
    assert take(raw) == []
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    assert [m.msg_type for m in take(raw)] == [MessageType.SNAPSHOT]


def test_an_empty_snapshot_of_storage_is_a_broken_invariant() -> None:
    class Empty(MemoryStorage):
        def snapshot(self, request_index: int, to: int) -> Snapshot:
            return Snapshot()

    storage = Empty()
    storage.apply_snapshot(snapshot(1, 1))
    raw = lone(storage)
    lead(raw)
    with pytest.raises(InvariantViolation, match="empty snapshot"):
        rejects_all(raw)


def test_a_snapshot_has_the_node_it_is_sent_to() -> None:
    """etcd#13760, raft-rs#472: one older than the change that added a node is no use to it."""
    storage = founded([1, 2])
    with pytest.raises(SnapshotTemporarilyUnavailable, match="node 3"):
        storage.snapshot(0, 3)
    storage.set_conf_state(ConfState((1, 2), learners=(3,)))
    assert storage.snapshot(0, 3).metadata.conf_state.learners == (3,)
    storage.set_conf_state(ConfState((1, 2), voters_outgoing=(3,)))
    assert storage.snapshot(0, 3).metadata.conf_state.voters_outgoing == (3,)


def paused_for_snapshot() -> RawNode:
    raw = leader_with_lost_begin()
    rejects_all(raw)
    take(raw)
    return raw


@pytest.mark.parametrize(
    ("status", "next_idx"), [(SnapshotStatus.FINISH, 2), (SnapshotStatus.FAILURE, 1)]
)
def test_a_reported_snapshot_is_followed_by_a_probe(status: SnapshotStatus, next_idx: int) -> None:
    """nebula#1769, redpanda#3245: after a lost snapshot go on, but not in a tight loop."""
    raw = paused_for_snapshot()
    raw.report_snapshot(2, status)
    progress = raw.status().progress[2]
    assert (progress.state, progress.next_idx, progress.paused) == (
        ProgressState.PROBE,
        next_idx,
        True,
    )
    raw.propose(b"", b"x")
    assert [m for m in take(raw) if m.to == 2] == [], "not before it is heard of again"
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    kind = MessageType.APPEND if status is SnapshotStatus.FINISH else MessageType.SNAPSHOT
    assert [m.msg_type for m in take(raw)] == [kind]


def test_an_acknowledged_snapshot_makes_way_for_appends() -> None:
    raw = paused_for_snapshot()
    accept(raw, 2, 1)
    progress = raw.status().progress[2]
    assert (progress.state, progress.matched, progress.next_idx) == (ProgressState.PROBE, 1, 2)
    assert [e.index for m in take(raw) if m.to == 2 for e in m.entries] == [2]


def test_an_answer_before_the_snapshot_keeps_it_pending() -> None:
    raw = paused_for_snapshot()
    raw.raft.tracker.progress[2].pending_snapshot = 5
    accept(raw, 2, 1)
    assert raw.status().progress[2].state is ProgressState.SNAPSHOT


def test_reports_without_a_snapshot_mean_nothing() -> None:
    raw = leader_with_lost_begin()
    raw.report_snapshot(2, SnapshotStatus.FAILURE)
    raw.report_snapshot(9, SnapshotStatus.FAILURE)
    assert raw.status().progress[2].state is ProgressState.PROBE
    accept(raw, 2, 2)
    raw.report_snapshot(2, SnapshotStatus.FAILURE)
    assert raw.status().progress[2].state is ProgressState.REPLICATE


# -- restoring -------------------------------------------------------------------------------


def test_a_snapshot_replaces_log_and_configuration() -> None:
    raw = lone(founded([1, 2]))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=3, snapshot=snapshot(11, 2, (1, 2, 3))))
    log = raw.raft.raft_log
    assert (log.last_index(), log.last_term(), log.committed) == (11, 2, 11)
    assert raw.status().conf_state.voters == (1, 2, 3)
    [answer] = take(raw)
    assert (answer.msg_type, answer.index) == (MessageType.APPEND_RESPONSE, 11)
    assert raw.snap() is not None
    ready = persist(raw)
    assert ready.snapshot.metadata.index == 11
    assert ready.must_sync
    assert raw.snap() is None
    assert (log.persisted, log.first_index()) == (11, 12)


def test_a_joiner_becomes_part_of_the_cluster_by_its_first_snapshot() -> None:
    raw = lone(MemoryStorage(), 4)
    raw.step(Message(MessageType.APPEND, from_=1, term=2, index=5, log_term=2))
    [answer] = take(raw)
    assert (answer.reject, answer.reject_hint, answer.log_term) == (True, 0, 0)
    raw.step(
        Message(
            MessageType.SNAPSHOT,
            from_=1,
            term=2,
            snapshot=snapshot(5, 2, (1, 2, 3), learners=(4,)),
        )
    )
    assert raw.status().conf_state == ConfState((1, 2, 3), learners=(4,))
    assert not raw.raft.promotable


def test_a_joiner_may_begin_with_entries_too() -> None:
    raw = lone(MemoryStorage(), 4)
    raw.step(
        Message(MessageType.APPEND, from_=1, term=2, entries=entries((1, 1), (2, 2)), commit=1)
    )
    [answer] = take(raw)
    assert (answer.reject, answer.index) == (False, 2)
    assert [e.index for e in persist(raw).entries] == [1, 2]


def test_conflicting_entries_at_the_snapshots_index_go() -> None:
    """hashicorp/raft#697: kept, they were sent a snapshot for again and again."""
    raw = lone(stored(VOTERS, [1, 1, 1, 1, 1], commit=2))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=3, snapshot=snapshot(4, 2)))
    persist(raw)
    take(raw)
    raw.step(
        Message(MessageType.APPEND, from_=2, term=3, index=4, log_term=2, entries=entries((5, 3)))
    )
    [answer] = take(raw)
    assert (answer.reject, answer.index) == (False, 5)
    assert [entry.term for entry in raw.raft.raft_log.all_entries()] == [3]


def test_a_snapshot_of_what_is_there_only_raises_the_commit_index() -> None:
    raw = lone(stored(VOTERS, [1, 1, 1], commit=1))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=1, snapshot=snapshot(2, 1)))
    [answer] = take(raw)
    assert answer.index == 2
    assert raw.snap() is None
    assert (raw.raft.raft_log.committed, raw.raft.raft_log.last_index()) == (2, 3)


@pytest.mark.parametrize("first_index", [1, 4])
def test_an_old_snapshot_is_answered_with_the_commit_index(first_index: int) -> None:
    """Even one of which the log does not know the term any more."""
    storage = stored(VOTERS, [1, 1, 1], commit=3)
    storage.compact(first_index)
    raw = lone(storage)
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=1, snapshot=snapshot(2, 1)))
    [answer] = take(raw)
    assert (answer.index, raw.snap()) == (3, None)


def test_a_snapshot_for_others_is_refused() -> None:
    raw = lone(founded(VOTERS))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=1, snapshot=snapshot(9, 1, (2, 3))))
    assert (raw.snap(), raw.raft.raft_log.committed) == (None, 1)


@pytest.mark.parametrize(
    "conf",
    [
        {"voters": (1, 2)},
        {"voters": (2,), "learners": (1,)},
        {"voters": (2,), "voters_outgoing": (1, 2)},
    ],
)
def test_every_kind_of_member_restores(conf: dict[str, tuple[int, ...]]) -> None:
    """etcd#12637: learners and outgoing voters are members as well."""
    raw = lone(founded(VOTERS))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=1, snapshot=snapshot(9, 1, **conf)))
    assert raw.raft.raft_log.committed == 9
    assert raw.raft.promotable is (1 in conf["voters"] + conf.get("voters_outgoing", ()))


def test_an_uncommitted_configuration_change_dies_with_the_log() -> None:
    """openraft#1808, etcd#11510: after a restore the snapshot's configuration counts, no other."""
    network = Network.of([1, 2, 3])
    network.elect(1)
    network.isolate(1)
    raw = network[1].raw
    raw.propose_conf_change(b"", ConfChange(0, ConfChangeType.ADD_NODE, 9))
    assert network[1].process() != []
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=5, snapshot=snapshot(9, 4, (1, 2))))
    assert raw.status().conf_state == ConfState((1, 2))
    assert network[1].process() != []
    assert raw.raft.raft_log.all_entries() == []


def test_a_damaged_configuration_is_malformed() -> None:
    raw = lone(founded(VOTERS))
    damaged = snapshot(9, 1, (1, 2), learners=(2,))
    with pytest.raises(MalformedMessage, match="no sequence of changes"):
        raw.step(Message(MessageType.SNAPSHOT, from_=2, term=1, snapshot=damaged))
    assert raw.failure is None, "a stranger's fault, not ours"


def test_a_snapshot_message_without_one_is_malformed() -> None:
    raw = lone(founded(VOTERS))
    with pytest.raises(MalformedMessage):
        raw.step(Message(MessageType.SNAPSHOT, from_=2, term=1))
    assert raw.failure is None, "a stranger's fault, not ours"


def test_only_followers_restore() -> None:
    raw = leader_with_lost_begin()
    assert not restore(raw.raft, snapshot(9, 2))
    assert (role(raw), raw.raft.term) == (Role.FOLLOWER, 3)


def test_a_candidate_takes_a_snapshot_of_its_terms_leader() -> None:
    """nebula#1769: waiting as a candidate, it must not refuse the snapshot that helps."""
    raw = lone(founded(VOTERS))
    raw.campaign()
    take(raw)
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=snapshot(9, 1)))
    assert (role(raw), raw.raft.raft_log.committed) == (Role.FOLLOWER, 9)


def test_a_learner_restored_by_a_snapshot_stays_one() -> None:
    """dragonboat#94: restored from a snapshot that promotes another, it must not campaign."""
    raw = lone(founded([1, 2], [3]), 3)
    conf = snapshot(9, 1, (1, 2, 4), learners=(3,))
    raw.step(Message(MessageType.SNAPSHOT, from_=1, term=1, snapshot=conf))
    persist(raw)
    for _ in range(50):
        raw.tick()
    assert role(raw) is Role.FOLLOWER


def test_two_snapshots_before_the_first_is_durable() -> None:
    """tikv#9349: the second arrives while the first is being written."""
    storage = founded(VOTERS)
    raw = lone(storage)
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=snapshot(5, 2)))
    first = raw.ready()
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=snapshot(9, 2)))
    storage.apply_snapshot(first.snapshot)
    raw.advance_append_async(first)
    second = raw.ready()
    assert second.snapshot.metadata.index == 9
    storage.apply_snapshot(second.snapshot)
    raw.advance_append_async(second)
    raw.on_persist_ready(first.number)
    assert raw.raft.raft_log.persisted == 5
    raw.on_persist_ready(second.number)
    assert raw.raft.raft_log.persisted == 9
    assert raw.snap() is None
