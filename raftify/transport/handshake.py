"""The handshake as gRPC metadata: who calls whom, in which cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote

import grpc

from raftify.core.types import INVALID_ID
from raftify.errors import PeerRefused
from raftify.transport.interface import Handshake, check_origin

Metadata = tuple[tuple[str, str | bytes], ...]

CLUSTER_KEY: Final = "raftify-cluster"
FROM_KEY: Final = "raftify-from"
INCARNATION_KEY: Final = "raftify-incarnation"
TO_KEY: Final = "raftify-to"
ADDRESS_KEY: Final = "raftify-address"
#: The identity of the cluster beyond its name; empty, or not said, until the caller knows it.
ORIGIN_KEY: Final = "raftify-origin"
PROTOCOL_KEY: Final = "raftify-protocol"
#: In the answer's initial metadata, once the handshake was accepted: who answers.
ACCEPTED_KEY: Final = "raftify-accepted-by"
#: Beside it: the bytes of the largest message that is taken, its Config.max_grpc_message_bytes.
LIMIT_KEY: Final = "raftify-max-message-bytes"

_NOBODY: Final = "the caller names itself node 0, which is nobody"
#: Raised when nodes of the old and the new version could no longer talk to each other.
PROTOCOL_VERSION: Final = 2


def peer_metadata(handshake: Handshake) -> Metadata:
    """Return what a node says at the start of a call to a peer."""
    return (
        (PROTOCOL_KEY, str(PROTOCOL_VERSION)),
        (CLUSTER_KEY, quote(handshake.cluster_id)),
        (FROM_KEY, str(handshake.from_id)),
        (INCARNATION_KEY, quote(handshake.from_incarnation)),
        (TO_KEY, str(handshake.to_id)),
        (ADDRESS_KEY, quote(handshake.from_address)),
        (ORIGIN_KEY, quote(handshake.origin)),
    )


def caller_metadata(
    cluster_id: str, to_id: int, origin: str = "", caller: Handshake | None = None
) -> Metadata:
    """Return what anyone may say in a call to a node; what is left out is not checked there.

    Another node says with `caller` who it is, so that it is not taken for a client.
    """
    metadata: Metadata = ((PROTOCOL_KEY, str(PROTOCOL_VERSION)),)
    if cluster_id:
        metadata += ((CLUSTER_KEY, quote(cluster_id)),)
    if to_id != INVALID_ID:
        metadata += ((TO_KEY, str(to_id)),)
    if origin:
        metadata += ((ORIGIN_KEY, quote(origin)),)
    if caller is not None:
        metadata += (
            (FROM_KEY, str(caller.from_id)),
            (INCARNATION_KEY, quote(caller.from_incarnation)),
        )
    return metadata


def read_handshake(metadata: Iterable[tuple[str, str | bytes]] | None) -> Handshake:
    """Return what a peer said of itself.

    Raises:
        PeerRefused: it said nothing, or speaks another version of the protocol.
    """
    said = _texts(metadata)
    _check_protocol(said)
    missing = [k for k in (CLUSTER_KEY, FROM_KEY, INCARNATION_KEY, TO_KEY) if k not in said]
    if missing:
        raise PeerRefused(f"the caller does not say who it is: no {', '.join(missing)}")
    from_id = _number(said, FROM_KEY)
    if from_id == INVALID_ID:
        raise PeerRefused(_NOBODY)
    return Handshake(
        cluster_id=unquote(said[CLUSTER_KEY]),
        from_id=from_id,
        from_incarnation=unquote(said[INCARNATION_KEY]),
        to_id=_number(said, TO_KEY),
        from_address=unquote(said.get(ADDRESS_KEY, "")),
        origin=unquote(said.get(ORIGIN_KEY, "")),
    )


def is_accepted(answer: grpc.aio.Metadata) -> bool:
    """Say whether the initial metadata of an answer accepts the call."""
    return answer.get(ACCEPTED_KEY) is not None


def limit_in(metadata: Iterable[tuple[str, str | bytes]] | None, own: int) -> int:
    """Return the largest message that both ends take, in bytes; `own` is that of this end."""
    said = _texts(metadata).get(LIMIT_KEY, "")
    if said.isascii() and said.isdigit() and 0 < len(said) < 20:
        return min(int(said), own)
    return own


def check_caller(
    metadata: Iterable[tuple[str, str | bytes]] | None, own: Handshake, *, origin: str
) -> None:
    """Check what a client or tool says about whom it wants; it may say nothing.

    `origin` is that of our cluster, empty until known.

    Raises:
        PeerRefused: it wants another cluster or another node.
    """
    said = _texts(metadata)
    if PROTOCOL_KEY in said:
        _check_protocol(said)
    cluster_id = unquote(said.get(CLUSTER_KEY, ""))
    if cluster_id and cluster_id != own.cluster_id:
        raise PeerRefused(
            f"this node belongs to cluster {own.cluster_id!r}, and the caller looks for "
            f"{cluster_id!r}: check the address"
        )
    check_origin(unquote(said.get(ORIGIN_KEY, "")), origin, own.cluster_id)
    to_id = _number(said, TO_KEY) if TO_KEY in said else INVALID_ID
    if to_id not in (INVALID_ID, own.from_id):
        raise PeerRefused(
            f"this is node {own.from_id}, and the caller looks for node {to_id}: check the address"
        )


def named_caller(
    metadata: Iterable[tuple[str, str | bytes]] | None,
) -> tuple[int, str] | None:
    """Return id and incarnation of the node that a caller says it is; None if it does not.

    Raises:
        PeerRefused: it names what can be no node.
    """
    said = _texts(metadata)
    if FROM_KEY not in said:
        return None
    from_id = _number(said, FROM_KEY)
    if from_id == INVALID_ID:
        raise PeerRefused(_NOBODY)
    return from_id, unquote(said.get(INCARNATION_KEY, ""))


def check_names_cluster(metadata: Iterable[tuple[str, str | bytes]] | None) -> None:
    """Raise PeerRefused unless the caller said which cluster it means; `check_caller` compares."""
    if not _texts(metadata).get(CLUSTER_KEY):
        raise PeerRefused(
            f"a Raft message came from a caller that names no cluster: put the cluster's id into "
            f"the metadata as {CLUSTER_KEY} (raftify.transport.connect takes it as cluster_id)"
        )


def _texts(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    pairs = metadata if metadata is not None else ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _check_protocol(said: dict[str, str]) -> None:
    if said.get(PROTOCOL_KEY) != str(PROTOCOL_VERSION):
        raise PeerRefused(
            f"the caller speaks version {said.get(PROTOCOL_KEY, 'none')} of the protocol between "
            f"nodes, this node version {PROTOCOL_VERSION}: install the same release on all nodes"
        )


def _number(said: dict[str, str], key: str) -> int:
    text = said[key]
    if not (text.isascii() and text.isdigit()) or int(text[:20]) >= 1 << 64 or len(text) > 20:
        raise PeerRefused(f"{key} is {text[:40]!r}, which is no node id")
    return int(text)
