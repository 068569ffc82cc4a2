"""Attacks by how much, how many, how long: what is said may be fine, but it never ends."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random

import grpc

from raftify.config import Config
from raftify.transport.status import StreamEnded, write
from raftify.wire import raft_service_pb2 as pb
from tests.port.attacks_by_content import nonsense_snapshot
from tests.port.noise import field, varint
from tests.port.raw_http2 import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    RawConnection,
    frame,
    header,
    request_headers,
)
from tests.port.sealing import sealed
from tests.port.target import Call, Target

MIB = 1 << 20
#: Just under and just over what a node takes, and far beyond it.
UNDER = Config().max_grpc_message_bytes - MIB // 8
OVER, FAR_OVER = UNDER + MIB // 4, 64 * MIB
#: More megabytes than a node keeps of a batch in pieces.
PIECES = Config().outbox_bytes // MIB + 5
#: Whoever holds for longer than this has been thrown out by every limit of time: a node waits 30 s
#: for a request, and 120 s on a connection without a call; and then some seconds.
LONGER_THAN_ANY_LIMIT = 165.0
Both = grpc.aio.StreamStreamCall[bytes, bytes]
STREAMING = ("Messages", "InstallSnapshot", "ProposeStream")
MAY_BE_SILENT = ("Messages", "ProposeStream")


@asynccontextmanager
async def connections(
    on: Target, count: int, *, preface: bool
) -> AsyncIterator[list[RawConnection]]:
    opened: list[RawConnection] = []
    try:
        for _ in range(count):
            with suppress(ConnectionError):
                opened.append(await RawConnection.open(on.address, preface=preface))
        yield opened
    finally:
        await asyncio.gather(*(connection.close() for connection in opened))


def _must_be_thrown_out(on: Target, kept: list[bool]) -> None:
    """Demand that nothing was kept, if it was held for long enough.

    That is not asked of streams of proposals and of messages: who has nothing to say just now may
    keep his, so their number is limited.
    """
    assert on.hold < LONGER_THAN_ANY_LIMIT or not any(kept), (
        f"{sum(kept)} of {len(kept)} were kept for {on.hold:g} s"
    )


async def idle_connections(on: Target, random: Random) -> None:
    """Thousands that say nothing, and a thousand that say only that they are there."""
    async with (
        connections(on, 2_000, preface=False) as silent,
        connections(on, 1_000, preface=True) as there,
    ):
        await asyncio.sleep(on.hold)
        _must_be_thrown_out(on, [not connection.is_closed for connection in (*silent, *there)])


async def headers_then_silence(on: Target, random: Random) -> None:
    """Calls begun and left alone, many to a connection, with and without a handshake."""
    said = tuple((k, str(v)) for k, v in on.stranger())
    names = (*STREAMING, "Propose", "SendMessage", "GetPeers")
    begun: list[tuple[RawConnection, int]] = []
    async with connections(on, 20, preface=True) as opened:
        for connection in opened:
            for name in names:
                for metadata in ((), said):
                    for _ in range(10):
                        stream = connection.call(name, metadata)
                        if name not in MAY_BE_SILENT:
                            begun.append((connection, stream))
            await connection.flush()
        await asyncio.sleep(on.hold)
        _must_be_thrown_out(on, [not c.has_ended(stream) for c, stream in begun])


async def byte_by_byte(on: Target, random: Random) -> None:
    """Messages announced large, and sent a byte a second."""
    said = tuple((k, str(v)) for k, v in on.stranger())
    begun: list[tuple[str, RawConnection, int]] = []
    async with connections(on, 50, preface=True) as opened:
        for connection in opened:
            for name in (*STREAMING, "Propose"):
                stream = connection.call(name, said)
                begun.append((name, connection, stream))
                connection.send(frame(DATA, 0, stream, b"\0" + UNDER.to_bytes(4)))
        for _ in range(int(on.hold)):
            for _, connection, stream in begun:
                connection.send(frame(DATA, 0, stream, b"\x0a"))
            await asyncio.sleep(1)
        kept = [not c.has_ended(s) for name, c, s in begun if name not in MAY_BE_SILENT]
        _must_be_thrown_out(on, kept)


async def half_sent_giants(on: Target, random: Random) -> None:
    """Large messages of which half is sent, by more callers than are let in."""
    begun: list[tuple[RawConnection, int]] = []
    async with connections(on, 100, preface=True) as opened:
        for connection in opened:
            for name in ("Propose", "ProposeStream"):
                stream = connection.call(name)
                connection.send(frame(DATA, 0, stream, b"\0" + UNDER.to_bytes(4)))
                for _ in range(256):
                    connection.send(frame(DATA, 0, stream, bytes(16_000)))
                if name not in MAY_BE_SILENT:
                    begun.append((connection, stream))
                # The honest client is on this event loop, too.
                await asyncio.sleep(0)
        await asyncio.sleep(on.hold)
        _must_be_thrown_out(on, [not c.has_ended(stream) for c, stream in begun])


async def endless_headers(on: Target, random: Random) -> None:
    """Headers that go on and on (CONTINUATION floods), and metadata of megabytes."""
    async with connections(on, 10, preface=True) as opened:
        for connection in opened:
            connection.send(frame(HEADERS, 0, 1, request_headers("GetPeers")))
            for number in range(2_000):
                more = header(f"x-{number}", "y" * 1_000)
                connection.send(frame(CONTINUATION, 0, 1, more))
            await connection.flush()
        await asyncio.sleep(on.hold)


async def control_frames(on: Target, random: Random) -> None:
    """Floods of pings, settings, and calls that are cancelled at once (rapid reset)."""
    cancel = (8).to_bytes(4)
    async with connections(on, 5, preface=True) as opened:
        for connection in opened:
            for _ in range(2_000):
                stream = connection.call("GetPeers")
                connection.send(frame(RST_STREAM, 0, stream, cancel))
            for _ in range(2_000):
                connection.send(frame(PING, 0, 0, bytes(8)))
                connection.send(frame(SETTINGS, 0, 0, b""))
            with suppress(TimeoutError):
                async with asyncio.timeout(on.hold):
                    await connection.flush()
        await asyncio.sleep(on.hold)


async def streams_opened_and_cut(on: Target, random: Random) -> None:
    """Connections and streams that end as soon as they have begun."""
    for _ in range(40):
        async with on.channel() as channel:
            calls: list[Call] = []
            for name in STREAMING:
                calls += (on.stream(channel, name, on.stranger()) for _ in "12345")
            if random.random() < 0.5:
                with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
                    await calls[-1].initial_metadata()
            for call in calls:
                call.cancel()


async def endless_snapshots(on: Target, random: Random) -> None:
    """Many at once: some announce a petabyte, some send more than they announced, none ends."""
    async with AsyncExitStack() as stack:
        sending = []
        for number in range(40):
            channel = await stack.enter_async_context(on.channel())
            me = 900_001 + number % 20
            metadata = on.handshake(me, f"store-{me}")
            size = random.choice((10, 1 << 30, 1 << 50, (1 << 64) - 1))
            call = on.stream(channel, "InstallSnapshot", metadata)
            first = nonsense_snapshot(on, 1, size, me).SerializeToString()
            sending.append(asyncio.create_task(_send_chunks(call, first)))
        await asyncio.sleep(on.hold)
        _must_be_thrown_out(on, [not task.done() for task in sending])
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


async def _send_chunks(call: Call, first: bytes) -> None:
    data, offset = bytes(64 * 1024), 0
    crc = zlib.crc32(data)
    with suppress(StreamEnded, grpc.aio.AioRpcError):
        await call.initial_metadata()
        await write(call, first)
        while True:
            await write(
                call, pb.SnapshotChunk(offset=offset, data=data, crc32=crc).SerializeToString()
            )
            offset += len(data)
            await asyncio.sleep(0.05)


async def giant_requests(on: Target, random: Random) -> None:
    """Requests just under and over the limit, of one thing, or of very many small ones."""
    said = on.stranger()
    for size in (UNDER, OVER, FAR_OVER):
        empties = b"\x0a\x00" * (size // 2)
        one_field = field(1, bytes(size))
        many_entries = field(1, b"\x3a\x00" * (size // 2))
        async with on.channel() as channel:
            for data in (empties, one_field, many_entries):
                await on.stream_all(channel, "Messages", said, [sealed(data)])
            for data in (empties, one_field):
                await on.stream_all(channel, "InstallSnapshot", said, [data])
            for name in ("ChangeConfig", "SetPeers", "SendMessage", "RequestId", "GetPeers"):
                for data in (empties, one_field):
                    await on.unary(channel, name, data, on.names_itself())
            await on.stream_all(channel, "ProposeStream", (), [field(1, b"\x12" + varint(size))])
    async with on.channel() as channel:
        await on.stream_all(channel, "ProposeStream", (), [b"\x0a\x00" * (UNDER // 2)])


async def giants_at_once(on: Target, random: Random) -> None:
    """As large as may be, from many callers again and again, so that one comes behind the other."""
    giant, said = field(1, bytes(UNDER)), on.stranger()

    async def send() -> None:
        async with on.channel() as channel:
            for _ in range(6):
                await on.unary(channel, "SendMessage", giant, on.names_itself())
                await on.stream_all(channel, "Messages", said, [sealed(giant)])
                await on.stream_all(channel, "ProposeStream", (), [giant])

    await asyncio.gather(*(send() for _ in range(12)))


async def pieces_without_end(on: Target, random: Random) -> None:
    """Batches in pieces, whose last one never comes: of a stranger, who may send none, and in the
    name of each member."""
    piece = pb.MessageBatch(piece=bytes(MIB)).SerializeToString()
    names = [on.stranger()]
    names += [on.handshake(i, on.membership.peers[i].incarnation) for i in on.others()]
    async with on.channel() as channel:
        for said in names:
            code = await on.stream_all(channel, "Messages", said, [piece] * PIECES)
            assert code in (
                grpc.StatusCode.INVALID_ARGUMENT,
                # Who is not at home in the store that the node knows is not even let in.
                grpc.StatusCode.FAILED_PRECONDITION,
            ), code


async def smaller_swarms(on: Target, random: Random) -> None:
    """A megabyte of empty things, again and again: small enough for any limit of bytes."""
    swarm = b"\x0a\x00" * (MIB // 2)
    async with on.channel() as channel:
        for _ in range(10):
            said = on.stranger()
            await on.stream_all(channel, "Messages", said, [sealed(swarm)])
            await on.stream_all(channel, "Messages", said, [sealed(field(1, b"\x3a\x00" * MIB))])
            await on.stream_all(channel, "ProposeStream", (), [swarm])
            await on.unary(channel, "SetPeers", swarm)
            await on.unary(channel, "SendMessage", field(1, b"\x3a\x00" * MIB), on.names_itself())


async def results_never_read(on: Target, random: Random) -> None:
    """Proposals that are fine, by clients that never read what became of them."""
    batch = pb.ProposeBatch(
        items=[pb.ProposeItem(request_id=i, data=b"x" * 8) for i in range(1_000)]
    ).SerializeToString()
    async with AsyncExitStack() as stack:
        writing = []
        for _ in range(4):
            channel = await stack.enter_async_context(on.channel())
            call: Both = channel.stream_stream("/raftify.RaftService/ProposeStream")()
            writing.append(asyncio.create_task(_write_on(call, batch)))
        await asyncio.sleep(2 * on.hold)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)


async def _write_on(call: Both, batch: bytes) -> None:
    with suppress(grpc.aio.AioRpcError):
        while True:
            await call.write(batch)


async def crowds_of_strangers(on: Target, random: Random) -> None:
    """Nodes that nobody knows, each with an address at which it would like to be called."""
    async with on.channel() as channel:
        for number in range(300):
            metadata = tuple(
                (k, f"127.0.0.1:{1 + number}" if k == "raftify-address" else v)
                for k, v in on.handshake(910_000 + number, "store")
            )
            await on.stream_all(channel, "Messages", metadata, [])


async def crowds_of_joiners(on: Target, random: Random) -> None:
    """Ids asked for under names without end, and names without end to their length."""
    async with on.channel() as channel:
        for number in range(50):
            long = pb.RequestIdRequest(
                raft_addr="10.0.0.1:1", identity=f"{number}" * MIB, timeout_ms=5_000
            ).SerializeToString()
            await on.unary(channel, "RequestId", long)
        for number in range(30):
            some = pb.RequestIdRequest(
                raft_addr="10.0.0.1:1", identity=f"joiner-{number}", timeout_ms=5_000
            ).SerializeToString()
            await on.unary(channel, "RequestId", some)


async def calls_without_end(on: Target, random: Random) -> None:
    """More calls at once than anybody needs, each with the longest deadline."""
    request = pb.ReadIndexRequest(timeout_ms=2**32 - 1).SerializeToString()
    async with on.channel() as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/raftify.RaftService/ReadIndex"
        )
        calls = [method(request, timeout=20) for _ in range(3_000)]
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*(call.code() for call in calls))


async def everything_held(on: Target, random: Random) -> None:
    """All who say little and hold much, at once: for `hold` seconds, whatever a node does."""
    await asyncio.gather(
        idle_connections(on, random),
        headers_then_silence(on, random),
        byte_by_byte(on, random),
        half_sent_giants(on, random),
        endless_snapshots(on, random),
    )


BY_WEIGHT = (
    idle_connections,
    headers_then_silence,
    byte_by_byte,
    half_sent_giants,
    endless_headers,
    control_frames,
    streams_opened_and_cut,
    endless_snapshots,
    giant_requests,
    giants_at_once,
    pieces_without_end,
    smaller_swarms,
    results_never_read,
    crowds_of_strangers,
    crowds_of_joiners,
    calls_without_end,
)
