"""What a leader accepts as a configuration change, and what the members then are."""

from __future__ import annotations

import pytest

from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState
from raftify.errors import ConfChangeRejected, ConfigError, JoinRejected
from raftify.node.config_changes import added_peers, prepare, was_removed
from raftify.peers import Membership, Peer, Peers
from raftify.records import decode_membership, encode_membership, encode_peers


def three() -> Membership:
    return Membership.of(Peers({1: "a:1", 2: "b:1", 3: "c:1"}), index=1)


def add(node_id: int, *peers: Peer) -> ConfChangeV2:
    single = ConfChangeSingle(ConfChangeType.ADD_NODE, node_id)
    return ConfChangeV2(changes=(single,), context=encode_peers(peers))


def remove(node_id: int) -> ConfChangeV2:
    return ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.REMOVE_NODE, node_id),))


def test_a_new_node_needs_an_address() -> None:
    with pytest.raises(ConfChangeRejected, match="no address is given for node 4"):
        prepare(add(4), three())
    prepared = prepare(add(4, Peer(4, "d:1")), three())
    assert prepared is not None
    assert added_peers(prepared) == (Peer(4, "d:1"),)


def test_an_address_is_of_one_node_only() -> None:
    with pytest.raises(ConfChangeRejected, match="is that of node 2"):
        prepare(add(4, Peer(4, "b:1")), three())


def test_an_unreadable_address_is_refused() -> None:
    with pytest.raises(ConfigError):
        prepare(add(4, Peer(4, "nowhere")), three())


def test_repeating_what_is_in_force_changes_nothing() -> None:
    """A join that is tried again after its answer was lost must not fail (failures b37)."""
    assert prepare(add(3, Peer(3, "c:1")), three()) is None
    assert prepare(remove(9), three()) is None
    assert prepare(ConfChangeV2(), three()) is None


def test_a_removed_id_never_comes_back() -> None:
    membership = three().with_configuration(ConfState(voters=(1, 2)), (), index=5)
    assert was_removed(3, membership)
    with pytest.raises(JoinRejected, match="never used again"):
        prepare(add(3, Peer(3, "c:1")), membership)


def test_a_reserved_id_may_be_added() -> None:
    membership = three().reserve("d:1", index=5)
    assert membership.reservations == {"d:1": 4}
    assert not was_removed(4, membership)
    assert prepare(add(4, Peer(4, "d:1")), membership) is not None


def test_a_wiped_disk_under_an_old_id_is_refused() -> None:
    members = three().with_configuration(
        ConfState(voters=(1, 2, 3, 4)), [Peer(4, "d:1", "first")], index=6
    )
    assert prepare(add(4, Peer(4, "d:1", "first")), members) is None
    with pytest.raises(JoinRejected, match="another store"):
        prepare(add(4, Peer(4, "d:1", "second")), members)


def test_retried_reservations_bring_the_same_id_and_new_joiners_new_ones() -> None:
    membership = three().reserve("d:1", index=5).reserve("d:1", index=6).reserve("e:1", index=7)
    assert membership.reservations == {"d:1": 4, "e:1": 5}
    joined = membership.with_configuration(
        ConfState(voters=(1, 2, 3, 4)), [Peer(4, "d:1")], index=8
    )
    left = joined.with_configuration(ConfState(voters=(1, 2, 3)), (), index=9)
    assert left.reservations == {"e:1": 5}
    assert left.reserve("d:1", index=10).reservations["d:1"] == 6


def test_a_membership_survives_its_record() -> None:
    membership = three().reserve("d:1", index=4)
    again = decode_membership(encode_membership(membership))
    assert again == membership


def test_members_are_all_that_the_configuration_mentions() -> None:
    conf = ConfState(voters=(1, 2), voters_outgoing=(2, 3), learners=(4,), learners_next=(3,))
    membership = Membership(conf_state=conf)
    assert membership.member_ids() == {1, 2, 3, 4}


def test_addresses_change_for_members_only() -> None:
    changed = three().with_addresses([Peer(2, "x:9"), Peer(7, "y:9")], index=8)
    assert changed.address_of(2) == "x:9"
    assert changed.address_of(7) == ""
    assert changed.index == 8
