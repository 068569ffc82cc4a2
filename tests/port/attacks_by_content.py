"""Attacks by what is said: malformed, forged, addressed to somebody else, out of date."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import grpc
from google.protobuf.message import Message as ProtobufMessage
from google.protobuf.message_factory import GetMessageClass

from raftify.core.types import Entry, Message, MessageType, Snapshot, SnapshotMetadata
from raftify.records import SnapshotDescriptor
from raftify.transport.handshake import Metadata
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import first_chunk, pack_batch
from tests.port.noise import anything, damaged, field, nested
from tests.port.sealing import sealed
from tests.port.target import Target

METHODS = pb.DESCRIPTOR.services_by_name["RaftService"].methods
#: Calls that a client may make with success, which would be no attack: a proposal is taken, and a
#: transfer moves the leader, whoever asks. Noise for them is never a request that could be meant;
#: requests that could be, but for what they ask: attacks_by_request.py.
TAKEN = {"Propose", "ProposeStream", "ChangeConfig", "LeaveJoint", "SetPeers", "TransferLeader"}
FAR = 1 << 62


def some_request(random: Random, name: str, kind: type[ProtobufMessage]) -> bytes:
    """Return noise for the call `name` that no node would act on."""
    if name in TAKEN:
        # Ends within a field, so that nothing of it can be meant.
        return damaged(random, anything(random, kind)) + b"\x0a\x7f\x00"
    return anything(random, kind)


async def noise_for_every_call(on: Target, random: Random) -> None:
    """Each call gets bytes that are no request, damaged requests, and requests of odd values."""
    async with on.channel() as channel:
        for method in METHODS:
            for _ in range(15):
                data = some_request(random, method.name, GetMessageClass(method.input_type))
                if method.client_streaming:
                    said = on.stranger() if random.random() < 0.7 else ()
                    await on.stream_all(channel, method.name, said, [data])
                else:
                    await on.unary(channel, method.name, data, on.names_itself())


async def nothing_for_every_call(on: Target, random: Random) -> None:
    """Calls without a request, and with several where one is due."""
    async with on.channel() as channel:
        for method in METHODS:
            call = on.stream(channel, method.name, on.stranger())
            await call.done_writing()
            # gRPC's server leaves a call without its one request unanswered.
            await asyncio.wait((asyncio.ensure_future(call.code()),), timeout=0.1)
            call.cancel()
        for name in ("Propose", "GetPeers", "SendMessage"):
            call = on.stream(channel, name)
            with suppress(grpc.aio.AioRpcError):
                for _ in range(3):
                    await call.write(b"\xff")
            await call.code()


async def deep_and_long(on: Target, random: Random) -> None:
    """Nesting beyond any stack, varints without end, lengths beyond memory."""
    bad = [nested(1, 5_000), b"\x0b" * 100_000, b"\x0a" + b"\xff" * 9 + b"\x01", b"\xff" * 10_000]
    async with on.channel() as channel:
        for data in bad:
            for method in METHODS:
                if method.client_streaming:
                    seal = sealed if method.name == "Messages" else bytes
                    await on.stream_all(channel, method.name, on.stranger(), [seal(data)])
                else:
                    # With no id in it that can be read, a transfer goes to whom the leader likes.
                    end = b"\x0a\x7f" if method.name == "TransferLeader" else b""
                    await on.unary(channel, method.name, data + end)


def handshakes(on: Target, random: Random) -> list[Metadata]:
    """Return what callers say who are not what they say, and not even consistent."""
    member = random.choice(on.others())
    known = on.membership.peers[member].incarnation
    good = on.handshake(member, known)
    keys = [key for key, _ in good]
    said: list[Metadata] = [
        on.handshake(member, "another-store"),
        on.handshake(member, ""),
        on.handshake(member, known[:-1]),
        on.handshake(member, known, origin="another-origin"),
        on.handshake(on.node_id, "myself-but-not-quite"),
        on.handshake(0, ""),
        tuple((k, "another-cluster" if k == "raftify-cluster" else v) for k, v in good),
        tuple((k, str(on.node_id + 1) if k == "raftify-to" else v) for k, v in good),
        tuple((k, "9" * 5000 if k == "raftify-from" else v) for k, v in good),
        tuple((k, "%00%ff%zz" if k == "raftify-incarnation" else v) for k, v in good),
        (*on.handshake(member, "another-store"), ("raftify-incarnation", "twice")),
        tuple((k + "-bin", b"\xff\x00") for k in keys),
        tuple((k, "x" * 9_000) for k in keys),
        tuple((f"x-{i}", "y" * 100) for i in range(1_000)),
        (),
    ]
    return [*said, *(tuple(p for p in good if p[0] != key) for key in keys[:5])]


async def wrong_handshakes(on: Target, random: Random) -> None:
    """Streams of peers that name another cluster, another node, a member's id with another store.

    None is accepted; what follows would move the term if one were.
    """
    for said in handshakes(on, random):
        async with on.channel() as channel:
            for name, chunks in (
                ("Messages", [pack_batch([forged(on, MessageType.HEARTBEAT, FAR)])]),
                ("InstallSnapshot", [nonsense_snapshot(on, FAR).SerializeToString()]),
            ):
                code = await on.stream_all(channel, name, said, chunks)
                assert code is not grpc.StatusCode.OK, (name, said)


def forged(on: Target, msg_type: MessageType, term: int, from_id: int = 0) -> Message:
    """Return a message as if from a member, of a term that is not now."""
    return Message(
        msg_type=msg_type,
        to=on.node_id,
        from_=from_id or on.others()[0],
        term=term,
        log_term=term,
        index=FAR,
        commit=FAR,
        entries=[Entry(term=term, index=FAR + 1, data=b"forged")],
        context=b"CampaignTransfer",
    )


def nonsense_snapshot(on: Target, term: int, size: int = 10, from_id: int = 0) -> pb.SnapshotChunk:
    """Return the beginning of a snapshot of a cluster that has only strangers in it."""
    descriptor = SnapshotDescriptor("f" * 16, size, 0)
    snapshot = Snapshot(descriptor.encode(), SnapshotMetadata(index=FAR, term=term))
    from_id = from_id or on.others()[0]
    return first_chunk(
        Message(MessageType.SNAPSHOT, to=on.node_id, from_=from_id, term=term, snapshot=snapshot)
    )


async def words_in_others_names(on: Target, random: Random) -> None:
    """Accepted as a stranger, and then in a member's name, in the node's own, or to another."""
    me = 900_001
    pairs = [(on.others()[0], on.node_id), (on.node_id, on.node_id), (me, me), (0, 0), (me, FAR)]
    async with on.channel() as channel:
        for from_id, to_id in pairs:
            for msg_type in MessageType:
                message = forged(on, msg_type, FAR, from_id)
                message.from_, message.to = from_id, to_id
                code = await on.stream_all(
                    channel, "Messages", on.stranger(), [pack_batch([message])]
                )
                assert code is not grpc.StatusCode.OK, (from_id, to_id, msg_type)


async def old_terms(on: Target, random: Random) -> None:
    """Replays: whatever could be said, in a term that is long past."""
    me, batch = 900_001, []
    for msg_type in MessageType:
        message = forged(on, msg_type, 1, me)
        message.index = message.commit = random.choice((0, 1, FAR))
        message.entries = []
        batch.append(message)
    async with on.channel() as channel:
        for message in batch:
            await on.stream_all(channel, "Messages", on.stranger(), [pack_batch([message]) * 1])
        for message in batch:
            request = field(1, codec.message_to_wire(message).SerializeToString())
            await on.unary(channel, "SendMessage", request, on.names_itself())


async def strangers_messages(on: Target, random: Random) -> None:
    """Words of nodes that do not know the cluster, in terms far ahead: a majority of nonsense."""
    for number in range(20):
        me = 900_000 + number
        metadata = on.handshake(me, f"store-{me}", origin=random.choice(("", "elsewhere")))
        batch = [forged(on, kind, FAR, me) for kind in (MessageType.APPEND, MessageType.HEARTBEAT)]
        async with on.channel() as channel:
            code = await on.stream_all(channel, "Messages", metadata, [pack_batch(batch)])
            assert code is not grpc.StatusCode.OK
            request = field(1, codec.message_to_wire(batch[0]).SerializeToString())
            code = await on.unary(channel, "SendMessage", request, on.names_itself())
            assert code is not grpc.StatusCode.OK


async def wiped_member_by_hand(on: Target, random: Random) -> None:
    """A node that lost its store, under its old id, by the call that tools use."""
    member = on.others()[0]
    vote = Message(MessageType.REQUEST_VOTE_RESPONSE, to=on.node_id, from_=member, term=FAR)
    request = field(1, codec.message_to_wire(vote).SerializeToString())
    async with on.channel() as channel:
        for said in (on.handshake(member, "wiped"), on.handshake(member, "")):
            assert await on.unary(channel, "SendMessage", request, said) is not grpc.StatusCode.OK


async def damaged_batches(on: Target, random: Random) -> None:
    """What a bad cable makes of good batches."""
    me = 900_001
    good = pack_batch([Message(MessageType.HEARTBEAT, to=on.node_id, from_=me, term=FAR)] * 5)
    async with on.channel() as channel:
        for _ in range(50):
            bad = bytearray(good)
            bad[random.randrange(len(bad))] ^= 1 << random.randrange(8)
            said = on.stranger()
            code = await on.stream_all(channel, "Messages", said, [bytes(bad)])
            assert code is grpc.StatusCode.INVALID_ARGUMENT, code


async def other_protocols(on: Target, random: Random) -> None:
    """Bytes that are no HTTP/2 at all."""
    host, _, port = on.address.rpartition(":")
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", random.randbytes(5_000), b"\x16\x03\x01" * 99):
        reader, writer = await asyncio.open_connection(host, int(port))
        with suppress(ConnectionError):
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(20):
                await reader.read()
        writer.close()


BY_CONTENT = (
    noise_for_every_call,
    nothing_for_every_call,
    deep_and_long,
    wrong_handshakes,
    words_in_others_names,
    old_terms,
    strangers_messages,
    wiped_member_by_hand,
    damaged_batches,
    other_protocols,
)
