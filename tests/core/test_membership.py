"""Configuration changes: when they are taken, what they do, and how they once broke others."""

from __future__ import annotations

import pytest

from raftify.core.confchange_codec import encode_conf_change
from raftify.core.types import (
    ConfChangeTransition,
    Entry,
    EntryType,
    Message,
    MessageType,
    Role,
)
from raftify.errors import ConfChangeRejected, PendingConfChange, ProposalDropped
from tests.core.changes import (
    ADD,
    LEARNER,
    LEAVE,
    REMOVE,
    change,
    conf,
    joined,
    joint,
    make,
    ready_leader,
)
from tests.core.network import (
    Network,
    accept,
    founded,
    lead,
    lone,
    persist,
)

VOTERS = [1, 2, 3]

# -- when a change is taken ------------------------------------------------------------------


def test_one_change_at_a_time() -> None:
    """Two callers at once: the second is told (openraft, "parallel membership change")."""
    raw = ready_leader(VOTERS)
    raw.propose_conf_change(b"", change(ADD, 4))
    with pytest.raises(PendingConfChange, match="at index 3"):
        raw.propose_conf_change(b"", change(ADD, 5))
    accept(raw, 2, 3)
    persist(raw)
    assert [entry.index for entry in persist(raw).committed_entries] == [3]
    with pytest.raises(PendingConfChange):
        raw.propose_conf_change(b"", change(ADD, 5))
    raw.apply_conf_change(change(ADD, 4))
    raw.advance_apply()
    raw.propose_conf_change(b"", change(ADD, 5))


def test_a_new_leader_waits_for_its_first_commit() -> None:
    """The single-server bug (hydro#3192): nothing of its term committed, a leader may not know of
    another's change, and its own could have a quorum that does not meet the other's.
    """
    raw = lone(founded([1, 2, 3, 4]), applied=1)
    lead(raw)
    assert not raw.raft.has_pending_conf()
    with pytest.raises(PendingConfChange, match="committed nothing in its term 2"):
        raw.propose_conf_change(b"", change(REMOVE, 1))
    for voter in (2, 3):
        accept(raw, voter, 2)
    raw.propose_conf_change(b"", change(REMOVE, 1))


def test_two_removals_at_two_nodes_do_not_fork_the_cluster() -> None:
    """hydro#3192: four nodes, Remove(1) at node 2 and Remove(2) at node 1, each cut off in turn."""
    network = Network.of([1, 2, 3, 4])
    network.elect(1)
    network.isolate(1)
    network[1].raw.propose_conf_change(b"", change(REMOVE, 2))
    network.settle()
    network.elect(2)
    make(network, 2, change(REMOVE, 1))
    assert conf(network, 2).voters == (2, 3, 4)
    network.propose(2, b"kept")
    # Node 1 comes back with its own change in the log, and one friend. It cannot win.
    network.recover()
    network.isolate(1, 3)
    network.tick_all(60, without=[2, 4])
    assert network.roles()[1] is not Role.LEADER or not network[1].applied
    network.recover()
    network.tick_all(60)
    for node_id in (2, 3, 4):
        assert conf(network, node_id).voters == (2, 3, 4)
        assert network[node_id].applied == [b"kept"]


def test_a_forwarded_change_that_cannot_be_made_leaves_an_empty_entry() -> None:
    """As in raft-rs: nobody at the other end waits for an error."""
    raw = ready_leader(VOTERS)
    data = encode_conf_change(change(ADD, 4))
    forwarded = Message(
        MessageType.PROPOSE,
        from_=2,
        entries=[
            Entry(EntryType.CONF_CHANGE, data=data),
            Entry(data=b"x"),
            Entry(EntryType.CONF_CHANGE, data=data),
        ],
    )
    raw.step(forwarded)
    tail = raw.raft.raft_log.entries(3)
    assert [(e.entry_type, e.data) for e in tail] == [
        (EntryType.CONF_CHANGE, data),
        (EntryType.NORMAL, b"x"),
        (EntryType.NORMAL, b""),
    ]
    assert raw.raft.pending_conf_index == 3


@pytest.mark.parametrize("kind", [EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2])
def test_a_change_that_cannot_be_read_is_dropped_whole(kind: EntryType) -> None:
    raw = ready_leader(VOTERS)
    good = Entry(EntryType.CONF_CHANGE, data=encode_conf_change(change(ADD, 4)))
    with pytest.raises(ProposalDropped, match="cannot be read"):
        raw.propose_batch([good, Entry(kind, data=b"\xff")])
    assert raw.raft.raft_log.last_index() == 2
    assert not raw.raft.has_pending_conf()


def test_joint_must_be_left_and_only_joint_can_be() -> None:
    raw = ready_leader([1])
    with pytest.raises(ConfChangeRejected, match="not in joint state"):
        raw.propose_conf_change(b"", LEAVE)
    raw.apply_conf_change(joint((ADD, 2), transition=ConfChangeTransition.EXPLICIT))
    with pytest.raises(ConfChangeRejected, match="must transition out of joint"):
        raw.propose_conf_change(b"", change(ADD, 3))
    raw.propose_conf_change(b"", LEAVE)


def test_a_follower_passes_a_change_on() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network[3].raw.propose_conf_change(b"", change(LEARNER, 4))
    network.settle()
    assert conf(network, 2).learners == (4,)


def test_an_impossible_change_is_refused_by_all_and_changes_nothing() -> None:
    raw = ready_leader([1])
    with pytest.raises(ConfChangeRejected, match="removed all voters"):
        raw.apply_conf_change(change(REMOVE, 1))
    assert raw.status().conf_state.voters == (1,)
    assert raw.failure is None


# -- what a change does ----------------------------------------------------------------------


def test_a_node_is_added_and_catches_up_by_snapshot() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, b"a")
    joined(network, 4)
    make(network, 1, change(ADD, 4))
    network.tick(1)
    network.propose(1, b"b")
    assert conf(network, 4).voters == (1, 2, 3, 4)
    assert network[4].applied[-1:] == [b"b"]


def test_an_added_learner_gets_a_snapshot_that_has_it() -> None:
    """etcd#13760, raft-rs#472: the latest snapshot is older than the change that added it."""
    network = Network.of(VOTERS)
    network.elect(1)
    network.propose(1, *[b"x"] * 5)
    for node_id in VOTERS:
        network[node_id].storage.compact(5)
    joined(network, 4)
    make(network, 1, change(LEARNER, 4))
    network.tick(1)
    [received] = network[4].snapshots
    assert 4 in received.metadata.conf_state.learners
    assert network.committed()[4] == network.committed()[1]


def test_who_was_just_added_does_not_cost_the_leader_its_quorum() -> None:
    network = Network.of([1], check_quorum=True)
    network.elect(1)
    network.tick(1, 9)
    make(network, 1, change(ADD, 2))
    network.tick(1, 1)
    assert network.leaders() == [1]


def test_one_voter_to_two_the_next_entry_needs_both() -> None:
    """openraft#364: an entry after the change must not commit by the old quorum."""
    raw = ready_leader([1])
    raw.propose_conf_change(b"", change(ADD, 2))
    persist(raw)
    assert persist(raw).committed_entries[-1].index == 3, "the change itself needs the old quorum"
    raw.apply_conf_change(change(ADD, 2))
    raw.advance_apply()
    raw.propose(b"", b"x")
    persist(raw)
    assert raw.raft.raft_log.committed == 3
    accept(raw, 2, 4)
    assert raw.raft.raft_log.committed == 4


def test_a_removal_may_commit_what_waited() -> None:
    raw = ready_leader([1, 2])
    raw.propose_conf_change(b"", change(REMOVE, 2))
    raw.propose(b"", b"x")
    accept(raw, 2, 3)
    persist(raw)
    assert raw.raft.raft_log.committed == 3
    persist(raw)
    raw.apply_conf_change(change(REMOVE, 2))
    assert raw.raft.raft_log.committed == 4


def test_a_removed_nodes_vote_and_progress_count_no_more() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    make(network, 1, change(REMOVE, 3))
    assert sorted(network[1].raw.status().progress) == [1, 2]
    network.isolate(2)
    network.propose(1, b"x")
    assert network[1].applied == []


def test_a_removed_follower_cannot_disturb_the_rest() -> None:
    """hashicorp/raft#476: removed while it was cut off, it campaigns for ever; terms stay."""
    network = Network.of(VOTERS, check_quorum=True, pre_vote=True)
    network.elect(1)
    network.isolate(3)
    make(network, 1, change(REMOVE, 3))
    network.recover()
    term = network.raft(1).term
    network.tick_all(100)
    assert network.leaders() == [1]
    assert [network.raft(i).term for i in (1, 2)] == [term, term]


def test_a_change_survives_a_restart() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    make(network, 1, change(REMOVE, 3))
    for node_id in (1, 2):
        network[node_id].restart(applied=network.committed()[node_id])
        assert conf(network, node_id).voters == (1, 2)
