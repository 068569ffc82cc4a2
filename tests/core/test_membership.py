"""Configuration changes: when they are taken, what they do, and how they once broke others."""

from __future__ import annotations

import pytest

from raftify.core.confchange_codec import encode_conf_change
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode
from raftify.core.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Role,
)
from raftify.errors import ConfChangeRejected, PendingConfChange, ProposalDropped
from tests.core.network import (
    Network,
    Node,
    accept,
    config,
    founded,
    lead,
    lone,
    persist,
    role,
    stored,
    take,
)

VOTERS = [1, 2, 3]
ADD, REMOVE, LEARNER = (
    ConfChangeType.ADD_NODE,
    ConfChangeType.REMOVE_NODE,
    ConfChangeType.ADD_LEARNER_NODE,
)


def change(kind: ConfChangeType, node_id: int) -> ConfChange:
    return ConfChange(0, kind, node_id)


def joint(
    *changes: tuple[ConfChangeType, int],
    transition: ConfChangeTransition = ConfChangeTransition.AUTO,
) -> ConfChangeV2:
    return ConfChangeV2(transition, tuple(ConfChangeSingle(kind, i) for kind, i in changes))


LEAVE = ConfChangeV2()


def joined(network: Network, node_id: int) -> None:
    """Start a node that knows nothing yet."""
    settings = config(node_id, check_quorum=network.raft(1).check_quorum)
    network.nodes[node_id] = Node(settings, MemoryStorage())


def conf(network: Network, node_id: int) -> ConfState:
    return network[node_id].raw.status().conf_state


def make(network: Network, at: int, wanted: ConfChange | ConfChangeV2) -> None:
    network[at].raw.propose_conf_change(b"", wanted)
    network.settle()
    network.tick(at)
    network.tick(at)


# -- when a change is taken ------------------------------------------------------------------


def ready_leader(voters: list[int]) -> RawNode:
    """Return a leader that has committed and applied everything, with nothing to send."""
    raw = lone(founded(voters))
    lead(raw)
    for voter in voters[1:]:
        accept(raw, voter, 2)
    persist(raw)
    raw.advance_apply()
    take(raw)
    return raw


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


# -- leaders that remove themselves ----------------------------------------------------------


def test_a_leader_that_removed_itself_steps_down() -> None:
    """etcd#11038, raft-rs#584: else it sends heartbeats for ever and nobody else is elected."""
    network = Network.of(VOTERS, check_quorum=True, pre_vote=True)
    network.elect(1)
    network[1].raw.propose_conf_change(b"", change(REMOVE, 1))
    network.settle()
    assert network.leaders() == []
    assert conf(network, 2).voters == conf(network, 3).voters == (2, 3)
    network.tick_all(40)
    assert len(network.leaders()) == 1
    assert network.leaders()[0] in (2, 3)
    network.propose(network.leaders()[0], b"x")
    assert network[2].applied == network[3].applied == [b"x"]


def test_a_demoted_leader_steps_down_too() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    make_demotion = change(LEARNER, 1)
    network[1].raw.propose_conf_change(b"", make_demotion)
    network.settle()
    assert network.leaders() == []
    assert conf(network, 2) == ConfState((2, 3), learners=(1,))
    network.elect(2)
    network.propose(2, b"x")
    assert network[1].applied == [b"x"]


def test_raft_rs_keeps_it_in_office() -> None:
    network = Network.of(VOTERS, step_down_on_removal=False)
    network.elect(1)
    network[1].raw.propose_conf_change(b"", change(REMOVE, 1))
    network.settle()
    assert network.leaders() == [1]
    with pytest.raises(ProposalDropped, match="removed from the cluster"):
        network[1].raw.propose(b"", b"x")
    network.tick(1)
    # Answers that come late commit for the others, and do not trip over its own missing progress.
    core = network.raft(1)
    core.append_entry([Entry()])
    network.settle()
    network.tick(1)
    assert core.raft_log.committed == core.raft_log.last_index()


def test_two_voters_one_leaves_and_the_last_message_is_lost() -> None:
    """etcd#10563: node 2 does not know that the removal of node 1 is committed. It must still be
    able to lead: node 1, out of its own configuration, votes.
    """
    network = Network.of([1, 2])
    network.elect(1)
    network.propose(1, b"a")
    network.filter(lambda m: not (m.msg_type is MessageType.APPEND and m.commit >= 4))
    network[1].raw.propose_conf_change(b"", change(REMOVE, 1))
    network.settle()
    network.recover()
    assert network.roles()[1] is Role.FOLLOWER
    assert conf(network, 1).voters == (2,)
    assert conf(network, 2).voters == (1, 2)
    network.elect(2)
    assert conf(network, 2).voters == (2,)
    network.propose(2, b"b")
    assert network[2].applied == [b"a", b"b"]


def test_a_node_that_only_proposed_its_removal_still_campaigns() -> None:
    """openraft#2098: a change counts from when it is applied, so a node with the newest log is
    never kept from leading by a change that may not be committed.
    """
    network = Network.of(VOTERS)
    network.elect(1)
    network.isolate(1)
    network[1].raw.propose_conf_change(b"", change(REMOVE, 1))
    network.settle()
    network.recover()
    network[1].restart()
    assert network[1].raw.campaign_blocker() is None
    network[1].raw.campaign()
    network.settle()
    assert conf(network, 2).voters == (2, 3), "it led, and with that committed its own removal"


# -- learners --------------------------------------------------------------------------------


def test_learners_follow_but_do_not_count() -> None:
    network = Network.of([1, 2], [3])
    network.elect(1)
    network.propose(1, b"a")
    assert network[3].applied == [b"a"]
    network.isolate(2)
    network.propose(1, b"b")
    assert network[1].applied == [b"a"], "a learner's copy is no majority"


def test_a_learner_promoted_unawares_still_votes() -> None:
    """etcd#10998, raft-rs#57: D was promoted while cut off; A and B crash, so C needs D and E."""
    a, b, c, d, e = range(1, 6)
    network = Network.of([a, b, c, e], [d])
    network.elect(a)
    network.isolate(d)
    network[a].raw.propose_conf_change(b"", change(ADD, d))
    network.settle()
    assert conf(network, c).voters == (1, 2, 3, 4, 5)
    assert conf(network, d).learners == (d,)
    network.recover()
    network.isolate(c, d, e)
    network.elect(c)
    network.tick(c)
    assert conf(network, d).voters == (1, 2, 3, 4, 5)
    network.propose(c, b"x")
    assert network[d].applied == [b"x"]


def test_a_learner_that_was_promoted_may_lead() -> None:
    network = Network.of([1, 2], [3])
    network.elect(1)
    make(network, 1, change(ADD, 3))
    network.elect(3)


# -- joint configurations --------------------------------------------------------------------


def test_a_node_is_replaced_at_once() -> None:
    """tikv#1468, hashicorp/raft#481: never four voters with two dead."""
    network = Network.of(VOTERS)
    network.elect(1)
    joined(network, 4)
    make(network, 1, joint((ADD, 4), (REMOVE, 3)))
    network.tick(1)
    for node_id in (1, 2, 4):
        assert conf(network, node_id) == ConfState((1, 2, 4))


def test_joint_decisions_need_both_halves() -> None:
    raw = ready_leader(VOTERS)
    explicit = joint((ADD, 4), (ADD, 5), (REMOVE, 2), (REMOVE, 3))
    raw.apply_conf_change(explicit)
    raw.propose(b"", b"x")
    persist(raw)
    accept(raw, 2, 3)
    assert raw.raft.raft_log.committed == 2, "only the old half has it"
    accept(raw, 4, 3)
    assert raw.raft.raft_log.committed == 3


def test_an_explicit_joint_configuration_stays_until_it_is_left() -> None:
    network = Network.of(VOTERS)
    network.elect(1)
    explicit = joint((REMOVE, 3), transition=ConfChangeTransition.EXPLICIT)
    make(network, 1, explicit)
    network.tick(1, 5)
    assert conf(network, 2) == ConfState((1, 2), voters_outgoing=(1, 2, 3))
    make(network, 1, LEAVE)
    assert conf(network, 1) == conf(network, 2) == ConfState((1, 2))


def test_a_leader_that_leaves_stays_while_joint_and_leads_out() -> None:
    """cockroach#105578, etcd-io/raft#79: stepping down while joint leaves the group stuck."""
    network = Network.of(VOTERS)
    network.elect(1)
    demotion = joint((LEARNER, 1), (ADD, 4), transition=ConfChangeTransition.EXPLICIT)
    joined(network, 4)
    make(network, 1, demotion)
    assert network.leaders() == [1]
    assert conf(network, 1).learners_next == (1,)
    make(network, 1, LEAVE)
    assert network.leaders() == []
    assert conf(network, 2) == ConfState((2, 3, 4), learners=(1,))
    network.tick_all(60)
    assert len(network.leaders()) == 1


@pytest.mark.parametrize("crash_after", range(12))
def test_a_leader_lost_at_any_point_of_a_change_leaves_nobody_joint(crash_after: int) -> None:
    """etcd#12136 and others: the new leader must propose to leave the joint configuration."""
    network = Network.of([1, 2, 3, 4, 5])
    network.elect(1)
    wanted = joint((REMOVE, 1), (REMOVE, 2), transition=ConfChangeTransition.IMPLICIT)
    network[1].raw.propose_conf_change(b"", wanted)
    for _ in range(crash_after):
        network.deliver(network.collect()[:1])
        network[1].raw.tick()
    network.isolate(1)
    network.tick_all(120, without=[1])
    network.recover()
    network.tick_all(120)
    states = {conf(network, i) == ConfState((3, 4, 5)) for i in (3, 4, 5)}
    unchanged = {conf(network, i) == ConfState((1, 2, 3, 4, 5)) for i in (3, 4, 5)}
    assert states == {True} or unchanged == {True}
    assert len([i for i in network.leaders() if i in (3, 4, 5)]) <= 1


def test_leaving_is_proposed_by_whoever_leads_next() -> None:
    network = Network.of([1, 2, 3, 4, 5])
    network.elect(1)

    def keeps_joint(message: Message) -> bool:
        return all(e.data or e.entry_type is EntryType.NORMAL for e in message.entries)

    # The entry that leaves never gets out of the first leader.
    network.filter(keeps_joint)
    wanted = joint((REMOVE, 4), (REMOVE, 5), transition=ConfChangeTransition.IMPLICIT)
    network[1].raw.propose_conf_change(b"", wanted)
    network.settle()
    assert conf(network, 2).voters_outgoing == (1, 2, 3, 4, 5)
    network.recover()
    network.isolate(1)
    network.elect(2)
    network.tick(2)
    network.tick(2)
    assert conf(network, 2) == conf(network, 3) == ConfState((1, 2, 3))
    network.recover()
    network.tick(2)
    network.tick(2)
    assert conf(network, 1) == ConfState((1, 2, 3))


def test_a_joint_configuration_is_restored_from_storage() -> None:
    storage = MemoryStorage()
    storage.set_conf_state(ConfState((1, 2), (4,), (1, 2, 3), (3,), auto_leave=True))
    raw = lone(storage)
    assert raw.status().conf_state == ConfState((1, 2), (4,), (1, 2, 3), (3,), auto_leave=True)


def test_nobody_is_asked_for_a_vote_but_voters() -> None:
    raw = lone(founded([1, 2], [3]))
    raw.campaign()
    assert [m.to for m in take(raw)] == [2]


def test_members_are_sent_entries_as_soon_as_they_are_added() -> None:
    raw = ready_leader([1])
    raw.apply_conf_change(change(LEARNER, 2))
    assert [m.to for m in take(raw)] == [2]


def test_followers_change_without_sending_anything() -> None:
    raw = lone(stored(VOTERS, [1, 1], commit=1))
    assert raw.apply_conf_change(change(ADD, 4)).voters == (1, 2, 3, 4)
    assert role(raw) is Role.FOLLOWER
    assert take(raw) == []
