"""Our own records as bytes: memberships, snapshot descriptors, commands to the framework, tickets.

Core types are converted by `raftify.wire.codec`; this is the same one row higher, for what
`raftify.peers` defines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from raftify.errors import ConfigError, MalformedMessage
from raftify.peers import InitialRole, Membership, Peer, Peers
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb


class SnapshotSink(Protocol):
    """A snapshot being written. Nobody sees it before `finish`; `abort` leaves no trace.

    `write` takes the next bytes and returns how many (all). It raises StorageFull.
    """

    def write(self, data: bytes, /) -> int: ...

    def finish(self) -> tuple[str, int, int]:
        """Make it durable; return its file id, its size in bytes and the crc32 of its bytes."""
        ...

    def abort(self) -> None:
        """Remove what was written. Harmless after `finish` or a second time."""
        ...


@dataclass(frozen=True, slots=True)
class SnapshotDescriptor:
    """What a Snapshot's `data` holds: all but the state machine's own bytes, which are in a file.

    An empty `file_id` says that the state machine had no state yet: there is no file.
    """

    file_id: str = ""
    size_bytes: int = 0
    crc32: int = 0
    membership: Membership = field(default_factory=Membership)

    def encode(self) -> bytes:
        return pb.SnapshotDescriptor(
            file_id=self.file_id,
            size_bytes=self.size_bytes,
            crc32=self.crc32,
            membership=membership_to_wire(self.membership),
        ).SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> SnapshotDescriptor:
        """Raise MalformedMessage if `data` is no descriptor, or its file id could name a path."""
        wire = codec.parse(pb.SnapshotDescriptor, data)
        if wire.file_id and not (wire.file_id.isascii() and wire.file_id.isalnum()):
            raise MalformedMessage(f"{wire.file_id!r} cannot be the id of a snapshot file")
        return cls(
            file_id=wire.file_id,
            size_bytes=wire.size_bytes,
            crc32=wire.crc32,
            membership=membership_from_wire(wire.membership),
        )


@dataclass(frozen=True, slots=True)
class ReserveId:
    """Command to the framework: hand an id to the joiner of this identity."""

    identity: str


@dataclass(frozen=True, slots=True)
class SetAddresses:
    """Command to the framework: these members are reached elsewhere now."""

    peers: tuple[Peer, ...]


InternalCommand = ReserveId | SetAddresses


def encode_command(command: InternalCommand) -> bytes:
    if isinstance(command, ReserveId):
        return pb.InternalCommand(reserve_id_for=command.identity).SerializeToString()
    return pb.InternalCommand(
        set_addresses=pb.PeerList(peers=[peer_to_wire(p) for p in command.peers])
    ).SerializeToString()


def decode_command(data: bytes) -> InternalCommand:
    """Raise MalformedMessage if `data` is no command that this version knows."""
    wire = codec.parse(pb.InternalCommand, data)
    match wire.WhichOneof("command"):
        case "reserve_id_for":
            return ReserveId(wire.reserve_id_for)
        case "set_addresses":
            return SetAddresses(tuple(peer_from_wire(p) for p in wire.set_addresses.peers))
        case _:
            raise MalformedMessage("an entry holds a command that this version does not know")


def encode_peers(peers: Iterable[Peer]) -> bytes:
    """Return what goes into ConfChangeV2.context: who stands behind the added ids."""
    return pb.PeerList(peers=[peer_to_wire(p) for p in peers]).SerializeToString()


def decode_peers(data: bytes) -> tuple[Peer, ...]:
    return tuple(peer_from_wire(p) for p in codec.parse(pb.PeerList, data).peers)


def peer_to_wire(peer: Peer) -> pb.Peer:
    return pb.Peer(
        node_id=peer.node_id,
        address=peer.address,
        incarnation=peer.incarnation,
        metadata=peer.metadata,
    )


def peer_from_wire(wire: pb.Peer) -> Peer:
    return Peer(wire.node_id, wire.address, wire.incarnation, wire.metadata)


def initial_peers_to_wire(peers: Peers) -> list[pb.InitialMember]:
    return [
        pb.InitialMember(peer=peer_to_wire(peer), role=peer.initial_role.value)
        for peer in peers.values()
    ]


def initial_peers_from_wire(wire: Iterable[pb.InitialMember]) -> Peers:
    """Raise ConfigError if one has a role or an address that is none, or two share one."""
    return Peers(
        replace(peer_from_wire(member.peer), initial_role=_role(member.role)) for member in wire
    )


def _role(name: str) -> InitialRole:
    try:
        return InitialRole(name) if name else InitialRole.VOTER
    except ValueError:
        known = ", ".join(InitialRole)
        raise ConfigError(f"a member begins as one of {known}, not as {name!r:.60}") from None


def membership_to_wire(membership: Membership) -> pb.Membership:
    return pb.Membership(
        index=membership.index,
        conf_state=codec.conf_state_to_wire(membership.conf_state),
        peers=[peer_to_wire(membership.peers[i]) for i in sorted(membership.peers)],
        reservations=[
            pb.Reservation(identity=identity, node_id=node_id)
            for identity, node_id in sorted(membership.reservations.items())
        ],
        max_id=membership.max_id,
        origin=membership.origin,
    )


def membership_from_wire(wire: pb.Membership) -> Membership:
    return Membership(
        index=wire.index,
        conf_state=codec.conf_state_from_wire(wire.conf_state),
        peers={p.node_id: peer_from_wire(p) for p in wire.peers},
        reservations={r.identity: r.node_id for r in wire.reservations},
        max_id=wire.max_id,
        origin=wire.origin,
    )


def encode_membership(membership: Membership) -> bytes:
    return membership_to_wire(membership).SerializeToString()


def decode_membership(data: bytes) -> Membership:
    return membership_from_wire(codec.parse(pb.Membership, data))
