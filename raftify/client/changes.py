"""Configuration changes in the words of whoever orders them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from raftify.client.arguments import several
from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)
from raftify.errors import ConfigError
from raftify.peers import Peer, Peers, check_node_id, check_peer
from raftify.records import decode_peers, encode_peers

#: Addresses by id, or peers, or the bare ids of nodes whose address the cluster knows already.
Members = Mapping[int, str] | Mapping[int, Peer] | Iterable[Peer | int]


def conf_change(
    *,
    add: Members = (),
    add_learners: Members = (),
    remove: Iterable[int] = (),
    transition: ConfChangeTransition = ConfChangeTransition.AUTO,
) -> ConfChangeV2:
    """Return the change that adds voters and learners and removes nodes, all at once.

    A learner named under `add` becomes a voter, a voter under `add_learners` a learner. More than
    one change of voters goes through a joint configuration (thesis 4.3).

    Raises:
        ConfigError: nothing is to change, an id is named twice, or an id or address cannot be read.
    """
    changes: list[ConfChangeSingle] = []
    peers: list[Peer] = []
    wanted = ((ConfChangeType.ADD_NODE, add), (ConfChangeType.ADD_LEARNER_NODE, add_learners))
    for change_type, members in wanted:
        for member in _each(members):
            if isinstance(member, Peer):
                peers.append(member)
            node_id = member.node_id if isinstance(member, Peer) else member
            changes.append(ConfChangeSingle(change_type, node_id))
    changes += [ConfChangeSingle(ConfChangeType.REMOVE_NODE, node_id) for node_id in _ids(remove)]
    _check(changes)
    given: object = transition
    if not isinstance(given, ConfChangeTransition):
        raise ConfigError(f"transition is a ConfChangeTransition, not {given!r:.60}")
    return ConfChangeV2(transition, tuple(changes), encode_peers(peers) if peers else b"")


def wanted_change(
    change: ConfChangeV2 | None,
    peers: Mapping[int, str] | None,
    *,
    add: Members,
    add_learners: Members,
    remove: Iterable[int],
    transition: ConfChangeTransition,
) -> ConfChangeV2:
    """Return what a call of `change_config` asks for: a whole `change`, or one in words.

    `peers` are the addresses of nodes that a whole `change` adds.

    Raises:
        ConfigError: it is neither, or both, or cannot be sent.
    """
    if change is None:
        change = conf_change(
            add=add, add_learners=add_learners, remove=remove, transition=transition
        )
    elif add or add_learners or remove:
        raise ConfigError("give either a whole ConfChangeV2 or add, add_learners and remove")
    change = check_change(change)
    if peers is None:
        return change
    named = [*decode_peers(change.context), *Peers(peers).values()]
    return ConfChangeV2(change.transition, change.changes, encode_peers(named))


def membership_change(
    conf: ConfState, voters: Members, *, retain: bool = False
) -> ConfChangeV2 | None:
    """Return the change from `conf` to just these voters, None if they are that already.

    Voters that are left out are removed, or with `retain` become learners. Learners stay what they
    are unless they are named.

    Raises:
        ConfigError: no voter is named, one is named twice, or an id or address cannot be read.
    """
    wanted = list(_each(voters))
    ids = [one.node_id if isinstance(one, Peer) else one for one in wanted]
    check_ids(ids)
    if not ids:
        raise ConfigError("a cluster needs at least one voter: name those that it shall have")
    add = [
        one
        for one, node_id in zip(wanted, ids, strict=True)
        if node_id not in conf.voters or isinstance(one, Peer)
    ]
    dropped = [node_id for node_id in conf.voters if node_id not in ids]
    if not dropped and set(ids) <= set(conf.voters):
        return None
    return conf_change(
        add=add, add_learners=dropped if retain else (), remove=() if retain else dropped
    )


def first_members(members: Mapping[int, str] | Mapping[int, Peer]) -> Peers:
    """Return what `initialize` is given: who founds a cluster.

    Raises:
        ConfigError: they are no members, nobody is named, or an id or address cannot be read.
    """
    if not isinstance(members, Mapping):
        raise ConfigError(f"members are {{id: 'host:port'}} or Peers, not {members!r:.60}")
    if not members:
        raise ConfigError("nobody is named in members: a cluster needs a voter")
    named = [
        peer if isinstance(peer, Peer) else Peer(node_id, peer) for node_id, peer in members.items()
    ]
    if [peer.node_id for peer in named] != list(members):
        raise ConfigError("members has a Peer under the id of another")
    return Peers(named)


def check_change(change: object) -> ConfChangeV2:
    """Return a change that somebody made by hand; raise ConfigError if it cannot be sent."""
    if not isinstance(change, ConfChangeV2):
        raise ConfigError(f"a ConfChangeV2 is wanted, not {type(change).__name__}")
    given: object = change.transition
    if not isinstance(given, ConfChangeTransition):
        raise ConfigError(f"transition is a ConfChangeTransition, not {given!r:.60}")
    if not isinstance(change.context, bytes):
        raise ConfigError(f"context is bytes, not {type(change.context).__name__}")
    for single in several("changes", change.changes):
        if not isinstance(single, ConfChangeSingle):
            raise ConfigError(f"changes are ConfChangeSingle, and not {type(single).__name__}")
        kind: object = single.change_type
        if not isinstance(kind, ConfChangeType):
            raise ConfigError(f"change_type is a ConfChangeType, not {kind!r:.60}")
        check_node_id(single.node_id)
    return change


def check_ids(ids: Iterable[int]) -> None:
    """Raise ConfigError unless they are node ids, none named twice."""
    seen: set[int] = set()
    for node_id in ids:
        check_node_id(node_id)
        if node_id in seen:
            raise ConfigError(f"node {node_id} is named twice")
        seen.add(node_id)


def _each(members: Members) -> list[Peer | int]:
    """Return who is named, with checked ids and addresses."""
    if isinstance(members, Mapping):
        named: list[Peer | int] = [
            known if isinstance(known, Peer) else Peer(node_id, known)
            for node_id, known in members.items()
        ]
    else:
        named = cast("list[Peer | int]", several("a list of members", members))
    for one in named:
        if isinstance(one, Peer):
            check_peer(one)
        else:
            check_node_id(one)
    return named


def _ids(ids: Iterable[int]) -> list[int]:
    return cast("list[int]", several("a list of ids", ids))


def _check(changes: list[ConfChangeSingle]) -> None:
    if not changes:
        raise ConfigError(
            "the change names no node: give add=, add_learners= or remove=; to leave a joint "
            "configuration call leave_joint()"
        )
    check_ids(single.node_id for single in changes)
