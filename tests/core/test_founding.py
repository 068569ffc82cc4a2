"""RawNode.found: a node without a log begins with a snapshot that no leader sent."""

from __future__ import annotations

import random

import pytest

from raftify.core.config import RaftConfig
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode
from raftify.core.types import ConfState, Message, MessageType, Role, Snapshot, SnapshotMetadata
from raftify.errors import ConfChangeRejected


def new_node(storage: MemoryStorage | None = None) -> RawNode:
    config = RaftConfig(id=1, election_tick=10, heartbeat_tick=1)
    return RawNode(config, storage or MemoryStorage(), random=random.Random(0))


def leads(node: RawNode) -> bool:
    return node.raft.role is Role.LEADER


def snapshot(*voters: int) -> Snapshot:
    return Snapshot(b"first", SnapshotMetadata(ConfState(voters=voters), 1, 1))


def test_the_snapshot_is_durable_before_anything_is_sent() -> None:
    node = new_node()
    node.found(snapshot(1, 2))
    node.campaign()
    ready = node.ready()
    assert ready.snapshot == snapshot(1, 2)
    assert ready.must_sync
    assert ready.messages == []
    assert {m.msg_type for m in ready.persisted_messages} <= {
        MessageType.REQUEST_VOTE,
        MessageType.REQUEST_PRE_VOTE,
    }
    assert ready.hs is not None
    assert ready.hs.term >= 1
    assert ready.hs.commit == 1


def test_a_sole_founder_does_not_lead_before_it_is_durable() -> None:
    storage = MemoryStorage()
    node = new_node(storage)
    node.found(snapshot(1))
    assert node.campaign_blocker() == "its log is not durable yet"
    node.campaign()
    assert not leads(node)
    ready = node.ready()
    storage.apply_snapshot(ready.snapshot)
    node.advance_append_async(ready)
    node.on_persist_ready(ready.number)
    node.campaign()
    assert leads(node)


def test_its_term_does_not_go_back() -> None:
    node = new_node()
    vote = Message(MessageType.REQUEST_VOTE, to=1, from_=2, term=7, index=1, log_term=1)
    node.step(vote)
    node.found(snapshot(1, 2))
    assert (node.raft.term, node.raft.vote) == (7, 2)
    assert node.raft.raft_log.last_index() == 1


def test_who_has_a_log_founds_nothing() -> None:
    node = new_node()
    node.found(snapshot(1, 2))
    with pytest.raises(ConfChangeRejected, match="a log already"):
        node.found(snapshot(1, 2, 3))
    assert node.raft.tracker.conf.voters.ids() == {1, 2}


def test_who_is_no_member_founds_nothing() -> None:
    node = new_node()
    with pytest.raises(ConfChangeRejected, match="no member"):
        node.found(snapshot(2, 3))
    assert node.raft.raft_log.last_index() == 0
    assert node.failure is None
