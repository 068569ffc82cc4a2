"""What a node takes from the network, and what it refuses whoever sends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raftify.core.types import Message, MessageType
from raftify.errors import MalformedMessage, StepLocalMessage
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
            check_type(message)


def check_type(message: Message) -> None:
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
