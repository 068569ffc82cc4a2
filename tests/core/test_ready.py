"""The contract between RawNode and its driver, as Ready states it."""

from __future__ import annotations

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.types import (
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    Role,
    Snapshot,
    SnapshotMetadata,
    SoftState,
)
from raftify.errors import InvariantViolation, StorageDamaged
from tests.core.network import (
    Network,
    accept,
    append,
    entries,
    founded,
    lead,
    lone,
    persist,
    stored,
    take,
    write,
)

VOTERS = [1, 2, 3]


# -- one Ready at a time ---------------------------------------------------------------------


def test_a_leaders_life_ready_by_ready() -> None:
    raw = lone(founded([1]))
    raw.campaign()
    ready = raw.ready()
    assert ready.ss == ready.soft_state == SoftState(1, Role.LEADER)
    assert ready.hs == ready.hard_state == HardState(term=2, vote=1, commit=1)
    assert [entry.index for entry in ready.entries] == [2]
    assert ready.must_sync
    write(raw, ready)
    light = raw.advance(ready)
    assert light.commit_index == 2
    assert [entry.index for entry in light.committed_entries] == [2]
    assert raw.status().applied == 1
    raw.advance_apply()
    assert raw.status().applied == 2
    assert not raw.has_ready()


def test_a_sole_voter_never_hands_out_what_is_not_durable() -> None:
    """etcd#14370: an entry in both `entries` and `committed_entries` is applied before a crash and
    gone after it.
    """
    raw = lone(founded([1]))
    raw.campaign()
    applied: list[int] = []
    for _ in range(5):
        raw.propose(b"", b"x")
        durable = raw.raft.raft_log.persisted
        ready = raw.ready()
        assert ready.entries
        assert all(entry.index <= durable for entry in ready.committed_entries)
        write(raw, ready)
        light = raw.advance_append(ready)
        applied += [entry.index for entry in ready.committed_entries + light.committed_entries]
    assert applied == [2, 3, 4, 5, 6, 7]


def test_async_a_sole_voter_waits_for_the_sync() -> None:
    raw = lone(founded([1]))
    raw.campaign()
    numbers = []
    for _ in range(3):
        raw.propose(b"", b"x")
        ready = raw.ready()
        assert ready.committed_entries == []
        write(raw, ready)
        raw.advance_append_async(ready)
        numbers.append(ready.number)
    assert not raw.has_ready()
    raw.on_persist_ready(numbers[1])
    assert [entry.index for entry in raw.ready().committed_entries] == [2, 3, 4]


def test_votes_and_acknowledgements_wait_for_the_sync() -> None:
    """Contract 3; PySyncObj#84, TemporalStore#74."""
    raw = lone(founded(VOTERS))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=2, index=1, log_term=1))
    ready = raw.ready()
    assert ready.messages == []
    assert [m.msg_type for m in ready.persisted_messages] == [MessageType.REQUEST_VOTE_RESPONSE]
    assert ready.hs == HardState(term=2, vote=2, commit=1)
    assert ready.must_sync
    raw.advance(ready)
    append(raw, (2, 2))
    ready = raw.ready()
    assert ready.messages == []
    assert [m.msg_type for m in ready.persisted_messages] == [MessageType.APPEND_RESPONSE]
    assert ready.must_sync
    write(raw, ready)
    raw.advance(ready)
    raw.campaign()
    ready = raw.ready()
    assert {m.msg_type for m in ready.persisted_messages} == {MessageType.REQUEST_VOTE}
    assert (ready.messages, ready.must_sync) == ([], True)


def test_a_vote_in_a_term_long_durable_waits_for_the_sync_too() -> None:
    raw = lone(stored(VOTERS, [1, 2]))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=9, index=9, log_term=1))
    raw.advance(raw.ready())
    raw.step(Message(MessageType.REQUEST_VOTE, from_=3, term=9, index=2, log_term=2))
    ready = raw.ready()
    assert (ready.hs, ready.must_sync) == (HardState(term=9, vote=3), True)
    assert [m.reject for m in ready.persisted_messages] == [False]


def test_a_leaders_messages_leave_at_once() -> None:
    """Contract 1; thesis 10.2.1."""
    raw = lone(founded(VOTERS))
    raw.campaign()
    persist(raw)
    raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=2, term=2))
    take(raw)
    raw.propose(b"", b"x")
    raw.ping()
    ready = raw.ready()
    assert {m.msg_type for m in ready.messages} == {MessageType.HEARTBEAT}
    assert ready.persisted_messages == []
    assert [entry.index for entry in ready.entries] == [2, 3]


def test_a_leader_by_its_own_vote_alone_waits_once() -> None:
    """It must not send in a term that a crash would let it be elected in again (raft-rs would)."""
    raw = lone(founded([1], [2]))
    raw.campaign()
    first = raw.ready()
    assert first.messages == []
    assert [m.msg_type for m in first.persisted_messages] == [MessageType.APPEND]
    write(raw, first)
    raw.advance_append_async(first)
    raw.ping()
    second = raw.ready()
    assert (second.messages, len(second.persisted_messages)) == ([], 1)
    raw.advance_append_async(second)
    raw.on_persist_ready(second.number)
    raw.ping()
    assert len(raw.ready().messages) == 1


def test_only_a_new_commit_index_needs_no_sync() -> None:
    raw = lone(stored(VOTERS, [1, 1], commit=1), applied=1)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=1, commit=2))
    ready = raw.ready()
    assert ready.hs == HardState(term=1, vote=0, commit=2)
    assert not ready.must_sync


def test_a_light_ready_tells_what_the_sync_allowed() -> None:
    network = Network.of([1, 2])
    network.elect(1)
    raw = network[1].raw
    raw.propose(b"", b"x")
    ready = raw.ready()
    write(raw, ready)
    raw.step(Message(MessageType.APPEND_RESPONSE, from_=2, term=2, index=3))
    light = raw.advance_append(ready)
    assert light.commit_index == 3
    assert [entry.data for entry in light.committed_entries] == [b"x"]
    assert [m.commit for m in light.messages if m.msg_type is MessageType.APPEND] == [3]
    raw.advance_apply_to(3)
    assert raw.status().applied == 3
    assert not raw.has_ready()


def test_what_a_follower_has_to_say_waits_for_the_next_ready() -> None:
    raw = lone(founded(VOTERS))
    append(raw, (2, 2))
    ready = raw.ready()
    append(raw, (3, 2))
    write(raw, ready)
    light = raw.advance_append(ready)
    assert light.messages == []
    following = raw.ready()
    assert [entry.index for entry in following.entries] == [3]
    assert [m.index for m in following.persisted_messages] == [3]


def test_stepping_while_a_ready_is_open() -> None:
    """Contract 6: what comes meanwhile is in the next Ready, and nothing is handed out twice."""
    raw = lone(founded(VOTERS))
    lead(raw)
    accept(raw, 2, 2)
    raw.propose(b"", b"a")
    first = raw.ready()
    raw.propose(b"", b"b")
    accept(raw, 2, 4)
    write(raw, first)
    raw.advance_append_async(first)
    raw.on_persist_ready(first.number)
    second = raw.ready()
    assert [entry.data for entry in first.entries] == [b"a"]
    assert [entry.data for entry in second.entries] == [b"b"]
    assert [entry.index for entry in first.committed_entries] == [2]
    assert [entry.index for entry in second.committed_entries] == [3]


def test_entries_replaced_while_they_are_written_are_written_again() -> None:
    raw = lone(founded(VOTERS))
    append(raw, (2, 2), (3, 2))
    first = raw.ready()
    append(raw, (3, 3), term=3)
    write(raw, first)
    raw.advance_append_async(first)
    raw.on_persist_ready(first.number)
    assert raw.raft.raft_log.persisted == 1
    second = raw.ready()
    assert [(entry.index, entry.term) for entry in second.entries] == [(2, 2), (3, 3)]
    write(raw, second)
    raw.advance_append_async(second)
    raw.on_persist_ready(second.number)
    assert raw.raft.raft_log.persisted == 3


def test_an_entry_that_a_later_write_replaces_is_not_durable_yet() -> None:
    """raft-rs, maybe_persist, with all three writes under way: A's entry, C's, and A's again."""
    raw = lone(founded(VOTERS))
    numbers = []
    for term, leader in ((2, 2), (3, 3), (4, 2)):
        entry_term = 2 if leader == 2 else 3
        message = Message(MessageType.APPEND, from_=leader, term=term, index=1, log_term=1)
        message.entries = entries((2, entry_term))
        raw.step(message)
        ready = raw.ready()
        write(raw, ready)
        raw.advance_append_async(ready)
        numbers.append(ready.number)
    persisted = []
    for number in numbers:
        raw.on_persist_ready(number)
        persisted.append(raw.raft.raft_log.persisted)
    assert persisted == [1, 1, 2]


def test_a_snapshot_comes_before_what_follows_it() -> None:
    raw = lone(founded(VOTERS))
    snapshot = Snapshot(metadata=SnapshotMetadata(ConfState((1, 2, 3)), 9, 2))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=snapshot))
    append(raw, (10, 2), commit=10)
    ready = raw.ready()
    assert ready.snapshot is snapshot
    assert [entry.index for entry in ready.entries] == [10]
    assert ready.committed_entries == []
    write(raw, ready)
    light = raw.advance_append(ready)
    assert [entry.index for entry in light.committed_entries] == [10]
    assert raw.raft.raft_log.persisted == 10


def test_a_snapshot_is_synced_and_counts_as_applied() -> None:
    raw = lone(stored(VOTERS, [1, 1], commit=2))
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=2))
    raw.advance(raw.ready())
    snapshot = Snapshot(metadata=SnapshotMetadata(ConfState((1, 2, 3)), 9, 2))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=snapshot))
    ready = raw.ready()
    assert (ready.snapshot, ready.entries) == (snapshot, [])
    assert ready.must_sync
    write(raw, ready)
    raw.advance(ready)
    assert raw.status().applied == 9


def test_several_readies_are_durable_at_once() -> None:
    raw = lone(founded(VOTERS))
    numbers = []
    for index in (2, 3, 4):
        append(raw, (index, 2), commit=index)
        ready = raw.ready()
        assert ready.committed_entries == []
        write(raw, ready)
        raw.advance_append_async(ready)
        numbers.append(ready.number)
    assert numbers == [1, 2, 3]
    raw.on_persist_ready(2)
    assert [entry.index for entry in raw.ready().committed_entries] == [2, 3]


def test_a_ready_that_writes_nothing_takes_back_nothing() -> None:
    raw = lone(founded(VOTERS))
    append(raw, (2, 2), commit=2)
    for _ in range(2):
        ready = raw.ready()
        write(raw, ready)
        raw.advance_append_async(ready)
        raw.step(Message(MessageType.HEARTBEAT, from_=2, term=2))
    assert (ready.number, ready.entries) == (2, [])
    raw.on_persist_ready(2)
    assert raw.raft.raft_log.persisted == 2


def test_a_leader_told_so_may_apply_before_its_own_sync() -> None:
    raw = lone(founded(VOTERS), max_apply_unpersisted_log_limit=1)
    lead(raw)
    raw.propose_batch([Entry(data=b"a"), Entry(data=b"b")])
    for follower in (2, 3):
        accept(raw, follower, 4)
    ready = raw.ready()
    assert [entry.index for entry in ready.committed_entries] == [2, 3]
    write(raw, ready)
    raw.advance_append_async(ready)
    raw.advance_apply()
    # As a follower it would not know what will be overwritten.
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=9, commit=4))
    assert raw.raft.raft_log.max_apply_unpersisted_log_limit == 0
    assert raw.ready().committed_entries == []


# -- misuse and failure ----------------------------------------------------------------------


def test_a_ready_must_be_closed_before_the_next() -> None:
    raw = lone(founded(VOTERS))
    raw.campaign()
    raw.ready()
    with pytest.raises(InvariantViolation, match="Ready 1 was not closed"):
        raw.ready()


def test_only_the_open_ready_can_be_closed() -> None:
    raw = lone(founded(VOTERS))
    raw.campaign()
    ready = raw.ready()
    raw.advance(ready)
    with pytest.raises(InvariantViolation, match="cannot be closed"):
        raw.advance(ready)


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_durable_before_it_is_closed(number: int) -> None:
    raw = lone(founded(VOTERS))
    raw.campaign()
    raw.ready()
    with pytest.raises(InvariantViolation, match="not closed yet"):
        raw.on_persist_ready(number)


def test_a_snapshot_behind_what_was_handed_out_is_a_broken_invariant() -> None:
    raw = lone(stored(VOTERS, [1, 1, 1], commit=3))
    raw.advance(raw.ready())
    snapshot = Snapshot(metadata=SnapshotMetadata(ConfState((1, 2, 3)), 2, 2))
    raw.raft.raft_log.unstable.restore(snapshot)
    with pytest.raises(InvariantViolation, match="would undo entries"):
        raw.ready()


def test_a_failed_node_refuses_everything() -> None:
    """h11's ERROR state: nothing of a half-done call may be made durable."""
    raw = lone(founded(VOTERS))
    raw.step(Message(MessageType.REQUEST_VOTE, from_=2, term=4, index=1, log_term=1))
    with pytest.raises(InvariantViolation) as first:
        raw.step(Message(MessageType.HEARTBEAT, from_=2, term=9, commit=7))
    assert raw.failure is first.value
    for call in (
        raw.ready,
        raw.has_ready,
        raw.tick,
        raw.campaign,
        raw.ping,
        raw.advance_apply,
        lambda: raw.propose(b"", b""),
        lambda: raw.step(Message(MessageType.HEARTBEAT, from_=2, term=9)),
    ):
        with pytest.raises(InvariantViolation, match="stopped for good") as again:
            call()
        assert again.value.__cause__ is first.value


def test_a_store_that_fails_stops_the_node_as_well() -> None:
    class Broken(MemoryStorage):
        def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
            raise StorageDamaged("entry 2 has a wrong checksum")

    storage = Broken()
    storage.set_conf_state(ConfState((1, 2)))
    storage.append(entries((1, 1), (2, 1)))
    storage.set_hardstate(HardState(term=1, commit=2))
    raw = lone(storage)
    with pytest.raises(StorageDamaged):
        raw.ready()
    with pytest.raises(InvariantViolation, match="wrong checksum"):
        raw.tick()
