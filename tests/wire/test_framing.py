"""What is damaged on its way is refused, wherever the damage is."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftify.core.types import Entry, Message, MessageType, Snapshot, SnapshotMetadata
from raftify.errors import MalformedMessage
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import (
    check_chunk,
    first_chunk,
    pack_batch,
    snapshot_message,
    unpack_batch,
)

BATCH = [
    Message(
        msg_type=MessageType.APPEND,
        to=2,
        from_=1,
        term=7,
        log_term=7,
        index=40,
        entries=[Entry(term=7, index=41, data=b"a write that somebody waits for")],
        commit=40,
    ),
    Message(msg_type=MessageType.HEARTBEAT, to=2, from_=1, term=7, commit=40),
]
PACKED = pack_batch(BATCH)
SNAPSHOT = Message(
    msg_type=MessageType.SNAPSHOT,
    to=2,
    from_=1,
    term=7,
    snapshot=Snapshot(b"descriptor", SnapshotMetadata(index=40, term=7)),
)


def flip(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


class TestBatches:
    @pytest.mark.parametrize("batch", [[], BATCH[:1], BATCH])
    def test_come_out_as_they_went_in(self, batch: list[Message]) -> None:
        assert unpack_batch(pack_batch(batch)) == batch

    def test_are_protobuf_with_the_checksum_as_a_field(self) -> None:
        """Any program with the generated code can read one, and check it."""
        batch = pb.MessageBatch.FromString(PACKED)
        assert len(batch.messages) == len(BATCH)
        assert batch.crc32 == zlib.crc32(PACKED[:-5])
        assert batch.SerializeToString() == PACKED

    @pytest.mark.parametrize("bit", range(8 * len(PACKED)))
    def test_any_flipped_bit_is_noticed(self, bit: int) -> None:
        with pytest.raises(MalformedMessage):
            unpack_batch(flip(PACKED, bit))

    @given(st.sets(st.integers(0, 8 * len(PACKED) - 1), min_size=1, max_size=40))
    def test_any_damage_is_noticed(self, bits: set[int]) -> None:
        damaged = PACKED
        for bit in bits:
            damaged = flip(damaged, bit)
        with pytest.raises(MalformedMessage):
            unpack_batch(damaged)

    @pytest.mark.parametrize("length", range(len(PACKED)))
    def test_a_part_is_none(self, length: int) -> None:
        with pytest.raises(MalformedMessage):
            unpack_batch(PACKED[:length])

    def test_one_without_a_checksum_is_refused(self) -> None:
        with pytest.raises(MalformedMessage, match="does not end with its checksum"):
            unpack_batch(PACKED[:-5])

    def test_two_of_them_are_none(self) -> None:
        with pytest.raises(MalformedMessage, match="damaged"):
            unpack_batch(PACKED + PACKED)


class TestChunksOfSnapshots:
    def test_the_first_carries_the_message(self) -> None:
        assert snapshot_message(first_chunk(SNAPSHOT)) == SNAPSHOT

    @pytest.mark.parametrize("bit", range(8 * len(first_chunk(SNAPSHOT).SerializeToString())))
    def test_any_flipped_bit_in_the_first_is_noticed(self, bit: int) -> None:
        """A wrong index or configuration in it would be taken for the snapshot's own."""
        try:
            chunk = pb.SnapshotChunk.FromString(
                flip(first_chunk(SNAPSHOT).SerializeToString(), bit)
            )
        except Exception:  # noqa: BLE001 - protobuf's own check came first
            return
        try:
            message = snapshot_message(chunk)
        except MalformedMessage:
            return
        assert message == SNAPSHOT

    def test_a_first_one_without_a_message_is_none(self) -> None:
        with pytest.raises(MalformedMessage, match="without its header"):
            snapshot_message(pb.SnapshotChunk(data=b"x", crc32=zlib.crc32(b"x")))

    def test_those_behind_it_are_checked_alike(self) -> None:
        chunk = pb.SnapshotChunk(offset=5, data=b"state", crc32=zlib.crc32(b"state"))
        check_chunk(chunk)
        chunk.data = b"stale"
        with pytest.raises(MalformedMessage, match="byte 5"):
            check_chunk(chunk)
