"""The tables: every message is handled or ignored on purpose, and ignoring it changes nothing."""

from __future__ import annotations

import pytest

from raftify.core.handlers import BY_ROLE, IGNORED
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import is_local_msg
from raftify.core.types import Message, MessageType, Role
from raftify.errors import MalformedMessage, StepLocalMessage, StepPeerNotFound
from tests.core.network import founded, lead, lone, role, take

PAIRS = [(role, msg_type) for role in Role for msg_type in MessageType]


@pytest.mark.parametrize(("role_of", "msg_type"), PAIRS)
def test_every_pair_is_in_exactly_one_table(role_of: Role, msg_type: MessageType) -> None:
    handled = msg_type in BY_ROLE[role_of]
    ignored = msg_type in IGNORED[role_of]
    assert handled != ignored


def test_the_tables_cannot_be_changed() -> None:
    for table in (BY_ROLE, IGNORED):
        with pytest.raises(TypeError):
            table[Role.LEADER] = None  # type: ignore[index] # that it cannot is the point


@pytest.mark.parametrize(
    ("role_of", "msg_type"), [(r, t) for r in Role for t in sorted(IGNORED[r])]
)
def test_what_is_ignored_changes_nothing(role_of: Role, msg_type: MessageType) -> None:
    raw = lone(founded([1, 2, 3]), pre_vote=True)
    if role_of is Role.LEADER:
        lead(raw)
    elif role_of is not Role.FOLLOWER:
        raw.campaign()
        if role_of is Role.CANDIDATE:
            raw.step(Message(MessageType.REQUEST_PRE_VOTE_RESPONSE, from_=2, term=2))
    take(raw)
    before = (raw.raft.hard_state(), raw.raft.soft_state(), raw.raft.raft_log.last_index())
    raw.raft.step(Message(msg_type, from_=2, term=raw.raft.term))
    assert role(raw) is role_of
    assert before == (raw.raft.hard_state(), raw.raft.soft_state(), raw.raft.raft_log.last_index())
    assert take(raw) == []


LOCAL = {
    MessageType.HUP,
    MessageType.BEAT,
    MessageType.UNREACHABLE,
    MessageType.SNAP_STATUS,
    MessageType.CHECK_QUORUM,
}


@pytest.mark.parametrize("msg_type", list(MessageType))
def test_local_messages_do_not_come_from_outside(msg_type: MessageType) -> None:
    assert is_local_msg(msg_type) is (msg_type in LOCAL)
    if msg_type in LOCAL:
        with pytest.raises(StepLocalMessage):
            lone(founded([1, 2, 3])).step(Message(msg_type, from_=2))


@pytest.mark.parametrize(
    "msg_type",
    [
        MessageType.APPEND_RESPONSE,
        MessageType.HEARTBEAT_RESPONSE,
        MessageType.REQUEST_VOTE_RESPONSE,
        MessageType.REQUEST_PRE_VOTE_RESPONSE,
    ],
)
def test_answers_of_strangers_are_refused(msg_type: MessageType) -> None:
    """etcd#2746: a node removed while its answer was under way; and it cannot raise the term."""
    raw = lone(founded([1, 2, 3]))
    lead(raw)
    with pytest.raises(StepPeerNotFound):
        raw.step(Message(msg_type, from_=9, term=99))
    assert (role(raw), raw.raft.term) == (Role.LEADER, 2)


@pytest.mark.parametrize(
    "msg_type",
    [
        MessageType.APPEND_RESPONSE,
        MessageType.HEARTBEAT_RESPONSE,
        MessageType.SNAP_STATUS,
        MessageType.UNREACHABLE,
        MessageType.TRANSFER_LEADER,
    ],
)
def test_a_leader_has_no_progress_of_strangers_and_does_without(msg_type: MessageType) -> None:
    raw = lone(founded([1, 2, 3]))
    lead(raw)
    raw.raft.step(Message(msg_type, from_=9, term=2))
    assert role(raw) is Role.LEADER
    assert take(raw) == []


@pytest.mark.parametrize(
    "msg_type",
    [
        MessageType.APPEND,
        MessageType.HEARTBEAT,
        MessageType.SNAPSHOT,
        MessageType.TIMEOUT_NOW,
        MessageType.REQUEST_VOTE,
        MessageType.REQUEST_PRE_VOTE,
    ],
)
def test_what_only_leaders_and_candidates_send_has_a_term(msg_type: MessageType) -> None:
    """Without one it would pass for a message of the node's own, and could lower its term."""
    raw = lone(founded([1, 2, 3]))
    raw.campaign()
    with pytest.raises(MalformedMessage, match="has no term"):
        raw.step(Message(msg_type, from_=2))
    assert (role(raw), raw.raft.term, raw.failure) == (Role.CANDIDATE, 2, None)


def test_a_node_that_has_just_begun_may_refuse() -> None:
    raw = lone(MemoryStorage.new_with_conf_state([1, 2]), priority=5)
    raw.step(Message(MessageType.REQUEST_PRE_VOTE, from_=2, term=1))
    [answer] = take(raw)
    assert (answer.reject, answer.term) == (True, 0)
