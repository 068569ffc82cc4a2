"""Leaders that leave, and learners: who leads, who votes, who counts."""

from __future__ import annotations

import pytest

from raftify.core.types import (
    ConfState,
    Entry,
    MessageType,
    Role,
)
from raftify.errors import ProposalDropped
from tests.core.changes import (
    ADD,
    LEARNER,
    REMOVE,
    change,
    conf,
    make,
)
from tests.core.network import (
    Network,
)

VOTERS = [1, 2, 3]


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
