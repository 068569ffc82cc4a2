"""Batches of messages that are larger than one message may be, in pieces.

An entry that is in a log has to reach every member, also one that takes less in a message than it
did when, or where, the entry was proposed: nothing behind it can be committed before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from raftify.errors import MalformedMessage
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.bounds import check_fields

#: Bytes in one piece, if the receiver takes as many: other work comes between two of them.
_PIECE_BYTES: Final = 1 << 20
#: The least that is worth a message, whatever a receiver says.
_LEAST_BYTES: Final = 1 << 12
#: Fields of one piece.
_FIELDS: Final = 2
_WHAT: Final = "piece of a batch of messages"
#: What a piece begins with, and no batch does: the tag of MessageBatch.piece.
_TAG: Final = bytes([pb.MessageBatch.PIECE_FIELD_NUMBER << 3 | 2])


def in_pieces(packed: bytes, most_bytes: int) -> Iterator[bytes]:
    """Yield `packed` in pieces of at most `most_bytes`, beside a few bytes around each; as it is,
    if that is no more."""
    if len(packed) <= most_bytes:
        yield packed
        return
    size = max(min(_PIECE_BYTES, most_bytes), _LEAST_BYTES)
    for begin in range(0, len(packed), size):
        end = begin + size
        piece = pb.MessageBatch(piece=packed[begin:end], is_last_piece=end >= len(packed))
        yield piece.SerializeToString()


class Pieces:
    """Joins the pieces of one stream again. The checksum of the batch shows whether it is whole.

    Args:
        most_bytes: of pieces that wait for their rest.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._waiting: list[bytes] = []
        self._bytes = 0

    def add(self, packed: bytes, *, allowed: bool) -> bytes | None:
        """Return the batch that came, or that is whole with this; None while pieces are missing.

        Raises:
            MalformedMessage: a piece came that is not `allowed`, or is none, or is one too many.
        """
        if not packed.startswith(_TAG):
            if self._waiting:
                raise MalformedMessage("a batch of messages came before the last piece of another")
            return packed
        if not allowed:
            raise MalformedMessage("a batch of messages in pieces came from who is no member")
        check_fields(packed, _FIELDS, f"a {_WHAT}")
        part = codec.read(pb.MessageBatch.FromString, packed, _WHAT)
        if not part.piece:
            raise MalformedMessage(f"a {_WHAT} came without any bytes")
        self._waiting.append(part.piece)
        self._bytes += len(part.piece)
        if self._bytes > self._most_bytes:
            raise MalformedMessage(
                f"a batch of messages of more than {self._most_bytes} bytes, the larger of "
                "Config.outbox_bytes and Config.max_grpc_message_bytes of the receiver"
            )
        if not part.is_last_piece:
            return None
        whole = b"".join(self._waiting)
        self._waiting, self._bytes = [], 0
        return whole
