"""Snapshots that leave: each over a channel of its own, so that it holds up no heartbeat."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import BinaryIO, Final

import grpc

from raftify.config import Config
from raftify.core.types import Message, Snapshot
from raftify.errors import (
    MalformedMessage,
    PeerUnreachable,
    RaftifyError,
    StorageDamaged,
    TransportError,
)
from raftify.transport.channel_options import open_channel, payload_within
from raftify.transport.handshake import is_accepted, limit_in, peer_metadata
from raftify.transport.interface import Handshake, PeerService
from raftify.transport.snapshot_queue import SnapshotQueue
from raftify.transport.status import (
    StreamEnded,
    describe,
    finish_writing,
    outcome_of,
    typed_error_in,
    write,
)
from raftify.transport.stubs import stub_of
from raftify.transport.trust import connection_failure, is_of_the_connection
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import first_chunk

#: A receiver that takes nothing for so long is given up.
_STALL: Final = 15.0

_Call = grpc.aio.StreamUnaryCall[pb.SnapshotChunk, pb.SnapshotReceipt | None]


class SnapshotSender(SnapshotQueue):
    """Sends snapshots: to every peer one at a time, to several peers at once."""

    def __init__(
        self,
        *,
        handshake: Handshake,
        config: Config,
        service: PeerService,
        source: random.Random,
        logger: logging.Logger,
    ) -> None:
        super().__init__(source)
        self._handshake = handshake
        self._config = config
        self._service = service
        self._logger = logger

    def _report(self, peer_id: int, *, success: bool) -> None:
        self._service.report_snapshot(peer_id, success=success)

    async def _send(self, peer_id: int, message: Message) -> bool:
        """Send one snapshot; return whether it arrived."""
        assert message.snapshot is not None
        index = message.snapshot.metadata.index
        try:
            async with asyncio.timeout(self._config.snapshot_timeout):
                size = await self._transfer(peer_id, message, message.snapshot)
        except RaftifyError as error:
            reason = f"{type(error).__name__}: {error}"
        except TimeoutError:
            reason = "it took longer than Config.snapshot_timeout"
        except Exception:
            # The boundary of this task: the node must hear of the failure whatever it was.
            self._logger.exception("sending a snapshot to node %d failed", peer_id)
            return False
        else:
            self._logger.info(
                "node %d took the snapshot of index %d (%d bytes)", peer_id, index, size
            )
            return True
        self._logger.warning(
            "the snapshot of index %d did not reach node %d: %s", index, peer_id, reason
        )
        return False

    async def _transfer(self, peer_id: int, message: Message, snapshot: Snapshot) -> int:
        address = self.addresses[peer_id]
        async with AsyncExitStack() as stack:
            file = await self._open(snapshot)
            if file is not None:
                stack.callback(file.close_soon)
            channel = await stack.enter_async_context(
                open_channel(address, self._config, to_id=peer_id)
            )
            call: _Call = stub_of(channel).InstallSnapshot(
                metadata=peer_metadata(
                    replace(self._handshake, to_id=peer_id, origin=self._service.origin())
                ),
                timeout=self._config.snapshot_timeout,
            )
            stack.callback(call.cancel)
            try:
                return await self._stream(call, message, file)
            except _Unreadable as error:
                raise self._damaged(snapshot, error.reason) from error
            except (grpc.aio.AioRpcError, StreamEnded):
                raise await self._reason(call, peer_id, address) from None

    async def _reason(self, call: _Call, peer_id: int, address: str) -> RaftifyError:
        """Return why `call` ended early."""
        error = await outcome_of(call)
        if error is None:
            return TransportError("the receiver ended the call before it had the whole snapshot")
        typed = typed_error_in(error)
        if typed is None and is_of_the_connection(error.details() or ""):
            tls = self._config.tls
            return connection_failure(error.details() or "", address, tls, node_id=peer_id)
        return typed or PeerUnreachable(describe(error))

    async def _open(self, snapshot: Snapshot) -> _SharedFile | None:
        opening = asyncio.ensure_future(asyncio.to_thread(self._service.open_snapshot, snapshot))
        try:
            file = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on, and nobody else will have the file that it opens.
            opening.add_done_callback(_close_opened)
            raise
        except StorageDamaged as error:
            raise self._damaged(snapshot, error) from error
        return None if file is None else _SharedFile(file)

    def _damaged(self, snapshot: Snapshot, reason: Exception) -> StorageDamaged:
        """Report that our own file cannot be sent, ever; return what to raise."""
        self._service.report_damaged_snapshot(snapshot, reason)
        if isinstance(reason, StorageDamaged):
            return reason
        return StorageDamaged(f"the snapshot's file cannot be read: {reason}")

    async def _stream(self, call: _Call, message: Message, file: _SharedFile | None) -> int:
        """Send header and chunks; return how many bytes the receiver has.

        Memory holds two chunks: the one being written, and gRPC's copy of it.
        """
        async with _stall_watch("accept the snapshot"):
            answer = await call.initial_metadata()
        if not is_accepted(answer):
            raise StreamEnded
        await _write(call, first_chunk(message))
        most = payload_within(limit_in(answer, self._config.max_grpc_message_bytes))
        chunk_bytes = min(self._config.snapshot_chunk_bytes, most)
        offset = 0
        while file is not None:
            data, crc32 = await asyncio.to_thread(file.read, chunk_bytes)
            if not data:
                break
            await _write(call, pb.SnapshotChunk(offset=offset, data=data, crc32=crc32))
            offset += len(data)
        await finish_writing(call)
        receipt = await call
        if receipt is None:
            raise MalformedMessage("the receiver answered with what is no receipt")
        return receipt.size_bytes


async def _write(call: _Call, chunk: pb.SnapshotChunk) -> None:
    async with _stall_watch("take a chunk"):
        await write(call, chunk)


@asynccontextmanager
async def _stall_watch(what: str) -> AsyncIterator[None]:
    """Raise TransportError if the block takes too long."""
    try:
        async with asyncio.timeout(_STALL):
            yield
    except TimeoutError:
        raise TransportError(f"the receiver did not {what} within {_STALL:g} s") from None


def _close_opened(opening: asyncio.Future[BinaryIO | None]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        file = opening.result()
        if file is not None:
            _SharedFile(file).close_soon()


class _Unreadable(Exception):
    """Our own file is damaged. A receiver may answer with StorageDamaged too, and means its own."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _SharedFile:
    """A file that threads read, and that is let go of while one of them may still be reading.

    To close it on the event loop would be to wait there for that read, however long it takes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def read(self, size: int) -> tuple[bytes, int]:
        """Return the next bytes and their crc32; on a thread.

        Raises:
            _Unreadable: the disk does not give them, or not as they were written.
        """
        with self._lock:
            try:
                data = self._file.read(size)
            except (StorageDamaged, OSError) as error:
                raise _Unreadable(error) from error
        return data, zlib.crc32(data)

    def close_soon(self) -> None:
        """Close it after the read that is under way, without waiting for either."""
        # Not in asyncio's pool of threads, which may be full, or gone with the loop by then.
        threading.Thread(target=self._close, name="raftify-snapshot-close", daemon=True).start()

    def _close(self) -> None:
        with self._lock, suppress(OSError):
            self._file.close()
