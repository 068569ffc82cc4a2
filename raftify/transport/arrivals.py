"""What a node takes from the network, and what it refuses whoever sends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raftify.core.types import INVALID_ID, Message, MessageType
from raftify.errors import MalformedMessage, PeerRefused, StepLocalMessage
from raftify.transport.interface import Handshake

#: What a node tells only itself (raft-rs: local messages).
_LOCAL: Final = frozenset(
    {
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAP_STATUS,
        MessageType.CHECK_QUORUM,
    }
)
_NOT_IN_A_BATCH: Final = _LOCAL | {MessageType.SNAPSHOT}


def check_messages(messages: Sequence[Message], handshake: Handshake, *, to_id: int) -> None:
    """Check that a peer speaks for itself, to us, and of nothing that is ours to say.

    Raises:
        MalformedMessage: a message is from somebody else, or meant for somebody else, or a
            snapshot without its file.
        StepLocalMessage: a message of a type that a node tells only itself.
    """
    from_id = handshake.from_id
    for message in messages:
        if message.from_ != from_id or message.to != to_id:
            raise MalformedMessage(
                f"node {from_id} sent node {to_id} a {message.msg_type.name} from node "
                f"{message.from_} to node {message.to}"
            )
        if message.msg_type in _NOT_IN_A_BATCH:
            _check_type(message)


def check_single(message: Message, *, to_id: int) -> None:
    """Check a message that came without a handshake, where its own `from` says who sent it.

    Whether that is a member, the node has to say.

    Raises:
        PeerRefused: it is from nobody, or meant for another node.
        StepLocalMessage: a message of a type that a node tells only itself.
        MalformedMessage: a snapshot without its file.
    """
    if message.from_ == INVALID_ID:
        raise PeerRefused(
            f"a {message.msg_type.name} came from node 0, which is nobody: say in the message's "
            "`from` which member sends it"
        )
    if message.to != to_id:
        raise PeerRefused(
            f"this is node {to_id}, and a {message.msg_type.name} came for node {message.to}: "
            "check the address"
        )
    _check_type(message)


def _check_type(message: Message) -> None:
    """Raise StepLocalMessage or MalformedMessage if no such message may come by itself."""
    if message.msg_type in _LOCAL:
        raise StepLocalMessage(
            f"a {message.msg_type.name} came from the network; a node tells that only itself"
        )
    if message.msg_type is MessageType.SNAPSHOT:
        raise MalformedMessage("a snapshot came without its file; it travels by InstallSnapshot")


def check_snapshot(message: Message, handshake: Handshake, *, to_id: int) -> None:
    """Raise MalformedMessage unless `message` is a snapshot from that peer to us."""
    if (
        message.msg_type is not MessageType.SNAPSHOT
        or message.snapshot is None
        or message.snapshot.is_empty()
        or (message.from_, message.to) != (handshake.from_id, to_id)
    ):
        raise MalformedMessage(
            f"node {handshake.from_id} began a snapshot for node {to_id} with a "
            f"{message.msg_type.name} from node {message.from_} to node {message.to}"
        )
