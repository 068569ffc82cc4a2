"""The stub and the servicer are the generated ones, and typed as the protos say."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from raftify.config import Config
from raftify.errors import MalformedMessage, OutcomeUnknown
from raftify.transport import connect
from raftify.transport.handshake import ACCEPTED_KEY
from raftify.transport.servicer import RaftServicer
from raftify.transport.stubs import RaftStub, stub_of
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.raft_service_pb2_grpc import RaftServiceServicer, RaftServiceStub
from tests.transport.fakes import Machines

SERVICE = pb.DESCRIPTOR.services_by_name["RaftService"]


@pytest.mark.parametrize("method", list(SERVICE.methods), ids=lambda method: method.name)
class TestTypes:
    def test_the_typed_stub_says_what_the_protos_say(self, method: MethodDescriptor) -> None:
        annotation = RaftStub.__annotations__[method.name]
        types = re.findall(r"pb\.(\w+)|\[(bytes),", annotation)
        # A batch of messages is packed by `framing`, which appends its checksum.
        asked = "bytes" if method.name == "Messages" else method.input_type.name
        assert [name or packed for name, packed in types] == [asked, method.output_type.name]
        assert ("Stream" in annotation) == method.client_streaming
        assert ("StreamStream" in annotation) == method.server_streaming

    def test_the_servicer_answers_it_itself(self, method: MethodDescriptor) -> None:
        own = getattr(RaftServicer, method.name)
        assert own is not getattr(RaftServiceServicer, method.name)
        assert inspect.iscoroutinefunction(own)


def test_the_typed_stub_names_nothing_else() -> None:
    assert set(RaftStub.__annotations__) == {method.name for method in SERVICE.methods}


async def test_any_program_with_the_generated_stub_can_call(machines: Machines) -> None:
    """No metadata, no wrapper: what the protos promise is enough."""
    one = await machines.start(1)
    async with grpc.aio.insecure_channel(one.address) as channel:
        stub = stub_of(channel)
        assert isinstance(stub, RaftServiceStub)
        answer = await stub.Propose(pb.ProposeRequest(data=b"x"))
        assert answer == pb.ProposeResponse(result=b"re:x")
        stream = stub.ProposeStream()
        await stream.write(pb.ProposeBatch(items=[pb.ProposeItem(request_id=5, data=b"y")]))
        results = await stream.read()
        assert results == pb.ProposeResults(
            results=[pb.ProposeResult(request_id=5, result=b"re:y")]
        )
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK


@asynccontextmanager
async def babbling_server() -> AsyncIterator[str]:
    """Serve answers that are none; yield the address."""

    async def one_answer(request: bytes, context: object) -> bytes:
        return b"\xff\xff\xff"

    async def answers(
        requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        await context.send_initial_metadata(((ACCEPTED_KEY, "1"),))
        async for _ in requests:
            await context.write(b"\xff\xff\xff")

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "ReadIndex": grpc.unary_unary_rpc_method_handler(one_answer),
        "LeaveJoint": grpc.unary_unary_rpc_method_handler(one_answer),
        "ProposeStream": grpc.stream_stream_rpc_method_handler(answers),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("raftify.RaftService", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0.5)


async def test_an_answer_that_cannot_be_read() -> None:
    async with babbling_server() as address:
        remote = connect(address, Config())
        with pytest.raises(MalformedMessage, match=address):
            await remote.read_index(timeout=5)
        # The node may well have done it: who repeats it must know.
        with pytest.raises(OutcomeUnknown, match=address):
            await remote.leave_joint(timeout=5)
        await remote.close()


async def test_results_that_cannot_be_read_leave_the_outcome_open_and_no_one_waiting() -> None:
    async with babbling_server() as address:
        remote = connect(address, Config())
        with pytest.raises(OutcomeUnknown, match="unreadable"):
            await remote.propose(b"x", timeout=60)
        await remote.close()
