"""Joint configurations (thesis 4.3): several changes at once, and who leads them out."""

from __future__ import annotations

import pytest

from raftify.core.memory_storage import MemoryStorage
from raftify.core.types import (
    ConfChangeTransition,
    ConfState,
    EntryType,
    Message,
    Role,
)
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
    lone,
    persist,
    role,
    stored,
    take,
)

VOTERS = [1, 2, 3]


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


def test_an_outgoing_voter_that_restarts_still_campaigns() -> None:
    """Thesis 4.3: any server from either configuration can serve as leader."""
    storage = MemoryStorage()
    storage.set_conf_state(ConfState((2, 3), (), (1, 2, 3), (), auto_leave=True))
    raw = lone(storage)
    assert raw.raft.promotable
    raw.campaign()
    assert role(raw) is Role.CANDIDATE


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
