"""Snapshots that arrive: chunks into a sink, checked, and then the message to the core."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from raftify.config import Config
from raftify.core.types import Message, Snapshot
from raftify.errors import MalformedMessage, TransportError
from raftify.records import SnapshotDescriptor, SnapshotSink
from raftify.transport.arrivals import check_snapshot
from raftify.transport.interface import Handshake, PeerService
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import check_chunk, snapshot_message

#: A sender that says nothing for so long is given up.
_STALL: Final = 15.0
#: Seconds that the thread always gets to remove what was begun, however short the notice.
_THREAD_GRACE: Final = 0.5


class SnapshotReceiver:
    """Takes snapshots for `service`; nothing of one that does not end well is left.

    Files are written by one thread of its own, so that an `abort` cannot overtake a `write`.
    """

    def __init__(self, service: PeerService, config: Config, logger: logging.Logger) -> None:
        self._service = service
        self._config = config
        self._logger = logger
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="raftify-snapshot-in")

    async def receive(
        self, requests: AsyncIterator[pb.SnapshotChunk], handshake: Handshake, *, to_id: int
    ) -> pb.SnapshotReceipt:
        """Take one snapshot; return the receipt.

        Raises:
            MalformedMessage: what came is not what its header announced.
            TransportError: nothing came for too long, or the whole takes too long.
            StorageError: it cannot be kept.
        """
        allowed = self._config.snapshot_timeout
        try:
            async with asyncio.timeout(allowed):
                return await self._receive(requests, handshake, to_id)
        except TimeoutError:
            raise TransportError(
                f"a snapshot did not arrive within Config.snapshot_timeout ({allowed:g} s)"
            ) from None

    async def _receive(
        self, requests: AsyncIterator[pb.SnapshotChunk], handshake: Handshake, to_id: int
    ) -> pb.SnapshotReceipt:
        message, first = await _read_header(requests, handshake, to_id)
        assert message.snapshot is not None
        descriptor = SnapshotDescriptor.decode(message.snapshot.data)
        if descriptor.size_bytes > self._config.max_snapshot_bytes:
            raise MalformedMessage(
                f"a snapshot of {descriptor.size_bytes} bytes was announced; "
                f"Config.max_snapshot_bytes allows {self._config.max_snapshot_bytes}"
            )
        run, thread = asyncio.get_running_loop().run_in_executor, self._thread
        arrival = Arrival(descriptor)
        try:
            await run(thread, arrival.open, self._service, message.snapshot)
            if first.data:
                await run(thread, arrival.write, first)
            while (chunk := await _next(requests)) is not None:
                await run(thread, arrival.write, chunk)
            await run(thread, arrival.finish)
        except BaseException:
            # Behind whatever the thread is still writing; no need to wait for it.
            thread.submit(arrival.abort)
            raise
        await self._service.receive([message])
        return pb.SnapshotReceipt(size_bytes=descriptor.size_bytes)

    async def close(self, *, grace: float) -> None:
        """Wait for the thread for at most `grace` seconds; no snapshot may be arriving any more.

        A disk that hangs is left to itself: its file is unfinished, and the thread removes it if
        the disk ever comes back, or else the next start does. Harmless the second time.
        """
        if self._closed:
            return
        self._closed = True
        idle = asyncio.wrap_future(self._thread.submit(lambda: None))
        self._thread.shutdown(wait=False)
        grace = max(grace, _THREAD_GRACE)
        done, _ = await asyncio.wait((idle,), timeout=grace)
        if not done:
            idle.cancel()
            self._logger.warning(
                "the disk did not take a snapshot that was arriving within %.3g s; not waiting "
                "for it any longer",
                grace,
            )


class Arrival:
    """One snapshot between header and receipt. Everything here runs on the thread."""

    def __init__(self, descriptor: SnapshotDescriptor) -> None:
        self._descriptor = descriptor
        self._sink: SnapshotSink | None = None
        self._size = 0
        self._crc32 = 0

    def open(self, service: PeerService, snapshot: Snapshot) -> None:
        self._sink = service.create_snapshot_sink(snapshot)

    def write(self, chunk: pb.SnapshotChunk) -> None:
        data = chunk.data
        if chunk.offset != self._size:
            raise MalformedMessage(
                f"a chunk of the snapshot is for byte {chunk.offset}, and {self._size} have come"
            )
        if self._size + len(data) > self._descriptor.size_bytes:
            raise MalformedMessage(
                f"more has come of the snapshot than the {self._descriptor.size_bytes} bytes "
                "that were announced"
            )
        check_chunk(chunk)
        if self._sink is None:
            raise MalformedMessage("bytes have come for a snapshot that has none")
        self._sink.write(data)
        self._size += len(data)
        self._crc32 = zlib.crc32(data, self._crc32)

    def finish(self) -> None:
        wanted, got = self._descriptor, (self._size, self._crc32)
        if got != (wanted.size_bytes, wanted.crc32):
            raise MalformedMessage(
                f"the snapshot came with {got[0]} bytes of checksum {got[1]:08x}, announced "
                f"were {wanted.size_bytes} of {wanted.crc32:08x}"
            )
        if self._sink is not None:
            self._sink.finish()

    def abort(self) -> None:
        if self._sink is not None:
            self._sink.abort()


async def _read_header(
    requests: AsyncIterator[pb.SnapshotChunk], handshake: Handshake, to_id: int
) -> tuple[Message, pb.SnapshotChunk]:
    first = await _next(requests)
    if first is None:
        raise MalformedMessage("a snapshot came without its header")
    message = snapshot_message(first)
    check_snapshot(message, handshake, to_id=to_id)
    return message, first


async def _next(requests: AsyncIterator[pb.SnapshotChunk]) -> pb.SnapshotChunk | None:
    try:
        async with asyncio.timeout(_STALL):
            return await anext(requests, None)
    except TimeoutError:
        raise TransportError(f"the sender of a snapshot was silent for {_STALL:g} s") from None
