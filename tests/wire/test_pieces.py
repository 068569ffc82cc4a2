"""Large batches in pieces: whole again at the other end, or refused."""

from __future__ import annotations

import pytest

from raftify.errors import MalformedMessage
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.pieces import Pieces, in_pieces

MIB = 1 << 20
#: No batch begins as a piece does; these begin as batches do.
BATCH = b"\x0a" + bytes(range(256)) * (5 * MIB // 512)


def piece(data: bytes, *, is_last: bool = False) -> bytes:
    return pb.MessageBatch(piece=data, is_last_piece=is_last).SerializeToString()


@pytest.mark.parametrize("most", [1, 5000, MIB - 1, len(BATCH) - 1, len(BATCH), 8 * MIB])
def test_pieces_become_what_they_were(most: int) -> None:
    joined = Pieces(len(BATCH))
    parts = list(in_pieces(BATCH, most))
    assert (len(parts) == 1) == (most >= len(BATCH))
    assert max(map(len, parts)) <= max(most, 4096) + 16
    for _ in range(2):
        came = [joined.add(part, allowed=True) for part in parts]
        assert came[:-1] == [None] * (len(parts) - 1)
        assert came[-1] == BATCH


def test_a_batch_in_one_needs_no_permission() -> None:
    assert Pieces(1).add(BATCH, allowed=False) is BATCH


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([piece(b"a"), BATCH], "before the last piece of another"),
        ([piece(bytes(600)), piece(bytes(600), is_last=True)], "more than 1000 bytes"),
        ([piece(b"a"), b"\x1a\x00"], "without any bytes"),
        ([b"\x1a\x05ab"], "bytes are no "),
        ([piece(b"a") + piece(b"b") + piece(b"c")], "more parts"),
    ],
)
def test_what_makes_no_batch_is_refused(parts: list[bytes], message: str) -> None:
    joined = Pieces(1000)
    for part in parts[:-1]:
        assert joined.add(part, allowed=True) is None
    with pytest.raises(MalformedMessage, match=message):
        joined.add(parts[-1], allowed=True)


def test_a_stranger_gets_no_memory() -> None:
    with pytest.raises(MalformedMessage, match="no member"):
        Pieces(1000).add(piece(b"a"), allowed=False)
