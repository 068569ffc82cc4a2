"""Linearizable reads (thesis 6.4)."""

from __future__ import annotations

from typing import Any

import pytest

from raftify.core.config import ReadOnlyOption
from raftify.core.raw_node import RawNode
from raftify.core.read_only import ReadOnly, ReadState
from raftify.core.types import ConfChange, ConfChangeType, Entry, Message, MessageType, Role
from raftify.errors import MalformedMessage
from tests.core.network import Network, accept, founded, lead, lone, persist, role, take

VOTERS = [1, 2, 3]


def reads(network: Network, node_id: int) -> list[tuple[bytes, int]]:
    return [(read.request_ctx, read.index) for read in network[node_id].reads]


def confirmed_leader(voters: list[int] | None = None, **settings: Any) -> RawNode:
    """Return a leader at term 2 that has committed its first entry, index 2."""
    raw = lone(founded(voters or VOTERS), **settings)
    lead(raw)
    accept(raw, 2, 2)
    take(raw)
    return raw


def tokens(raw: RawNode) -> set[bytes]:
    """Return the tokens of the heartbeats that are to be sent."""
    return {m.context for m in take(raw) if m.msg_type is MessageType.HEARTBEAT}


def acknowledge(raw: RawNode, from_: int, token: bytes) -> None:
    raw.step(
        Message(MessageType.HEARTBEAT_RESPONSE, from_=from_, term=raw.raft.term, context=token)
    )


def answered(raw: RawNode) -> list[bytes]:
    return [read.request_ctx for read in raw.raft.read_states]


# -- everywhere ------------------------------------------------------------------------------


@pytest.mark.parametrize("option", list(ReadOnlyOption))
def test_leader_followers_and_learners_read_at_the_commit_index(option: ReadOnlyOption) -> None:
    network = Network.of([1, 2, 3], [4], read_only_option=option, check_quorum=True)
    network.elect(1)
    network.propose(1, b"a")
    for node_id in (1, 2, 4):
        network[node_id].raw.read_index(b"r%d" % node_id)
        network.settle()
        assert reads(network, node_id) == [(b"r%d" % node_id, 3)]
    network.propose(1, b"b")
    network[3].raw.read_index(b"r3")
    network.settle()
    assert reads(network, 3) == [(b"r3", 4)]


def test_a_learner_reads_from_a_sole_voter() -> None:
    """etcd#10589: a quorum of one must answer others too."""
    network = Network.of([1], [2])
    network.elect(1)
    network[2].raw.read_index(b"r")
    network[1].raw.read_index(b"own")
    network.settle()
    assert reads(network, 2) == [(b"r", 2)]
    assert reads(network, 1) == [(b"own", 2)]


def test_a_follower_that_lags_learns_of_the_commit_only_where_its_log_matches() -> None:
    """scylladb#10578: the answer's index must not commit what a stale log has there."""
    raw = lone(founded(VOTERS))
    raw.raft.raft_log.append([Entry(term=1, index=2), Entry(term=1, index=3)])
    raw.raft.become_follower(4, 2)
    answer = Message(
        MessageType.READ_INDEX_RESP, from_=2, term=4, index=3, entries=[Entry(data=b"r")]
    )
    raw.step(answer)
    assert raw.raft.raft_log.committed == 1
    assert raw.raft.read_states == [ReadState(3, b"r")]
    raw.step(Message(MessageType.READ_INDEX_RESP, from_=2, term=4, index=9, entries=[Entry()]))
    assert raw.raft.raft_log.committed == 1


# -- the first commit of a term --------------------------------------------------------------


def test_a_new_leader_answers_only_after_its_first_commit() -> None:
    """etcd#7331, tikv#1634: before that it may not know what is committed. raft-rs drops the read,
    here it waits (etcd#12762).
    """
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.read_index(b"early")
    raw.step(Message(MessageType.READ_INDEX, from_=3, entries=[Entry(data=b"remote")]))
    assert tokens(raw) == set()
    accept(raw, 2, 2)
    [token] = tokens(raw)
    assert answered(raw) == []
    acknowledge(raw, 2, token)
    assert raw.raft.read_states == [ReadState(2, b"early")]
    [response] = [m for m in take(raw) if m.msg_type is MessageType.READ_INDEX_RESP]
    assert (response.to, response.index, response.entries[0].data) == (3, 2, b"remote")


def test_a_sole_voter_answers_as_soon_as_its_first_entry_is_durable() -> None:
    raw = lone(founded([1]))
    raw.campaign()
    raw.read_index(b"r")
    assert answered(raw) == []
    persist(raw)
    assert raw.raft.read_states == [ReadState(2, b"r")]


def test_not_too_many_reads_wait() -> None:
    raw = lone(founded(VOTERS), max_waiting_reads=2)
    lead(raw)
    for context in (b"1", b"2", b"3"):
        raw.read_index(context)
    assert raw.ready().dropped_reads == [b"3"]


# -- rounds ----------------------------------------------------------------------------------


def test_each_round_has_a_token_of_its_own() -> None:
    """etcd#20418, etcd-io/raft#397: a token of the leader, not the reader's context."""
    raw = confirmed_leader()
    seen = []
    for _ in range(3):
        raw.read_index(b"same")
        [token] = tokens(raw)
        seen.append(token)
    assert len(set(seen)) == 3
    assert sorted(seen) == seen
    # What was acknowledged before the second read was asked confirms the first only.
    acknowledge(raw, 2, seen[0])
    assert answered(raw) == [b"same"]
    acknowledge(raw, 3, seen[0])
    assert answered(raw) == [b"same"]
    acknowledge(raw, 2, seen[2])
    assert answered(raw) == [b"same"] * 3


def test_an_old_terms_acknowledgement_confirms_nothing() -> None:
    raw = confirmed_leader()
    raw.read_index(b"old")
    [old] = tokens(raw)
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=3))
    lead(raw)
    accept(raw, 2, 3)
    take(raw)
    raw.read_index(b"old")
    [new] = tokens(raw)
    assert new != old
    acknowledge(raw, 2, old)
    assert answered(raw) == []
    acknowledge(raw, 2, new)
    assert answered(raw) == [b"old"]


def test_a_deposed_leader_that_gets_old_acknowledgements_answers_nothing() -> None:
    """etcd#20418: cut off and replaced, it must not read stale for the sake of delayed answers."""
    network = Network.of(VOTERS)
    network.elect(1)
    network[1].raw.read_index(b"before")
    delayed: list[Message] = []

    def delay(message: Message) -> bool:
        if message.msg_type is MessageType.HEARTBEAT_RESPONSE:
            delayed.append(message)
            return False
        return True

    network.filter(delay)
    network.settle()
    assert len(delayed) == 2
    network.recover()
    network.isolate(1)
    network.elect(2)
    network.propose(2, b"new")
    network[1].raw.read_index(b"before")
    network.settle()
    network.deliver(delayed[:1])
    assert [read.index for read in network[1].raw.raft.read_states] == [2], (
        "only the first read, which was asked before the answer was given"
    )
    assert network.raft(1).read_only.pending_read_count() == 1


def test_one_acknowledgement_confirms_all_earlier_rounds() -> None:
    raw = confirmed_leader()
    for context in (b"1", b"2", b"3"):
        raw.read_index(context)
    last = sorted(tokens(raw))[-1]
    acknowledge(raw, 3, last)
    assert answered(raw) == [b"1", b"2", b"3"]


def test_a_lost_round_is_asked_again_with_the_next_heartbeat() -> None:
    raw = confirmed_leader()
    raw.read_index(b"r")
    [token] = tokens(raw)
    raw.tick()
    assert tokens(raw) == {token}
    acknowledge(raw, 2, token)
    raw.tick()
    assert tokens(raw) == {b""}


def test_a_quorum_must_acknowledge() -> None:
    raw = confirmed_leader([1, 2, 3, 4, 5])
    accept(raw, 3, 2)
    take(raw)
    raw.read_index(b"r")
    [token] = tokens(raw)
    acknowledge(raw, 2, token)
    acknowledge(raw, 2, token)
    assert answered(raw) == []
    acknowledge(raw, 5, token)
    assert answered(raw) == [b"r"]


def test_a_smaller_quorum_confirms_what_waits() -> None:
    raw = confirmed_leader([1, 2, 3, 4])
    accept(raw, 3, 2)
    take(raw)
    raw.read_index(b"r")
    [token] = tokens(raw)
    acknowledge(raw, 2, token)
    raw.apply_conf_change(ConfChange(0, ConfChangeType.REMOVE_NODE, 4))
    assert answered(raw) == [b"r"]


def test_lease_based_reads_ask_nobody() -> None:
    raw = confirmed_leader(read_only_option=ReadOnlyOption.LEASE_BASED, check_quorum=True)
    raw.read_index(b"r")
    assert tokens(raw) == set()
    assert raw.raft.read_states == [ReadState(2, b"r")]
    raw.raft.read_states.clear()
    acknowledge(raw, 2, b"anything")
    assert answered(raw) == []


# -- reads that get no answer ----------------------------------------------------------------


def test_a_transfer_ends_the_lease() -> None:
    """Thesis 6.4.1; etcd-io/raft#166: who was told to take over is elected in spite of the lease.

    It stays over when the transfer is given up: the order may still be on its way.
    """
    network = Network.of(VOTERS, read_only_option=ReadOnlyOption.LEASE_BASED, check_quorum=True)
    network.elect(1)
    network[1].raw.read_index(b"before")
    network[1].raw.transfer_leader(2)
    network.deliver(network.collect())
    network.isolate(1)
    network.settle()
    network.propose(2, b"x")
    assert network.leaders() == [1, 2]
    network[1].raw.read_index(b"stale")
    network.settle()
    network.tick(1, 10)
    assert (network.leaders(), network.raft(1).lead_transferee) == ([1, 2], None)
    network[1].raw.read_index(b"stale too")
    network.settle()
    assert reads(network, 1) == [(b"before", 2)]
    network.recover()
    network.tick(2)
    assert network[1].dropped_reads == [b"stale", b"stale too"]
    assert network.raft(1).read_only.option is ReadOnlyOption.LEASE_BASED


def test_after_a_transfer_that_failed_reads_ask_a_quorum() -> None:
    network = Network.of(VOTERS, read_only_option=ReadOnlyOption.LEASE_BASED, check_quorum=True)
    network.elect(1)
    network.ignore(MessageType.TIMEOUT_NOW)
    network[1].raw.transfer_leader(2)
    network.settle()
    network[1].raw.read_index(b"r")
    assert network.raft(1).read_states == []
    network.settle()
    assert reads(network, 1) == [(b"r", 2)]


def test_reads_of_a_leader_that_steps_down_are_told() -> None:
    """etcd#9566, tikv#5316: dropped in silence, they hang."""
    raw = confirmed_leader()
    raw.read_index(b"pending")
    raw.step(Message(MessageType.READ_INDEX, from_=3, entries=[Entry(data=b"remote")]))
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=9))
    assert raw.ready().dropped_reads == [b"pending"], "who asked elsewhere sees the new leader"


def test_reads_that_waited_for_the_first_commit_are_told_too() -> None:
    raw = lone(founded(VOTERS))
    lead(raw)
    raw.read_index(b"waiting")
    raw.step(Message(MessageType.HEARTBEAT, from_=2, term=9))
    assert raw.has_ready()
    assert raw.ready().dropped_reads == [b"waiting"]


def test_without_a_leader_a_read_is_dropped_at_once() -> None:
    raw = lone(founded(VOTERS))
    raw.read_index(b"1")
    raw.campaign()
    raw.read_index(b"2")
    assert role(raw) is Role.CANDIDATE
    assert raw.raft.dropped_reads == [b"1", b"2"]


@pytest.mark.parametrize("number", [0, 2])
def test_a_read_without_its_context_is_malformed(number: int) -> None:
    raw = confirmed_leader()
    request = Message(MessageType.READ_INDEX, from_=2, entries=[Entry()] * number)
    with pytest.raises(MalformedMessage, match="READ_INDEX"):
        raw.step(request)
    follower = lone(founded(VOTERS))
    response = Message(MessageType.READ_INDEX_RESP, from_=2, term=1, entries=[Entry()] * number)
    with pytest.raises(MalformedMessage, match="READ_INDEX_RESP"):
        follower.step(response)


def test_the_queue_by_itself() -> None:
    queue = ReadOnly(ReadOnlyOption.SAFE)
    request = Message(MessageType.READ_INDEX)
    first = queue.add_request(5, request, 1, 2)
    second = queue.add_request(6, request, 1, 2)
    assert (queue.last_pending_request_ctx(), queue.pending_read_count()) == (second, 2)
    assert queue.recv_ack(2, b"unknown") is None
    assert queue.recv_ack(2, first) == {1, 2}
    assert [status.index for status in queue.advance(first)] == [5]
    assert [status.index for status in queue.advance(b"unknown")] == [6]
    assert queue.last_pending_request_ctx() is None
