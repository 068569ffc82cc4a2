"""Who is in the cluster: addresses, peers, and the replicated membership.

`Peers` is what a user writes down for a static cluster. `Membership` is what the cluster itself
agrees on: it changes only by log entries, is persisted with the entry that changed it, and is part
of every snapshot. Both are values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from raftify.core.types import ConfState
from raftify.errors import ConfigError

#: Joiners that have an id and are no members yet, all over the cluster: a constant, because every
#: node must come to the same membership.
MOST_WAITING: Final = 256
#: A host has at most 253 characters.
_MOST_ADDRESS: Final = 300
#: Bytes of metadata of one peer: all of it is in every membership, and in every snapshot.
MOST_METADATA: Final = 1 << 16


class Address(str):
    """`host:port`, checked. IPv6 hosts stand in brackets: `[::1]:60061`."""

    __slots__ = ()

    @property
    def host(self) -> str:
        """The part before the port; an IPv6 host keeps its brackets."""
        return self.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port, from 1 to 65535."""
        return int(self.rpartition(":")[2])

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return `text` as an address.

        Raises:
            ConfigError: it is not of the form host:port with a port from 1 to 65535.
        """
        if not isinstance(text, str):
            raise ConfigError(f"an address is a string 'host:port', not {type(text).__name__}")
        if len(text) > _MOST_ADDRESS:
            raise ConfigError(f"an address has no {len(text)} characters: {text[:40]!r}...")
        if not text.isprintable():
            raise ConfigError(f"the address {text!r} has characters that no address has")
        host, colon, port = text.rpartition(":")
        bare_ipv6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if not colon or not host or bare_ipv6 or any(c.isspace() or c == "/" for c in text):
            raise ConfigError(
                f"cannot read the address {text!r}: write it as 'host:port', for example "
                "'10.0.0.1:60061' or '[::1]:60061'"
            )
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise ConfigError(f"the port of address {text!r} is not a number from 1 to 65535")
        return cls(text)


class InitialRole(StrEnum):
    """What a peer of a static cluster starts as. `LEADER` is a voter that campaigns at once."""

    VOTER = "voter"
    LEARNER = "learner"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class Peer:
    """A node as its cluster knows it.

    `incarnation` names the store behind the id; it is empty until the node has been met.
    `initial_role` says what it begins as, to whoever founds or extends a cluster. The membership
    does not keep it: what a member is now is in its `conf_state`.
    """

    node_id: int
    address: str
    incarnation: str = ""
    metadata: bytes = b""
    initial_role: InitialRole = InitialRole.VOTER


class Peers(Mapping[int, Peer]):
    """An immutable set of peers by id.

    Raises:
        ConfigError: an id is below 1, an address cannot be read, two peers share an address, or
            more than one of them is to be the first leader.
    """

    __slots__ = ("_peers",)

    def __init__(self, peers: Iterable[Peer] | Mapping[int, str] = ()) -> None:
        if isinstance(peers, Mapping):
            peers = [
                known if isinstance(known, Peer) else Peer(node_id, known)
                for node_id, known in peers.items()
            ]
        if not isinstance(peers, Iterable):
            raise ConfigError(f"peers are {{id: 'host:port'}} or a list of Peer, not {peers!r:.60}")
        self._peers: dict[int, Peer] = {}
        addresses: dict[str, int] = {}
        for peer in peers:
            check_peer(peer)
            if peer.node_id in self._peers:
                raise ConfigError(f"node id {peer.node_id} is listed twice among the peers")
            if peer.address in addresses:
                raise ConfigError(
                    f"nodes {addresses[peer.address]} and {peer.node_id} share the address "
                    f"{peer.address}"
                )
            addresses[peer.address] = peer.node_id
            self._peers[peer.node_id] = peer
        leaders = [p.node_id for p in self._peers.values() if p.initial_role is InitialRole.LEADER]
        if len(leaders) > 1:
            raise ConfigError(f"only one peer may start as leader, not {leaders}")

    @classmethod
    def agreed(cls, members: Iterable[Peer]) -> Peers:
        """Return members as their cluster has agreed on them.

        Two may have one address there: one has moved to the place of another that is down, or that
        has moved too and could not say so yet.
        """
        peers = cls()
        peers._peers.update((peer.node_id, peer) for peer in members)
        return peers

    def __getitem__(self, node_id: int) -> Peer:
        return self._peers[node_id]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._peers))

    def __len__(self) -> int:
        return len(self._peers)

    def __repr__(self) -> str:
        return f"Peers({[self[i] for i in self]!r})"


def check_node_id(node_id: int) -> None:
    """Raise ConfigError unless `node_id` is an integer from 1 to 2**63 - 1."""
    if isinstance(node_id, bool) or not isinstance(node_id, int) or not 1 <= node_id < 1 << 63:
        shown = "one of more than 63 bits" if _is_huge(node_id) else f"{node_id!r:.60}"
        raise ConfigError(f"a node id is an integer from 1 upwards, not {shown}")


def _is_huge(node_id: object) -> bool:
    return isinstance(node_id, int) and node_id.bit_length() > 128


def check_peer(peer: object) -> None:
    """Raise ConfigError unless it is a Peer with an id, an address, and metadata of few bytes."""
    if not isinstance(peer, Peer):
        raise ConfigError(f"a Peer is wanted, not {type(peer).__name__}")
    check_node_id(peer.node_id)
    Address.parse(peer.address)
    role: object = peer.initial_role
    if not isinstance(role, InitialRole):
        raise ConfigError(f"the role of node {peer.node_id} is an InitialRole, not {role!r:.60}")
    if not isinstance(peer.incarnation, str):
        raise ConfigError(f"the incarnation of node {peer.node_id} is no text")
    if not isinstance(peer.metadata, bytes):
        raise ConfigError(
            f"the metadata of node {peer.node_id} is {type(peer.metadata).__name__}, and bytes are "
            "wanted: encode it first"
        )
    if len(peer.metadata) > MOST_METADATA:
        raise ConfigError(
            f"the metadata of node {peer.node_id} has {len(peer.metadata)} bytes; at most "
            f"{MOST_METADATA} are allowed"
        )


@dataclass(frozen=True, slots=True)
class Membership:
    """The configuration at `index`, every member's address, and the ids ever handed out.

    Changing methods return a new value. Ids are never reused: `max_id` only grows, and a
    reservation whose node was removed is forgotten, so the same joiner gets a fresh id next time.

    `origin` is the cluster's identity beyond its name, given when it was founded and never changed.
    It is empty for a joiner until the membership arrives, and in stores of earlier versions.
    """

    index: int = 0
    conf_state: ConfState = field(default_factory=ConfState)
    peers: Mapping[int, Peer] = field(default_factory=dict)
    reservations: Mapping[str, int] = field(default_factory=dict)
    max_id: int = 0
    origin: str = ""

    @classmethod
    def of(cls, peers: Mapping[int, Peer], *, index: int, origin: str = "") -> Membership:
        """Return the first membership of a static cluster."""
        learners = tuple(i for i in sorted(peers) if peers[i].initial_role is InitialRole.LEARNER)
        voters = tuple(i for i in sorted(peers) if i not in learners)
        return cls(
            index=index,
            conf_state=ConfState(voters=voters, learners=learners),
            # Neither the log nor a snapshot carries the roles: a node that kept them here would
            # hold another membership than one that restarted.
            peers={i: replace(peer, initial_role=InitialRole.VOTER) for i, peer in peers.items()},
            max_id=max(peers, default=0),
            origin=origin,
        )

    def member_ids(self) -> frozenset[int]:
        """Return every id that the configuration mentions: voters of both halves and learners."""
        conf = self.conf_state
        return frozenset((*conf.voters, *conf.learners, *conf.voters_outgoing, *conf.learners_next))

    def is_member(self, node_id: int) -> bool:
        """Say whether `node_id` is a voter or learner, also one that is being taken in or out."""
        return node_id in self.member_ids()

    def address_of(self, node_id: int) -> str:
        """Return the address of `node_id`, or an empty string if it is not known."""
        peer = self.peers.get(node_id)
        return peer.address if peer is not None else ""

    def reserve(self, identity: str, *, index: int) -> Membership:
        """Return the membership after `identity` asked for an id; it keeps one it already has.

        Of those that asked and never joined, the first is forgotten when there are too many: anyone
        may ask, and all of them would be kept for ever. It has to ask again.
        """
        if identity in self.reservations:
            return replace(self, index=index)
        new_id = self.max_id + 1
        kept, waiting = dict(self.reservations), set(self.reservations.values()) - self.member_ids()
        if len(waiting) >= MOST_WAITING:
            first = min(waiting)
            kept = {name: node_id for name, node_id in kept.items() if node_id != first}
        kept[identity] = new_id
        return replace(self, index=index, reservations=kept, max_id=new_id)

    def with_configuration(
        self, conf_state: ConfState, added: Iterable[Peer], *, index: int
    ) -> Membership:
        """Return the membership after a configuration change that named the peers `added`."""
        changed = replace(self, conf_state=conf_state)
        members = changed.member_ids()
        peers = dict(self.peers)
        peers.update((peer.node_id, peer) for peer in added)
        gone = set(self.peers) - members
        return Membership(
            index=index,
            conf_state=conf_state,
            peers={i: p for i, p in sorted(peers.items()) if i in members},
            reservations={k: i for k, i in self.reservations.items() if i not in gone},
            max_id=max(self.max_id, *members) if members else self.max_id,
            origin=self.origin,
        )

    def with_addresses(self, changed: Iterable[Peer], *, index: int) -> Membership:
        """Return the membership with new addresses for members; unknown ids are ignored."""
        peers = dict(self.peers)
        for peer in changed:
            if peer.node_id in peers:
                peers[peer.node_id] = replace(peers[peer.node_id], address=peer.address)
        return replace(self, index=index, peers=peers)


class ReservedId(int):
    """A node id that a cluster handed out.

    It is an int in every way; `Raft.bootstrap` sees by its type that this node joins an existing
    cluster and must not found one of its own.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ClusterJoinTicket:
    """What `Raft.request_id` brings back: an id reserved in the cluster, and whom to ask next.

    `origin` is the cluster's, see `Membership`: the joiner takes no other of the same name for it.
    """

    reserved_id: ReservedId
    raft_addr: str
    cluster_id: str
    leader_id: int
    leader_addr: str
    peers: Mapping[int, Peer] = field(default_factory=dict)
    origin: str = ""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What one node knows of its cluster at the moment it is asked."""

    node_id: int
    cluster_id: str
    leader_id: int
    leader_address: str
    membership: Membership
