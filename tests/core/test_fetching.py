"""Entries that storage must fetch: who waits for them, and what they get when they are there."""

from __future__ import annotations

from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode
from raftify.core.types import Message, MessageType
from tests.core.network import accept, founded, lead, lone, persist, take


def behind() -> tuple[RawNode, MemoryStorage]:
    """Return a leader whose follower has nothing of two large entries, which must be fetched."""
    storage = founded([1, 2])
    raw = lone(storage, max_size_per_msg=0)
    lead(raw)
    raw.propose(b"", b"x")
    raw.propose(b"", b"y")
    persist(raw)
    take(raw)
    storage.trigger_log_unavailable(True)
    return raw, storage


def appends(raw: RawNode) -> list[list[int]]:
    """Return the indices in each append that is to be sent."""
    return [
        [entry.index for entry in message.entries]
        for message in take(raw)
        if message.msg_type is MessageType.APPEND
    ]


def test_one_message_was_to_be_sent() -> None:
    raw, storage = behind()
    progress = raw.raft.tracker.progress[2]
    progress.maybe_update(1)
    progress.become_replicate()
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    storage.trigger_log_unavailable(False)
    raw.on_entries_fetched()
    assert appends(raw) == [[2]]
    raw.on_entries_fetched()
    assert appends(raw) == [], "nobody waits any more"


def test_all_were_to_be_sent() -> None:
    raw, storage = behind()
    accept(raw, 2, 1)
    raw.raft.tracker.progress[2].become_replicate()
    assert appends(raw) == []
    storage.trigger_log_unavailable(False)
    raw.on_entries_fetched()
    assert appends(raw) == [[2], [3], [4]]


def test_who_waits_for_all_is_not_content_with_one() -> None:
    """A heartbeat's answer asks for one message; what an acknowledgement asked for stays due."""
    raw, storage = behind()
    accept(raw, 2, 1)
    raw.raft.tracker.progress[2].become_replicate()
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    storage.trigger_log_unavailable(False)
    raw.on_entries_fetched()
    assert appends(raw) == [[2], [3], [4]]


def test_who_waited_for_a_former_leader_waits_for_nothing() -> None:
    raw, storage = behind()
    raw.step(Message(MessageType.HEARTBEAT_RESPONSE, from_=2, term=2))
    assert raw.raft.fetching
    raw.step_down()
    assert not raw.raft.fetching
    storage.trigger_log_unavailable(False)
    raw.on_entries_fetched()
    assert appends(raw) == []
