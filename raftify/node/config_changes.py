"""What a leader checks before it proposes a configuration change, and what the change then means.

Pure functions of the membership: every node computes the same from the same entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import ConfChangeRejected, JoinRejected
from raftify.peers import Membership, Peer, check_node_id, check_peer
from raftify.records import decode_peers, encode_peers


def prepare(change: ConfChangeV2, membership: Membership) -> ConfChangeV2 | None:
    """Return `change` as it is to be proposed, or None if it is in force already.

    Raises:
        ConfChangeRejected: it cannot be made from the present membership.
        JoinRejected: a joiner's id is used up, or belongs to another store.
    """
    joint = bool(membership.conf_state.voters_outgoing)
    if not change.changes:
        return change if joint else None
    peers = {peer.node_id: peer for peer in decode_peers(change.context)}
    for single in change.changes:
        check_node_id(single.node_id)
        if single.change_type is not ConfChangeType.REMOVE_NODE:
            _check_joiner(single.node_id, peers.get(single.node_id), membership)
    _check_addresses(peers.values(), membership)
    _check_voters_left(change, membership)
    needed = [s for s in change.changes if not _in_force(s, peers.get(s.node_id), membership)]
    if not needed:
        return None
    kept = [_complete(peer, membership) for peer in peers.values()]
    return replace(change, context=encode_peers(kept))


def added_peers(change: ConfChangeV2) -> tuple[Peer, ...]:
    """Return who stands behind the ids that `change` adds."""
    return decode_peers(change.context)


def was_removed(node_id: int, membership: Membership) -> bool:
    """Say whether the cluster has used this id up. Ids are never handed out twice."""
    return (
        node_id <= membership.max_id
        and not membership.is_member(node_id)
        and node_id not in membership.reservations.values()
    )


def _check_joiner(node_id: int, peer: Peer | None, membership: Membership) -> None:
    if was_removed(node_id, membership):
        raise JoinRejected(
            f"id {node_id} was removed from this cluster and is never used again: ask for a new "
            "one with Raft.request_id and start with an empty log directory"
        )
    known = membership.peers.get(node_id)
    if known is None:
        if peer is None or not peer.address:
            raise ConfChangeRejected(
                f"no address is given for node {node_id}: name it in the change's peers"
            )
        return
    if peer is not None and peer.incarnation and known.incarnation not in ("", peer.incarnation):
        raise JoinRejected(
            f"node {node_id} is a member already, with another store (incarnation "
            f"{known.incarnation}, not {peer.incarnation}). If its disk was lost, remove node "
            f"{node_id} from the cluster and join again with a new id"
        )


def voters_after(change: ConfChangeV2, membership: Membership) -> set[int]:
    """Return who votes once `change` is in force, and a joint configuration left."""
    voters = set(membership.conf_state.voters)
    for single in change.changes:
        if single.change_type is ConfChangeType.ADD_NODE:
            voters.add(single.node_id)
        else:
            voters.discard(single.node_id)
    return voters


def _check_voters_left(change: ConfChangeV2, membership: Membership) -> None:
    if not voters_after(change, membership):
        raise ConfChangeRejected(
            "the change would leave no voter: add one in the same change; to stop the last node "
            "of a cluster use `quit`"
        )


def _check_addresses(peers: Iterable[Peer], membership: Membership) -> None:
    taken = {p.address: p.node_id for p in membership.peers.values()}
    for peer in peers:
        check_peer(peer)
        owner = taken.setdefault(peer.address, peer.node_id)
        if owner != peer.node_id:
            raise ConfChangeRejected(
                f"the address {peer.address} of node {peer.node_id} is that of node {owner}"
            )


def _in_force(single: ConfChangeSingle, peer: Peer | None, membership: Membership) -> bool:
    conf = membership.conf_state
    if conf.voters_outgoing:
        return False
    match single.change_type:
        case ConfChangeType.REMOVE_NODE:
            return not membership.is_member(single.node_id)
        case ConfChangeType.ADD_NODE:
            placed = single.node_id in conf.voters
        case ConfChangeType.ADD_LEARNER_NODE:
            placed = single.node_id in conf.learners
    return placed and (peer is None or _complete(peer, membership) == membership.peers.get(
        single.node_id
    ))  # fmt: skip


def _complete(peer: Peer, membership: Membership) -> Peer:
    """Return `peer` with what the cluster knows of it already where it says nothing."""
    known = membership.peers.get(peer.node_id)
    if known is None:
        return peer
    return replace(
        peer,
        incarnation=peer.incarnation or known.incarnation,
        metadata=peer.metadata or known.metadata,
    )
