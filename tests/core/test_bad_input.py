"""Input that no healthy peer, store or user gives: each has a stated outcome (docs/bad-input.md).

"Refused" means a typed error, nothing changed, and a node that goes on; `unharmed` checks that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest

from raftify.core.raw_node import RawNode
from raftify.core.types import (
    ConfChange,
    ConfChangeV2,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    Role,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import (
    ConfChangeRejected,
    InvariantViolation,
    MalformedMessage,
    RaftifyError,
    StepLocalMessage,
    StepPeerNotFound,
)
from tests.core.changes import LEAVE, REMOVE, change, joint, ready_leader
from tests.core.network import accept, append, config, entries, founded, lone, role, take

VOTERS = [1, 2, 3]
STRANGER = 9
FAR = 1 << 63

RESPONSES = [
    MessageType.APPEND_RESPONSE,
    MessageType.HEARTBEAT_RESPONSE,
    MessageType.REQUEST_VOTE_RESPONSE,
    MessageType.REQUEST_PRE_VOTE_RESPONSE,
]
REQUESTS = [
    MessageType.APPEND,
    MessageType.HEARTBEAT,
    MessageType.SNAPSHOT,
    MessageType.TIMEOUT_NOW,
    MessageType.REQUEST_VOTE,
    MessageType.REQUEST_PRE_VOTE,
]


def leading(voters: list[int] | None = None) -> RawNode:
    return ready_leader(voters or VOTERS)


def following() -> RawNode:
    """Return a follower of node 2 in term 2, its log (2, 2), (3, 2), of which 2 is committed."""
    raw = lone(founded(VOTERS))
    append(raw, (2, 2), (3, 2), commit=2)
    take(raw)
    return raw


def state(raw: RawNode) -> tuple[object, ...]:
    core = raw.raft
    return (
        core.hard_state(),
        core.soft_state(),
        core.election_elapsed,
        [(entry.term, entry.index) for entry in core.raft_log.all_entries()],
        core.tracker.conf,
        {i: (p.matched, p.next_idx, p.state) for i, p in core.tracker.progress.items()},
        core.pending_conf_index,
        list(core.msgs),
    )


@contextmanager
def unharmed(raw: RawNode, error: type[RaftifyError], words: str) -> Iterator[None]:
    """Expect `error`, and a node that is as it was and goes on."""
    before = state(raw)
    with pytest.raises(error, match=words):
        yield
    assert state(raw) == before
    raw.tick()


# -- messages of strangers -----------------------------------------------------------------


@pytest.mark.parametrize("kind", RESPONSES)
def test_a_strangers_answer_is_refused(kind: MessageType) -> None:
    raw = leading()
    with unharmed(raw, StepPeerNotFound, "node 9, which is no member"):
        raw.step(Message(kind, from_=STRANGER, term=2, index=2))


@pytest.mark.parametrize("kind", [MessageType.APPEND, MessageType.HEARTBEAT])
def test_a_strange_leader_is_followed(kind: MessageType) -> None:
    """Thesis 4.1: one's own configuration may be the older one."""
    raw = following()
    raw.step(Message(kind, from_=STRANGER, term=3, index=3, log_term=2))
    assert (raw.raft.leader_id, raw.raft.term) == (STRANGER, 3)


def test_a_strange_candidate_gets_a_vote() -> None:
    """Thesis 4.1: it may have become a voter, and this node not know it yet."""
    raw = following()
    raw.step(Message(MessageType.REQUEST_VOTE, from_=STRANGER, term=3, index=3, log_term=2))
    assert raw.raft.vote == STRANGER


def test_a_transfer_to_a_stranger_is_ignored() -> None:
    raw = leading()
    before = state(raw)
    raw.transfer_leader(STRANGER)
    raw.report_unreachable(STRANGER)
    assert state(raw) == before


def test_a_strangers_proposal_is_taken() -> None:
    """Whoever may reach the transport may propose; that is for it to decide, as in raft-rs."""
    raw = leading()
    raw.step(Message(MessageType.PROPOSE, from_=STRANGER, entries=[Entry(data=b"x")]))
    assert raw.raft.raft_log.all_entries()[-1].data == b"x"


# -- types ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [-1, 19, 255])
@pytest.mark.parametrize("term", [0, 2, 7])
def test_a_message_of_an_unknown_type_is_refused(number: int, term: int) -> None:
    """Even if its term is a later one: nobody knows what that term would stand for."""
    raw = leading()
    with unharmed(raw, MalformedMessage, f"{number} from node 2 is no message type"):
        raw.step(Message(cast("MessageType", number), from_=2, term=term))


@pytest.mark.parametrize(
    "kind",
    [
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAP_STATUS,
        MessageType.CHECK_QUORUM,
    ],
)
def test_a_local_message_from_outside_is_refused(kind: MessageType) -> None:
    raw = leading()
    with unharmed(raw, StepLocalMessage, kind.name):
        raw.step(Message(kind, from_=2, term=2))


# -- terms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_without_a_term_is_refused(kind: MessageType) -> None:
    raw = following()
    with unharmed(raw, MalformedMessage, "has no term"):
        raw.step(Message(kind, from_=2, term=0, index=3, log_term=2))


def test_an_answer_without_a_term_is_one_of_this_term() -> None:
    """As in raft-rs. It cannot be refused: a node that has just begun refuses votes in term 0."""
    raw = lone(founded(VOTERS))
    raw.campaign()
    for voter in (2, 3):
        raw.step(Message(MessageType.REQUEST_VOTE_RESPONSE, from_=voter, reject=True))
    assert role(raw) is Role.FOLLOWER


@pytest.mark.parametrize("kind", [MessageType.APPEND, MessageType.HEARTBEAT_RESPONSE])
def test_a_term_far_ahead_is_taken_over(kind: MessageType) -> None:
    """§5.1 has no limit. With the quorum check a vote request, the likely one, is passed over."""
    raw = leading()
    raw.step(Message(kind, from_=2, term=FAR, index=2, log_term=2))
    assert (raw.raft.term, role(raw)) == (FAR, Role.FOLLOWER)
    guarded = lone(founded(VOTERS), check_quorum=True)
    guarded.step(Message(MessageType.HEARTBEAT, from_=2, term=2))
    guarded.step(Message(MessageType.REQUEST_VOTE, from_=3, term=FAR, index=9, log_term=9))
    assert guarded.raft.term == 2


# -- entries, commit index, acknowledgements -----------------------------------------------


@pytest.mark.parametrize(
    "positions",
    [
        # Not behind the message's index, 3.
        [(3, 2)],
        [(5, 2)],
        # Behind it, but not behind each other.
        [(4, 2), (6, 2)],
        [(4, 2), (4, 2)],
        [(4, 2), (3, 2)],
        [(4, 2), (6, 2), (6, 2)],
        [(4, 2), (6, 2), (5, 2), (7, 2)],
    ],
)
def test_entries_that_do_not_follow_each_other_are_refused(
    positions: list[tuple[int, int]],
) -> None:
    raw = following()
    with unharmed(raw, MalformedMessage, "acknowledging them would lose data"):
        raw.step(
            Message(
                MessageType.APPEND,
                from_=2,
                term=2,
                index=3,
                log_term=2,
                entries=entries(*positions),
            )
        )


def test_entries_that_contradict_what_is_committed_change_nothing() -> None:
    """The answer names the commit index, behind which logs match for sure."""
    raw = following()
    before = raw.raft.raft_log.all_entries()
    contradicting = entries((2, 3), (3, 3))
    raw.step(
        Message(MessageType.APPEND, from_=2, term=3, index=1, log_term=1, entries=contradicting)
    )
    [answer] = take(raw)
    assert (answer.reject, answer.index) == (False, 2)
    assert raw.raft.raft_log.all_entries() == before


def test_an_append_commits_no_more_than_it_covers() -> None:
    raw = following()
    raw.step(Message(MessageType.APPEND, from_=2, term=2, index=3, log_term=2, commit=FAR))
    assert raw.raft.raft_log.committed == 3


def test_a_heartbeat_that_commits_beyond_the_log_stops_the_node() -> None:
    """The leader believes that this node has what it has not: its store was rolled back."""
    raw = following()
    with pytest.raises(InvariantViolation, match="lost entries that it had acknowledged"):
        raw.step(Message(MessageType.HEARTBEAT, from_=2, term=2, commit=4))
    with pytest.raises(InvariantViolation, match="stopped for good"):
        raw.tick()


@pytest.mark.parametrize("kind", [MessageType.REQUEST_VOTE, MessageType.REQUEST_VOTE_RESPONSE])
def test_a_campaign_that_commits_beyond_the_log_teaches_nothing(kind: MessageType) -> None:
    raw = lone(founded(VOTERS))
    raw.campaign()
    raw.step(
        Message(kind, from_=2, term=2, index=9, log_term=2, commit=9, commit_term=2, reject=True)
    )
    assert raw.raft.raft_log.committed == 1


def test_an_acknowledgement_beyond_the_leaders_log_is_refused() -> None:
    """Taken, it would count for entries that the leader has yet to write."""
    raw = leading()
    with unharmed(raw, MalformedMessage, "acknowledges entry 3, but"):
        accept(raw, 2, 3)


# -- content that is missing ---------------------------------------------------------------


def test_a_snapshot_message_without_a_snapshot_is_refused() -> None:
    raw = following()
    with unharmed(raw, MalformedMessage, "snapshot message without one"):
        raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2))


@pytest.mark.parametrize("term", [0, 9])
@pytest.mark.parametrize("number", [0, 2])
@pytest.mark.parametrize("kind", [MessageType.READ_INDEX, MessageType.READ_INDEX_RESP])
def test_a_read_without_its_context_is_refused(kind: MessageType, number: int, term: int) -> None:
    for raw in (leading(), following()):
        with unharmed(raw, MalformedMessage, "one entry with the reader's context"):
            raw.step(Message(kind, from_=2, term=term, entries=[Entry()] * number))


@pytest.mark.parametrize("term", [0, 9])
def test_a_proposal_of_nothing_is_refused(term: int) -> None:
    for raw in (leading(), following()):
        with unharmed(raw, MalformedMessage, "proposal without an entry"):
            raw.step(Message(MessageType.PROPOSE, from_=2, term=term))


# -- snapshots and configurations ----------------------------------------------------------


def a_snapshot(index: int, conf_state: ConfState) -> Message:
    metadata = SnapshotMetadata(conf_state, index, 2)
    return Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=Snapshot(b"", metadata))


@pytest.mark.parametrize("index", [0, 1])
def test_a_snapshot_older_than_the_state_is_answered_with_the_commit_index(index: int) -> None:
    raw = following()
    before = state(raw)[:3]
    raw.step(a_snapshot(index, ConfState(voters=(1, 2))))
    assert state(raw)[:3] == before
    [answer] = take(raw)
    assert (answer.msg_type, answer.index) == (MessageType.APPEND_RESPONSE, 2)


IMPOSSIBLE = r"no sequence of changes|removed all voters"
OVERLAPPING = [
    ConfState(voters=(1, 2), learners=(2,)),
    ConfState(voters=(1, 2), voters_outgoing=(1, 3), learners=(3,)),
    ConfState(voters=(1, 2), learners_next=(2,)),
    ConfState(voters=(1, 2), voters_outgoing=(1, 3), learners_next=(2,)),
    ConfState(voters=(1, 2), auto_leave=True),
    ConfState(learners=(1,)),
]


@pytest.mark.parametrize("conf_state", OVERLAPPING)
def test_a_store_with_an_impossible_configuration_makes_no_node(conf_state: ConfState) -> None:
    storage = founded(VOTERS)
    storage.set_conf_state(conf_state)
    with pytest.raises(InvariantViolation, match=IMPOSSIBLE):
        lone(storage)


def test_a_store_whose_commit_is_past_its_log_makes_no_node() -> None:
    storage = founded(VOTERS)
    storage.set_hardstate(HardState(term=1, commit=2))
    with pytest.raises(InvariantViolation, match="beyond the end of the stored log"):
        lone(storage)


@pytest.mark.parametrize(
    ("voters", "removal"),
    [
        ([1], change(REMOVE, 1)),
        ([1, 2], joint((REMOVE, 1), (REMOVE, 2))),
    ],
)
def test_the_last_voter_cannot_be_removed(
    voters: list[int], removal: ConfChange | ConfChangeV2
) -> None:
    """It may be proposed, as in raft-rs; every node refuses to apply it, and goes on."""
    raw = leading(voters)
    raw.propose_conf_change(b"", removal)
    take(raw)
    with unharmed(raw, ConfChangeRejected, "removed all voters"):
        raw.apply_conf_change(removal)


def test_a_joint_configuration_that_is_none_cannot_be_left() -> None:
    raw = leading()
    with unharmed(raw, ConfChangeRejected, "not in joint state"):
        raw.propose_conf_change(b"", LEAVE)
    with unharmed(raw, ConfChangeRejected, "non-joint"):
        raw.apply_conf_change(LEAVE)


def test_changes_of_node_0_do_nothing() -> None:
    """So an application says, after the fact, that a change shall not take place (raft-rs)."""
    raw = leading()
    before = raw.raft.tracker.conf
    raw.apply_conf_change(change(REMOVE, 0))
    assert raw.raft.tracker.conf == before


def test_a_node_needs_an_id() -> None:
    with pytest.raises(RaftifyError, match="id must not be 0"):
        config(0).validate()
