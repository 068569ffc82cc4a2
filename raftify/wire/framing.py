"""Batches of messages as bytes.

A MessageBatch is put together from messages that were encoded one by one: adding them to a protobuf
list would copy every entry once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raftify.core.types import Message
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb

#: Field 1, length-delimited: `repeated RawMessage messages` of MessageBatch.
_MESSAGES_TAG: Final = b"\x0a"
#: The most that a message's own fields (numbers, flags, tags) take beside entries and context.
_FIXED_BYTES: Final = 128
_PER_ENTRY_BYTES: Final = 6


def message_size(message: Message) -> int:
    """Return an upper bound of the message's wire size in bytes; its entries are encoded by it."""
    size = _FIXED_BYTES + len(message.context)
    for entry in message.entries:
        size += len(entry.encoded or codec.encode_entry(entry)) + _PER_ENTRY_BYTES
    if message.snapshot is not None:
        size += len(message.snapshot.data) + _FIXED_BYTES
        conf = message.snapshot.metadata.conf_state
        ids = (conf.voters, conf.learners, conf.voters_outgoing, conf.learners_next)
        size += 10 * sum(map(len, ids))
    return size


def encode_batch(messages: Sequence[Message]) -> bytes:
    """Return the bytes of a MessageBatch."""
    parts: list[bytes] = []
    for message in messages:
        encoded = codec.message_to_wire(message).SerializeToString()
        parts += (_MESSAGES_TAG, _varint(len(encoded)), encoded)
    return b"".join(parts)


def decode_batch(data: bytes) -> list[Message]:
    """Return the messages.

    Raises:
        MalformedMessage: the bytes are no batch, or one message in it cannot be read.
    """
    return [codec.message_from_wire(wire) for wire in codec.parse(pb.MessageBatch, data).messages]


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
