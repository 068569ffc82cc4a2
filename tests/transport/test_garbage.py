"""Whatever comes to the port, the node goes on, and says why it took nothing."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftify.config import Config
from raftify.errors import MalformedMessage
from raftify.transport.handshake import (
    CLUSTER_KEY,
    FROM_KEY,
    INCARNATION_KEY,
    PROTOCOL_KEY,
    TO_KEY,
    is_accepted,
    peer_metadata,
)
from raftify.transport.interface import Handshake
from raftify.transport.status import StreamEnded, outcome_of, typed_error_in, write
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import pack_batch, unpack_batch
from tests.port.sealing import sealed
from tests.transport.fakes import CLUSTER, Machines, RawRequest, Running, message

PEER = peer_metadata(Handshake(CLUSTER, 2, "store-2", 1))
SERVICE = pb.DESCRIPTOR.services_by_name["RaftService"]
UNARY = [method.name for method in SERVICE.methods if not method.client_streaming]


def said(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what a node's operator would be bothered with."""
    return [r for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.fixture
async def one(machines: Machines) -> Running:
    return await machines.start(1)


async def still_serves(one: Running, machines: Machines) -> None:
    three = await machines.start(3)
    three.knows(one)
    three.transport.send([message(1, 3, 42)])
    await one.node.until(lambda: any(m.index == 42 for m in one.node.received))


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00" * 1000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff",
    ],
    ids=["nothing", "zeros", "http1", "http2-then-noise"],
)
async def test_bytes_that_are_no_grpc(
    one: Running, machines: Machines, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
    writer.write(garbage)
    writer.write_eof()
    async with asyncio.timeout(20):
        await reader.read()
    writer.close()
    await still_serves(one, machines)
    assert said(caplog) == []


class TestTheStreamOfMessages:
    async def answer(
        self, one: Running, chunks: list[bytes], metadata: object = PEER
    ) -> grpc.aio.AioRpcError:
        async with grpc.aio.insecure_channel(one.address) as channel:
            method: grpc.aio.StreamUnaryMultiCallable[RawRequest, bytes] = channel.stream_unary(
                "/raftify.RaftService/Messages", RawRequest.SerializeToString
            )
            call = method(metadata=metadata)  # type: ignore[arg-type]  # tests give what they like
            if is_accepted(await call.initial_metadata()):
                try:
                    for chunk in chunks:
                        await write(call, RawRequest(chunk))
                except StreamEnded:
                    pass
            error = await outcome_of(call)
            assert error is not None
            return error

    async def test_no_protobuf(
        self, one: Running, machines: Machines, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = await self.answer(one, [sealed(b"\xff\xff\xff\xff")])
        assert said(caplog) == []
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert isinstance(typed_error_in(error), MalformedMessage)
        await still_serves(one, machines)

    async def test_an_entry_that_is_none(self, one: Running) -> None:
        batch = pb.MessageBatch(messages=[pb.RawMessage(to=1, entries=[b"\xff\xff"])])
        error = await self.answer(one, [sealed(batch.SerializeToString())])
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT

    async def test_a_type_of_the_future(self, one: Running) -> None:
        batch = pack_batch([message(1, 2)])[:-5].replace(b"\x08\x03", b"\x08\x63")
        error = await self.answer(one, [sealed(batch)])
        assert "99" in (error.details() or "")
        assert one.node.received == []

    async def test_what_came_before_was_taken(self, one: Running) -> None:
        await self.answer(one, [pack_batch([message(1, 2, 7)]), b"\xff"])
        assert [m.index for m in one.node.received] == [7]

    async def test_a_message_larger_than_the_limit(self, machines: Machines) -> None:
        config = Config(max_proposal_bytes=1 << 20, max_grpc_message_bytes=2 << 20)
        small = await machines.start(1, config=config)
        error = await self.answer(small, [bytes(3 << 20)])
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await still_serves(small, machines)

    @pytest.mark.parametrize(
        "left_out", [PROTOCOL_KEY, CLUSTER_KEY, FROM_KEY, INCARNATION_KEY, TO_KEY]
    )
    async def test_a_handshake_with_a_gap(self, one: Running, left_out: str) -> None:
        error = await self.answer(one, [], tuple(p for p in PEER if p[0] != left_out))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION

    @pytest.mark.parametrize("from_id", ["0", "-1", "x", ""])
    async def test_a_handshake_of_nobody(self, one: Running, from_id: str) -> None:
        metadata = tuple((k, from_id if k == "raftify-from" else v) for k, v in PEER)
        error = await self.answer(one, [], metadata)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION

    async def test_a_service_that_raises_ends_the_stream_and_nothing_else(
        self,
        one: Running,
        machines: Machines,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(one.node, "receive", None)
            error = await self.answer(one, [pack_batch([message(1, 2)])])
        assert error.code() is grpc.StatusCode.INTERNAL
        assert "NoneType" not in (error.details() or "")
        assert "NoneType" in caplog.text
        await still_serves(one, machines)


@pytest.mark.parametrize("name", UNARY)
async def test_requests_that_are_none(
    one: Running, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with grpc.aio.insecure_channel(one.address) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            f"/raftify.RaftService/{name}"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(typed_error_in(caught.value), MalformedMessage)
    assert one.node.calls == []
    assert said(caplog) == []


async def test_a_stream_of_proposals_that_are_none(
    one: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async with grpc.aio.insecure_channel(one.address) as channel:
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            "/raftify.RaftService/ProposeStream"
        )
        call = method()
        await call.write(b"\xff\xff\xff")
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said(caplog) == []


async def test_a_call_of_the_future(one: Running, caplog: pytest.LogCaptureFixture) -> None:
    async with grpc.aio.insecure_channel(one.address) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/raftify.RaftService/Unheard"
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert said(caplog) == []


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_any_bytes_are_messages_or_malformed(data: bytes) -> None:
    try:
        messages = unpack_batch(sealed(data))
    except MalformedMessage:
        return
    assert unpack_batch(pack_batch(messages)) == messages
