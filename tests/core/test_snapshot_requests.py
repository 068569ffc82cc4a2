"""Followers that ask for a snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftify.core.progress import ProgressState
from raftify.core.raw_node import RawNode
from raftify.core.types import (
    ConfState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import (
    Rejected,
)
from tests.core.network import (
    Network,
    entries,
    founded,
    lead,
    lone,
    stored,
    take,
)

VOTERS = [1, 2, 3]


# -- asking for one --------------------------------------------------------------------------


def test_a_follower_may_ask_for_a_snapshot() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a")
    network[3].raw.request_snapshot()
    with pytest.raises(Rejected, match="on its way"):
        network[3].raw.request_snapshot()
    before = len(network[3].snapshots)
    # A repeated append or heartbeat repeats the request, not the acknowledgement.
    network[3].raw.step(Message(MessageType.HEARTBEAT, from_=1, term=2, commit=3))
    network[3].raw.step(Message(MessageType.APPEND, from_=1, term=2, index=3, log_term=2))
    network.settle()
    assert len(network[3].snapshots) == before + 1
    assert network[3].snapshots[-1].metadata.index == 3
    network.propose(1, b"b")
    network.tick(1)
    assert network[3].applied == [b"a", b"b"]


def test_who_waits_for_a_snapshot_takes_no_entries() -> None:
    raw = asking([2, 2])
    raw.step(replace(append(2, 2, (3, 2)), from_=2))
    [again] = take(raw)
    assert (again.to, again.reject, again.request_snapshot) == (2, True, 2)
    assert raw.raft.raft_log.last_index() == 2


def test_a_snapshot_cannot_be_asked_for_just_now() -> None:
    raw = lone(stored(VOTERS, [1, 1]))
    with pytest.raises(Rejected, match="no leader"):
        raw.request_snapshot()
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=4))
    with pytest.raises(Rejected, match="no entry of the leader's term"):
        raw.request_snapshot()
    leader = lone(founded(VOTERS))
    lead(leader)
    with pytest.raises(Rejected, match="nobody to ask"):
        leader.request_snapshot()
    assert leader.failure is None


def test_a_request_waits_for_an_entry_of_a_new_leader() -> None:
    # Until then nothing says that any snapshot of this leader will reach as far as the log.
    raw = asking([2, 2])
    raw.step(Message(MessageType.APPEND, from_=3, term=3, index=2, log_term=2))
    [accepted] = take(raw)
    assert (accepted.to, accepted.reject, accepted.index) == (3, False, 2)
    raw.step(Message(MessageType.HEARTBEAT, from_=3, term=3))
    assert [m.msg_type for m in take(raw)] == [MessageType.HEARTBEAT_RESPONSE]
    raw.step(append(3, 2, (3, 3)))
    [accepted] = take(raw)
    assert (accepted.reject, accepted.index) == (False, 3)
    raw.step(Message(MessageType.HEARTBEAT, from_=3, term=3))
    [again] = take(raw)
    assert (again.to, again.reject, again.request_snapshot) == (3, True, 3)


def test_a_new_leader_replaces_the_tail_of_a_log_that_waits_for_a_snapshot() -> None:
    # raft-rs insists on a snapshot up to the end of the tail, which this leader may never reach.
    raw = asking([2, 2, 2, 2])
    raw.step(append(3, 1, (2, 3)))
    [accepted] = take(raw)
    assert (accepted.reject, accepted.index) == (False, 2)
    raw.step(Message(MessageType.HEARTBEAT, from_=3, term=3))
    [again] = take(raw)
    assert (again.reject_hint, again.request_snapshot) == (2, 2)


def test_a_snapshot_that_comes_late_takes_back_nothing_that_was_acknowledged() -> None:
    # It is older than the one that was asked for; entry 4 may be committed with this node's help.
    raw = asking([2, 2, 2, 2])
    late = Snapshot(metadata=SnapshotMetadata(ConfState(voters=(1, 2, 3)), 3, 2))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=late))
    log = raw.raft.raft_log
    assert (log.last_index(), log.committed, log.pending_snapshot()) == (4, 3, None)
    assert raw.raft.pending_request_snapshot == 4
    wanted = replace(late, metadata=replace(late.metadata, index=4))
    raw.step(Message(MessageType.SNAPSHOT, from_=2, term=2, snapshot=wanted))
    assert log.pending_snapshot() == wanted
    assert raw.raft.pending_request_snapshot == 0


def test_who_asks_for_a_snapshot_still_counts_for_the_commit_that_it_waits_for() -> None:
    # Both voters are needed, and the answer to the append was lost.
    network = Network.of([1, 2])
    network.elect(1)
    network.ignore(MessageType.APPEND_RESPONSE)
    network.propose(1, b"a")
    network.recover()
    assert network.raft(1).raft_log.committed == 2
    network[2].raw.request_snapshot()
    network.settle()
    assert network[1].applied == [b"a"]
    network.tick(1)
    assert network[2].snapshots[-1].metadata.index == 3
    network.propose(1, b"b")
    network.tick(1)
    assert network.committed() == {1: 4, 2: 4}
    assert network[2].applied == [b"a", b"b"]


def ask_for_snapshot(raw: RawNode, *, log_term: int) -> None:
    """Let follower 2, whose log ends at index 2 in `log_term`, refuse an append and ask for one."""
    raw.step(
        Message(
            MessageType.APPEND_RESPONSE,
            from_=2,
            term=2,
            index=1,
            reject=True,
            reject_hint=2,
            log_term=log_term,
            request_snapshot=2,
        )
    )


def test_a_request_whose_snapshot_is_on_its_way_acknowledges_nothing() -> None:
    # The snapshot's own acknowledgement must be news, or sending would not go on after it.
    raw = lone(founded([1, 2]))
    lead(raw)
    progress = raw.raft.tracker.progress[2]
    progress.become_snapshot(2)
    ask_for_snapshot(raw, log_term=2)
    assert (progress.matched, progress.state) == (0, ProgressState.SNAPSHOT)


def test_a_request_acknowledges_no_log_that_ends_with_an_older_term() -> None:
    """Paper §5.4.2: only an entry of the leader's term shows that all before it match."""
    raw = lone(founded([1, 2]))
    lead(raw)
    ask_for_snapshot(raw, log_term=1)
    assert (raw.raft.tracker.progress[2].matched, raw.raft.raft_log.committed) == (0, 1)


# -- short cuts --------------------------------------------------------------------------------


def asking(terms: list[int]) -> RawNode:
    """Return a follower of node 2 whose log has entries of these terms, waiting for a snapshot."""
    raw = lone(stored(VOTERS, terms, commit=1))
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=terms[-1]))
    raw.request_snapshot()
    take(raw)
    return raw


def append(term: int, after: int, *positions: tuple[int, int]) -> Message:
    """Return an append of node 3 that follows on an entry of term 2."""
    return Message(
        MessageType.APPEND,
        from_=3,
        term=term,
        index=after,
        log_term=2,
        entries=entries(*positions),
    )
