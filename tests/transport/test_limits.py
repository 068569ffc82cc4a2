"""What a node serves at the same time has an end, and members are not crowded out."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import grpc
import pytest

from raftify.config import Config
from raftify.core.types import Message, MessageType
from raftify.errors import MalformedMessage, Overloaded, PeerRefused, RaftifyError, TransportError
from raftify.transport import channel_options, connect, malformed, snapshot_receiver
from raftify.transport.channel_options import most_connections
from raftify.transport.handshake import Metadata, is_accepted, peer_metadata
from raftify.transport.interface import Handshake
from raftify.transport.status import outcome_of, typed_error_in, write
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import first_chunk, pack_batch
from tests.port.raw_http2 import (
    ACK,
    END_HEADERS,
    HEADERS,
    PREFACE,
    SETTINGS,
    RawConnection,
    frame,
    request_headers,
)
from tests.transport.fakes import (
    CLUSTER,
    PATIENCE,
    FakeNode,
    Machines,
    Running,
    files_in,
    message,
    snapshot_message,
)

Stream = grpc.aio.StreamUnaryCall[bytes, bytes]


def said_by(from_id: int) -> Metadata:
    return peer_metadata(Handshake(CLUSTER, from_id, f"store-{from_id}", 1))


def stream(channel: grpc.aio.Channel, name: str, metadata: Metadata = ()) -> Stream:
    make: grpc.aio.StreamUnaryMultiCallable[bytes, bytes]
    make = channel.stream_unary(f"/raftify.RaftService/{name}")
    return make(metadata=metadata)


async def refusal(call: Stream) -> RaftifyError | None:
    async with asyncio.timeout(PATIENCE):
        error = await outcome_of(call)
    assert error is not None
    return typed_error_in(error)


class TestStreamsOfPeers:
    async def test_strangers_have_some_together(self, machines: Machines) -> None:
        one = await machines.start(1, node=Strangers(1))
        async with grpc.aio.insecure_channel(one.address) as channel:
            calls = [stream(channel, "Messages", said_by(100 + i)) for i in range(33)]
            accepted = [is_accepted(await call.initial_metadata()) for call in calls]
            assert accepted.count(False) == 1
            assert isinstance(await refusal(calls[accepted.index(False)]), Overloaded)
            for call in calls:
                call.cancel()

    async def test_members_have_theirs_beside_them(self, machines: Machines) -> None:
        one = await machines.start(1, node=Strangers(1))
        one.node.known[2] = "store-2"
        async with grpc.aio.insecure_channel(one.address) as channel:
            crowd = [stream(channel, "Messages", said_by(100 + i)) for i in range(40)]
            for call in crowd:
                await call.initial_metadata()
            member = stream(channel, "Messages", said_by(2))
            assert is_accepted(await member.initial_metadata())
            await write(member, pack_batch([message(1, 2, 7)]))
            await one.node.until(lambda: [m.index for m in one.node.received] == [7])
            for call in (*crowd, member):
                call.cancel()

    async def test_the_newest_of_a_member_take_the_place_of_the_oldest(
        self, machines: Machines
    ) -> None:
        one = await machines.start(1, node=Strangers(1))
        one.node.known[2] = "store-2"
        async with grpc.aio.insecure_channel(one.address) as channel:
            calls = []
            for _ in range(6):
                calls.append(stream(channel, "Messages", said_by(2)))
                assert is_accepted(await calls[-1].initial_metadata())
            for oldest in calls[:2]:
                assert isinstance(await refusal(oldest), Overloaded)
            await write(calls[-1], pack_batch([message(1, 2, 7)]))
            await one.node.until(lambda: one.node.received)
            assert not any(call.done() for call in calls[2:])
            for call in calls:
                call.cancel()


class Strangers(FakeNode):
    """Accepts anybody, and knows as members only who was put into `known`."""

    def greet(self, handshake: Handshake) -> None:
        if handshake.cluster_id != CLUSTER:
            raise PeerRefused("another cluster")


class TestCallsOfClients:
    async def crowd(self, stack: AsyncExitStack, one: Running, count: int) -> list[Stream]:
        """Begin calls that never say what they want."""
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(one.address))
        calls = [stream(channel, "ProposeStream") for _ in range(count)]
        for call in calls:
            assert is_accepted(await call.initial_metadata())
        return calls

    @pytest.fixture
    async def one(self, machines: Machines) -> Running:
        return await machines.start(1, config=Config(max_client_calls=3))

    async def test_one_more_is_told_to_come_back(self, one: Running) -> None:
        async with AsyncExitStack() as stack:
            calls = await self.crowd(stack, one, 3)
            remote = connect(one.address, Config())
            with pytest.raises(Overloaded, match="max_client_calls"):
                await remote.read_index(timeout=5)
            with pytest.raises(Overloaded):
                await remote.propose(b"x", timeout=5)
            calls[0].cancel()
            async with asyncio.timeout(PATIENCE):
                while True:
                    with suppress(Overloaded):
                        assert await remote.read_index(timeout=5) == 77
                        break
            await remote.close()

    async def test_members_are_served_all_the_same(self, one: Running, machines: Machines) -> None:
        two = await machines.start(2)
        one.node.known[2] = "store-2"
        async with AsyncExitStack() as stack:
            await self.crowd(stack, one, 3)
            remote = two.transport.connect(one.address)
            assert await remote.read_index(timeout=5) == 77
            assert await remote.propose(b"x", timeout=5) == b"re:x"
            await remote.close()

    async def test_who_only_says_he_is_a_member_is_not(self, one: Running) -> None:
        one.node.known[2] = "another-store"
        async with AsyncExitStack() as stack:
            await self.crowd(stack, one, 3)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(one.address))
            call = stream(channel, "GetPeers", said_by(2))
            assert isinstance(await refusal(call), Overloaded)

    async def test_a_call_without_its_request_is_answered(self, one: Running) -> None:
        async with grpc.aio.insecure_channel(one.address) as channel:
            call = stream(channel, "GetPeers")
            await call.done_writing()
            assert isinstance(await refusal(call), MalformedMessage)

    async def test_a_request_that_does_not_come_is_not_waited_for(
        self, one: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(malformed, "_ARRIVAL", 0.1)
        async with grpc.aio.insecure_channel(one.address) as channel:
            assert isinstance(await refusal(stream(channel, "GetPeers")), TransportError)

    async def test_a_large_request_for_a_small_thing(self, one: Running) -> None:
        async with grpc.aio.insecure_channel(one.address) as channel:
            call = stream(channel, "RequestId")
            await write(call, pb.RequestIdRequest(identity="x" * 300_000).SerializeToString())
            assert isinstance(await refusal(call), MalformedMessage)
        assert one.node.calls == []

    async def test_a_swarm_of_proposals_is_refused(self, one: Running) -> None:
        async with grpc.aio.insecure_channel(one.address) as channel:
            call = stream(channel, "ProposeStream")
            await call.initial_metadata()
            await write(call, b"\x0a\x00" * 100_000)
            assert isinstance(await refusal(call), MalformedMessage)
        assert one.node.timeouts == []

    async def test_results_that_nobody_reads_hold_the_proposals_back(
        self, machines: Machines
    ) -> None:
        """A client that only wrote had its answers pile up without end."""
        one = await machines.start(1)
        batch = pb.ProposeBatch(
            items=[pb.ProposeItem(request_id=i, data=bytes(1000)) for i in range(500)]
        ).SerializeToString()
        async with grpc.aio.insecure_channel(one.address) as channel:
            method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
                "/raftify.RaftService/ProposeStream"
            )
            call = method()
            await call.initial_metadata()
            with suppress(TimeoutError):
                for _ in range(400):
                    async with asyncio.timeout(2):
                        await call.write(batch)
            assert len(one.node.timeouts) < 30_000
            call.cancel()


@pytest.mark.parametrize("name", ["GetPeers", "Messages", "ProposeStream"])
async def test_what_was_refused_is_not_kept(machines: Machines, name: str) -> None:
    """gRPC remembered the error with the call, out of the collector's sight, and it the request."""
    one = await machines.start(1)
    size = 3 << 20
    async with grpc.aio.insecure_channel(one.address) as channel:
        for _ in range(3):
            call = stream(channel, name, said_by(2))
            if name != "GetPeers":
                assert is_accepted(await call.initial_metadata())
            await write(call, b"\xff" * size)
            assert isinstance(await refusal(call), MalformedMessage)
            del call
    await one.transport.stop(grace=1)
    gc.collect()
    kept = [
        found
        for holder in gc.get_objects()
        for found in gc.get_referents(holder)
        if isinstance(found, bytes) and len(found) == size
    ]
    assert len(kept) == 0


class TestSnapshots:
    async def begin(self, channel: grpc.aio.Channel, from_id: int, to: Message) -> Stream:
        call = stream(channel, "InstallSnapshot", said_by(from_id))
        if is_accepted(await call.initial_metadata()):
            await write(call, first_chunk(to).SerializeToString())
        return call

    async def test_one_that_is_too_large_is_refused_before_it_comes(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        node = FakeNode(1, directory=tmp_path)
        one = await machines.start(1, node=node, config=Config(max_snapshot_bytes=9))
        async with grpc.aio.insecure_channel(one.address) as channel:
            call = await self.begin(channel, 2, snapshot_message(1, 2, b"0123456789"))
            error = await refusal(call)
        assert isinstance(error, MalformedMessage)
        assert "max_snapshot_bytes" in str(error)
        assert files_in(tmp_path) == []

    async def test_one_that_never_ends_is_given_up(
        self, machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A chunk of nothing every now and then kept it going for ever."""
        monkeypatch.setattr(snapshot_receiver, "_STALL", PATIENCE)
        node = FakeNode(1, directory=tmp_path)
        one = await machines.start(1, node=node, config=Config(snapshot_timeout=0.3))
        async with grpc.aio.insecure_channel(one.address) as channel:
            call = await self.begin(channel, 2, snapshot_message(1, 2, b"0123456789"))
            error = await refusal(call)
        assert isinstance(error, TransportError)
        assert "snapshot_timeout" in str(error)
        await one.transport.stop(grace=5)
        assert files_in(tmp_path) == []

    async def test_strangers_have_two_and_a_member_one_beside(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        one = await machines.start(1, node=Strangers(1, directory=tmp_path))
        one.node.known[2] = "store-2"
        async with grpc.aio.insecure_channel(one.address) as channel:
            for number in (100, 101):
                await self.begin(
                    channel, number, snapshot_message(1, number, b"0123456789", index=number)
                )
            third = stream(channel, "InstallSnapshot", said_by(102))
            assert isinstance(await refusal(third), Overloaded)
            member = await self.begin(channel, 2, snapshot_message(1, 2, b"x" * 10))
            again = await self.begin(channel, 2, snapshot_message(1, 2, b"", index=11))
            assert isinstance(await refusal(member), Overloaded)
            await again.done_writing()
            assert await again.code() is grpc.StatusCode.OK
            assert [m.msg_type for m in one.node.received] == [MessageType.SNAPSHOT]


class TestConnections:
    async def test_no_more_are_taken_than_allowed(self, machines: Machines) -> None:
        one = await machines.start(1, config=Config(max_connections=2))
        remotes = [connect(one.address, Config(request_timeout=2)) for _ in range(3)]
        for remote in remotes[:2]:
            assert await remote.read_index(timeout=5) == 77
        with pytest.raises(RaftifyError):
            await remotes[2].read_index(timeout=2)
        await remotes[0].close()
        assert await remotes[1].read_index(timeout=5) == 77
        await asyncio.gather(*(remote.close() for remote in remotes))

    def test_by_default_files_are_left_for_the_node(self) -> None:
        resource = pytest.importorskip("resource")
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert most_connections(Config()) <= max(files - 200, 64)
        assert most_connections(Config(max_connections=7)) == 7

    async def test_one_that_says_nothing_is_closed(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(channel_options, "_HANDSHAKE_MS", 300)
        one = await machines.start(1)
        connection = await RawConnection.open(one.address, preface=False)
        async with asyncio.timeout(PATIENCE):
            await connection.closed()
        await connection.close()

    async def test_one_without_a_call_is_closed_and_the_next_call_opens_another(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(channel_options, "_IDLE_MS", 1_000)
        one = await machines.start(1)
        remote = connect(one.address, Config())
        assert await remote.read_index(timeout=5) == 77
        connection = await RawConnection.open(one.address)
        async with asyncio.timeout(PATIENCE):
            await connection.closed()
        await connection.close()
        assert await remote.read_index(timeout=5) == 77
        await remote.close()

    async def test_one_that_does_not_answer_pings_is_closed(self, machines: Machines) -> None:
        one = await machines.start(1)
        host, _, port = one.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(SETTINGS, ACK, 0, b""))
        writer.write(frame(HEADERS, END_HEADERS, 1, request_headers("ProposeStream")))
        async with asyncio.timeout(PATIENCE):
            await reader.read()
        writer.close()
