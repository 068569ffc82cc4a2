"""Snapshots that arrive: chunks sent by hand, as no sender of ours would."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from raftify.core.types import Message, MessageType, Snapshot, SnapshotMetadata
from raftify.errors import MalformedMessage, PeerRefused, RaftifyError
from raftify.records import SnapshotDescriptor
from raftify.transport.handshake import peer_metadata
from raftify.transport.interface import Handshake
from raftify.transport.status import StreamEnded, outcome_of, typed_error_in, write
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import first_chunk
from tests.transport.fakes import (
    CLUSTER,
    FakeNode,
    Machines,
    RawRequest,
    Running,
    files_in,
    message,
    snapshot_message,
)


class TestWhatReceiversRefuse:
    async def send(
        self, to: Running, chunks: Sequence[pb.SnapshotChunk | bytes], handshake: Handshake
    ) -> RaftifyError | None:
        """Send `chunks`; return the error they are answered with."""

        async with grpc.aio.insecure_channel(to.address) as channel:
            method: grpc.aio.StreamUnaryMultiCallable[RawRequest, bytes] = channel.stream_unary(
                "/raftify.RaftService/InstallSnapshot", RawRequest.SerializeToString
            )
            call = method(metadata=peer_metadata(handshake))
            await call.initial_metadata()
            with suppress(StreamEnded):
                for chunk in chunks:
                    data = chunk if isinstance(chunk, bytes) else chunk.SerializeToString()
                    await write(call, RawRequest(data))
                await call.done_writing()
            error = await outcome_of(call)
        return None if error is None else typed_error_in(error)

    def chunks(self, data: bytes, m: Message | None = None) -> list[pb.SnapshotChunk]:
        half = len(data) // 2
        return [
            first_chunk(m or snapshot_message(2, 1, data)),
            pb.SnapshotChunk(data=data[:half], crc32=zlib.crc32(data[:half])),
            pb.SnapshotChunk(offset=half, data=data[half:], crc32=zlib.crc32(data[half:])),
        ]

    @pytest.fixture
    async def two(self, machines: Machines, tmp_path: Path) -> Running:
        return await machines.start(2, node=FakeNode(2, directory=tmp_path))

    async def refused(self, two: Running, chunks: Sequence[pb.SnapshotChunk | bytes]) -> str:
        error = await self.send(two, chunks, Handshake(CLUSTER, 1, "store-1", 2))
        assert isinstance(error, MalformedMessage)
        await two.transport.stop(grace=5)
        assert two.node.directory is not None
        assert files_in(two.node.directory) == []
        assert two.node.received == []
        return str(error)

    async def test_nothing_if_all_is_well(self, two: Running) -> None:
        data = b"0123456789"
        handshake = Handshake(CLUSTER, 1, "store-1", 2)
        assert await self.send(two, self.chunks(data), handshake) is None
        assert len(two.node.received) == 1

    async def test_data_beside_the_header_counts(self, two: Running) -> None:
        header, *_ = self.chunks(b"0123456789")
        header.data = b"0123456789"
        header.crc32 = zlib.crc32(header.header + header.data)
        assert await self.send(two, [header], Handshake(CLUSTER, 1, "store-1", 2)) is None

    async def test_a_chunk_with_a_wrong_checksum(self, two: Running) -> None:
        chunks = self.chunks(b"0123456789")
        chunks[1].crc32 ^= 1
        assert "checksum" in await self.refused(two, chunks)

    async def test_a_header_with_a_wrong_checksum(self, two: Running) -> None:
        chunks = self.chunks(b"0123456789")
        chunks[0].crc32 ^= 1
        assert "checksum" in await self.refused(two, chunks)

    async def test_a_chunk_for_another_place(self, two: Running) -> None:
        chunks = self.chunks(b"0123456789")
        chunks[2].offset += 1
        assert "byte 6" in await self.refused(two, chunks)

    async def test_a_chunk_twice(self, two: Running) -> None:
        chunks = self.chunks(b"0123456789")
        assert "byte 0" in await self.refused(two, [*chunks[:2], chunks[1]])

    async def test_too_little(self, two: Running) -> None:
        assert "5 bytes" in await self.refused(two, self.chunks(b"0123456789")[:2])

    async def test_more_than_announced(self, two: Running) -> None:
        chunks = self.chunks(b"0123456789")
        chunks.append(pb.SnapshotChunk(offset=10, data=b"!", crc32=zlib.crc32(b"!")))
        assert "10 bytes" in await self.refused(two, chunks)

    async def test_other_bytes_than_announced(self, two: Running) -> None:
        chunks = self.chunks(b"abcdefghij", snapshot_message(2, 1, b"0123456789"))
        assert "checksum" in await self.refused(two, chunks)

    async def test_bytes_where_there_is_no_file(self, two: Running) -> None:
        chunks = self.chunks(b"0123456789", snapshot_message(2, 1, None))
        assert "0 bytes" in await self.refused(two, chunks)

    async def test_no_header(self, two: Running) -> None:
        assert "header" in await self.refused(two, self.chunks(b"0123456789")[1:])

    async def test_nothing_at_all(self, two: Running) -> None:
        assert "header" in await self.refused(two, [])

    async def test_garbage(self, two: Running) -> None:
        assert "InstallSnapshot" in await self.refused(two, [b"\xff\xff\xff"])

    async def test_a_header_that_is_no_snapshot(self, two: Running) -> None:
        assert "APPEND" in await self.refused(two, self.chunks(b"", message(2, 1)))

    async def test_a_header_from_somebody_else(self, two: Running) -> None:
        chunks = self.chunks(b"", snapshot_message(2, 3, None))
        assert "node 3" in await self.refused(two, chunks)

    async def test_a_file_id_that_names_a_path(self, two: Running) -> None:
        descriptor = SnapshotDescriptor("../../etc/passwd", 0, 0)
        m = Message(
            msg_type=MessageType.SNAPSHOT,
            to=2,
            from_=1,
            snapshot=Snapshot(descriptor.encode(), SnapshotMetadata(index=3)),
        )
        assert "passwd" in await self.refused(two, self.chunks(b"", m))

    async def test_a_stranger(self, two: Running) -> None:
        error = await self.send(two, self.chunks(b"01"), Handshake("other", 1, "store-1", 2))
        assert type(error) is PeerRefused
        assert two.node.received == []
