"""Snapshots between simulated nodes: in chunks with their checksums, as over gRPC."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Final

from raftify.core.types import Message
from raftify.errors import RaftifyError, StorageDamaged, TransportError
from raftify.records import SnapshotDescriptor
from raftify.testing.simulation.exchange import Broken, Port
from raftify.testing.simulation.link import flip_bit
from raftify.transport.arrivals import check_snapshot
from raftify.transport.handshake import peer_metadata, read_handshake
from raftify.transport.interface import PeerService
from raftify.transport.snapshot_queue import SnapshotQueue
from raftify.transport.snapshot_receiver import Arrival
from raftify.transport.status import settle
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.errors_codec import decode_error, encode_error
from raftify.wire.framing import first_chunk, snapshot_message

if TYPE_CHECKING:
    from raftify.testing.simulation.transport import SimulatedTransport

_CHUNK_BYTES: Final = 1 << 16
_TAKEN: Final = b""
#: Seconds until a snapshot comes again, on average, if it does.
_REPEATED_AFTER: Final = 1.0


class SnapshotCourier(SnapshotQueue):
    """Sends snapshots over the simulated network, in the order of the real transport."""

    def __init__(self, transport: SimulatedTransport) -> None:
        super().__init__(transport.random)
        self._transport = transport
        self._transfers = 0
        # A dict, which keeps the order in which they came.
        self._repeating: dict[asyncio.Task[None], None] = {}

    async def close(self) -> None:
        """End what is under way; nothing is reported any more."""
        await super().close()
        await settle(*self._repeating)

    def _report(self, peer_id: int, *, success: bool) -> None:
        self._transport.service.report_snapshot(peer_id, success=success)

    async def _send(self, peer_id: int, message: Message) -> bool:
        """Send one snapshot; return whether it arrived."""
        try:
            async with asyncio.timeout(self._transport.config.snapshot_timeout):
                port = await self._transfer(peer_id, message)
        except (RaftifyError, Broken, TimeoutError):
            return False
        network = self._transport.network
        conditions = network.link(self._transport.host.name, port.name).conditions
        if conditions.duplicate and network.random.random() < conditions.duplicate:
            network.count("duplicate")
            pause = network.random.expovariate(1 / _REPEATED_AFTER)
            task = asyncio.create_task(
                self._repeat(peer_id, message, pause), name="repeat-snapshot"
            )
            self._repeating[task] = None
            task.add_done_callback(lambda task: self._repeating.pop(task, None))
        return True

    async def _repeat(self, peer_id: int, message: Message, pause: float) -> None:
        """Send a snapshot once more, as if its receipt had been lost."""
        await asyncio.sleep(pause)
        with suppress(RaftifyError, Broken, TimeoutError, KeyError):
            async with asyncio.timeout(self._transport.config.snapshot_timeout):
                await self._transfer(peer_id, message)

    async def _transfer(self, peer_id: int, message: Message) -> Port:
        """Send one snapshot; return where it arrived."""
        transport = self._transport
        assert message.snapshot is not None
        self._transfers += 1
        transfer = _Transfer(transport, peer_id, self.addresses[peer_id], self._transfers)
        file = self._open(message)
        try:
            await transfer.send(first_chunk(message))
            offset = 0
            while file is not None:
                data = self._read(file, message)
                if not data:
                    break
                chunk = pb.SnapshotChunk(offset=offset, data=data, crc32=zlib.crc32(data))
                await transfer.send(chunk)
                offset += len(data)
            await transfer.send(None)
        finally:
            if file is not None:
                file.close()
        assert transfer.port is not None
        return transfer.port

    def _open(self, message: Message) -> BinaryIO | None:
        assert message.snapshot is not None
        try:
            return self._transport.service.open_snapshot(message.snapshot)
        except StorageDamaged as error:
            self._transport.service.report_damaged_snapshot(message.snapshot, error)
            raise

    def _read(self, file: BinaryIO, message: Message) -> bytes:
        assert message.snapshot is not None
        try:
            return file.read(min(_CHUNK_BYTES, self._transport.config.snapshot_chunk_bytes))
        except (StorageDamaged, OSError) as error:
            self._transport.service.report_damaged_snapshot(message.snapshot, error)
            raise StorageDamaged(f"the snapshot's file cannot be read: {error}") from error


class _Transfer:
    """One snapshot under way, chunk by chunk, each answered."""

    def __init__(
        self, transport: SimulatedTransport, peer_id: int, address: str, number: int
    ) -> None:
        self._transport = transport
        self._address = address
        handshake = replace(transport.handshake, to_id=peer_id, origin=transport.service.origin())
        self._metadata = peer_metadata(handshake)
        # Which process sends, and which of its snapshots this is.
        process = transport.host.process
        self._key = (transport.host.name if process is None else process.name, number)
        self.port: Port | None = None

    async def send(self, chunk: pb.SnapshotChunk | None) -> None:
        """Send `chunk`, or with None the end, and wait for its receipt."""
        transport = self._transport
        data = b"" if chunk is None else chunk.SerializeToString()
        network, host = transport.network, transport.host

        def serve(port: Port, data: bytes, reply: Callable[[bytes], None]) -> None:
            if self.port is not None and self.port is not port:
                reply(encode_error(TransportError("this node was restarted meanwhile")))
                return
            self.port = port
            corrupt = network.link(host.name, port.name).conditions.corrupt
            if data and corrupt and network.random.random() < corrupt:
                network.count("corrupt")
                data = flip_bit(data, network.random)
            handshake = read_handshake(self._metadata)
            port.service.snapshot_inlet.take(self._key, handshake, data, reply)

        what = "snapshot" if chunk is not None else "end of snapshot"
        refusal: bytes = await network.request(host, self._address, data, what, serve)
        if refusal != _TAKEN:
            raise decode_error(refusal)


class SnapshotInlet:
    """Takes the chunks of snapshots that arrive; nothing of one that does not end well is left."""

    def __init__(self, service: PeerService, own_id: int) -> None:
        self._service = service
        self._own_id = own_id
        self._arriving: dict[tuple[int, int], tuple[Message, Arrival]] = {}

    def take(
        self,
        key: tuple[int, int],
        handshake: object,
        data: bytes,
        reply: Callable[[bytes], None],
    ) -> None:
        """Take one chunk of the snapshot `key`, or its end, and `reply`."""
        try:
            if not data:
                self._finish(key, reply)
                return
            chunk = codec.parse(pb.SnapshotChunk, data)
            if key in self._arriving:
                self._arriving[key][1].write(chunk)
            else:
                self._begin(key, handshake, chunk)
        except RaftifyError as error:
            arriving = self._arriving.pop(key, None)
            if arriving is not None:
                arriving[1].abort()
            reply(encode_error(error))
        else:
            reply(_TAKEN)

    def _begin(self, key: tuple[int, int], handshake: object, chunk: pb.SnapshotChunk) -> None:
        self._service.greet(handshake)  # type: ignore[arg-type]
        message = snapshot_message(chunk)
        check_snapshot(message, handshake, to_id=self._own_id)  # type: ignore[arg-type]
        assert message.snapshot is not None
        arrival = Arrival(SnapshotDescriptor.decode(message.snapshot.data))
        arrival.open(self._service, message.snapshot)
        self._arriving[key] = (message, arrival)

    def _finish(self, key: tuple[int, int], reply: Callable[[bytes], None]) -> None:
        if key not in self._arriving:
            raise TransportError("the end came of a snapshot that was given up")
        message, arrival = self._arriving[key]
        arrival.finish()
        del self._arriving[key]

        async def receive() -> None:
            try:
                await self._service.receive([message])
            except RaftifyError as error:
                reply(encode_error(error))
            else:
                reply(_TAKEN)

        asyncio.get_running_loop().create_task(receive(), name="receive-snapshot")
