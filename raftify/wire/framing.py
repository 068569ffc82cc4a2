"""What nodes send each other as bytes: batches of messages and chunks of snapshots, with checksums.

TCP's own checksum lets one damaged segment in some ten thousand pass, and memory and network cards
flip bits where no checksum is. A batch that still decodes would be taken for what the peer said.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from raftify.core.types import Message
from raftify.errors import MalformedMessage
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.bounds import check_fields, check_parts

#: The most that a message's own fields (numbers, flags, tags) take beside entries and context.
_FIXED_BYTES: Final = 128
#: The most that the tag and the length of an entry take, by what the length is below.
_SHORT: Final = 1 << 7
_MEDIUM: Final = 1 << 14
_SHORT_OVERHEAD, _MEDIUM_OVERHEAD, _LONG_OVERHEAD = 2, 3, 6
#: What a batch ends with: the tag of MessageBatch.crc32, and the checksum.
_CRC_TAG: Final = bytes([pb.MessageBatch.CRC32_FIELD_NUMBER << 3 | 5])
_CRC_BYTES: Final = 4
_SEAL_BYTES: Final = len(_CRC_TAG) + _CRC_BYTES
#: A sender puts by far fewer into one batch, since `message_size` counts 128 bytes for each.
_MOST_MESSAGES: Final = 8_192
#: Fields of one message beside its entries; it has some fifteen.
_MOST_FIELDS: Final = 64
#: Entries in one batch, if nothing else is said, and the least that one takes there, with and
#: without its tag and length.
MOST_ENTRIES: Final = 1 << 20
_LEAST_ENTRY_BYTES, _LEAST_ENTRY = 6, 4
#: A smaller batch is parsed before its entries are counted, which is quicker. Honest peers send
#: larger ones only for the sake of a single large entry.
_COUNTED_FIRST: Final = 2 << 20
#: The message that a snapshot begins with: a configuration and addresses, no entries and no state.
_HEADER_BYTES: Final = 4 << 20


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


def pack_batch(messages: Sequence[Message]) -> bytes:
    """Return the messages as one MessageBatch, its checksum at the end."""
    batch = pb.MessageBatch()
    for message in messages:
        codec.add_message(batch, message)
    body = batch.SerializeToString()
    # Appended by hand: as a field of the batch it would cost encoding everything a second time.
    return b"".join((body, _CRC_TAG, zlib.crc32(body).to_bytes(_CRC_BYTES, "little")))


def unpack_batch(packed: bytes, *, most_entries: int = MOST_ENTRIES) -> list[Message]:
    """Return the messages.

    Raises:
        MalformedMessage: the checksum is wrong or missing, a message cannot be read, or there are
            more messages or entries than a sender puts into one batch.
    """
    if packed[-_SEAL_BYTES:-_CRC_BYTES] != _CRC_TAG:
        raise MalformedMessage("a batch of messages does not end with its checksum")
    body = memoryview(packed)[:-_SEAL_BYTES]
    if zlib.crc32(body) != int.from_bytes(packed[-_CRC_BYTES:], "little"):
        # Always the same words, so that a log does not fill with them.
        raise MalformedMessage(
            "a batch of messages was damaged on its way, its checksum is wrong: if this happens "
            "again, check memory and network of both machines and of what is between them"
        )
    check_fields(packed, _MOST_MESSAGES, "a batch of messages")
    if len(packed) > _COUNTED_FIRST:
        check_parts(
            packed,
            "a batch of messages",
            whole=pb.MessageBatch.MESSAGES_FIELD_NUMBER,
            part=pb.RawMessage.ENTRIES_FIELD_NUMBER,
            least=_LEAST_ENTRY,
            most=most_entries,
            others=_MOST_FIELDS,
        )
    messages = codec.parse(pb.MessageBatch, packed).messages
    entries = sum([len(wire.entries) for wire in messages])
    if entries > most_entries or entries * _LEAST_ENTRY_BYTES > len(packed):
        raise MalformedMessage(
            f"a batch of messages with {entries} entries in {len(packed)} bytes; a peer with these "
            f"settings sends at most {most_entries}, of at least {_LEAST_ENTRY_BYTES} bytes each"
        )
    return [codec.message_from_wire(wire) for wire in messages]


def first_chunk(message: Message) -> pb.SnapshotChunk:
    """Return the chunk that a snapshot begins with: its message, and no data yet."""
    header = codec.message_to_wire(message).SerializeToString()
    return pb.SnapshotChunk(header=header, crc32=zlib.crc32(header))


def snapshot_message(chunk: pb.SnapshotChunk) -> Message:
    """Return the message that the first chunk of a snapshot carries.

    Raises:
        MalformedMessage: it carries none, or one that is damaged or cannot be read.
    """
    if not chunk.header:
        raise MalformedMessage("a snapshot came without its header")
    if len(chunk.header) > _HEADER_BYTES:
        raise MalformedMessage(f"a snapshot came with a header of {len(chunk.header)} bytes")
    check_chunk(chunk)
    return codec.message_from_wire(codec.parse(pb.RawMessage, chunk.header))


def check_chunk(chunk: pb.SnapshotChunk) -> None:
    """Raise MalformedMessage unless the checksum of `chunk` is that of its header and data."""
    # The checksum of nothing is 0, so that a chunk of data alone has that of its data.
    if zlib.crc32(chunk.data, zlib.crc32(chunk.header)) != chunk.crc32:
        raise MalformedMessage(f"the chunk at byte {chunk.offset} has a wrong checksum")
