"""Batches of messages, and how large they get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raftify.core.types import Message
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb

#: The most that a message's own fields (numbers, flags, tags) take beside entries and context.
_FIXED_BYTES: Final = 128
#: The most that the tag and the length of an entry take, by what the length is below.
_SHORT: Final = 1 << 7
_MEDIUM: Final = 1 << 14
_SHORT_OVERHEAD, _MEDIUM_OVERHEAD, _LONG_OVERHEAD = 2, 3, 6


def message_size(message: Message) -> int:
    """Return an upper bound of the message's wire size in bytes; its entries are encoded by it.

    For short entries it is exact, because the core fills messages by the size of entries alone:
    with a bound that is loose, what it thinks fits would be dropped, again and again.
    """
    size = _FIXED_BYTES + len(message.context)
    for entry in message.entries:
        length = len(entry.encoded or codec.encode_entry(entry))
        if length < _SHORT:
            size += length + _SHORT_OVERHEAD
        else:
            size += length + (_MEDIUM_OVERHEAD if length < _MEDIUM else _LONG_OVERHEAD)
    if message.snapshot is not None:
        size += len(message.snapshot.data) + _FIXED_BYTES
        conf = message.snapshot.metadata.conf_state
        ids = (conf.voters, conf.learners, conf.voters_outgoing, conf.learners_next)
        size += 10 * sum(map(len, ids))
    return size


def batch_to_wire(messages: Sequence[Message]) -> pb.MessageBatch:
    batch = pb.MessageBatch()
    for message in messages:
        codec.add_message(batch, message)
    return batch


def batch_from_wire(batch: pb.MessageBatch) -> list[Message]:
    """Return the messages.

    Raises:
        MalformedMessage: one of them cannot be read.
    """
    return [codec.message_from_wire(wire) for wire in batch.messages]
