"""A node that needs nobody else: it is elected, commits and answers reads by itself."""

from __future__ import annotations

from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode
from raftify.core.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    HardState,
    MessageType,
    Role,
    Snapshot,
    SnapshotMetadata,
)
from tests.core.network import Network, accept, founded, lead, lone, persist, role, write


def joint_with_itself() -> RawNode:
    """Return a node that votes alone in both halves, as while it takes a learner in explicitly."""
    conf_state = ConfState(voters=(1,), voters_outgoing=(1,))
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(metadata=SnapshotMetadata(conf_state, 1, 1)))
    storage.set_hardstate(HardState(term=1, commit=1))
    return lone(storage)


def test_joint_with_itself_it_campaigns_only_with_a_durable_log() -> None:
    """raft-rs takes it for one voter of several, elects it at once, and stops."""
    raw = joint_with_itself()
    lead(raw)
    raw.propose(b"", b"x")
    raw.step_down()
    assert raw.campaign_blocker() == "its log is not durable yet"
    raw.campaign()
    assert role(raw) is Role.FOLLOWER
    persist(raw)
    raw.campaign()
    assert role(raw) is Role.LEADER


def test_joint_with_itself_it_answers_reads() -> None:
    """raft-rs asks for acknowledgements that nobody can give."""
    raw = joint_with_itself()
    lead(raw)
    raw.read_index(b"r")
    assert [(read.index, read.request_ctx) for read in raw.ready().read_states] == [(2, b"r")]


def test_a_leader_that_the_sole_voter_is_not_asks_it_before_it_answers() -> None:
    """With raft-rs's rule it answers, though the voter may have elected itself in the meantime."""
    network = Network.of([1, 2], step_down_on_removal=False, check_quorum=True)
    leader = network.elect(1)
    leader.raw.propose_conf_change(b"", ConfChange(1, ConfChangeType.REMOVE_NODE, 1))
    network.settle()
    assert leader.raft.tracker.is_singleton()
    assert role(leader.raw) is Role.LEADER
    network.isolate(1)
    network.elect(2)
    network.propose(2, b"newer")
    leader.raw.read_index(b"stale")
    network.settle()
    assert leader.reads == []

    network.recover()
    leader.raw.ping()
    network.settle()
    assert leader.reads == []
    assert role(leader.raw) is Role.FOLLOWER
    assert leader.dropped_reads == [b"stale"]


def test_elected_while_a_ready_is_open_it_sends_nothing_before_its_term_is_durable() -> None:
    """What it sent in a term that a crash makes it forget, it could contradict in the same term."""
    raw = lone(founded([1], [2]))
    lead(raw)
    accept(raw, 2, 2)
    persist(raw)
    raw.step_down()
    ready = raw.ready()
    raw.campaign()
    assert role(raw) is Role.LEADER
    write(raw, ready)
    light = raw.advance_append(ready)
    assert light.messages == []

    ready = raw.ready()
    assert ready.hs == HardState(term=3, vote=1, commit=2)
    assert ready.messages == []
    assert [message.msg_type for message in ready.persisted_messages] == [MessageType.APPEND]
