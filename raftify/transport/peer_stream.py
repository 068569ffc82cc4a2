"""The way out to one peer: an outbox, and a task that keeps one stream open and empties it."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace
from typing import Final

import grpc

from raftify.config import Config
from raftify.core.types import Message
from raftify.errors import PeerRefused, RaftifyError, TransportError
from raftify.transport.channel_options import most_in_pieces, open_channel, payload_within
from raftify.transport.credentials import version_of
from raftify.transport.handshake import is_accepted, limit_in, peer_metadata
from raftify.transport.interface import Handshake, PeerService
from raftify.transport.outbox import Outbox
from raftify.transport.status import (
    StreamEnded,
    describe,
    finish_writing,
    outcome_of,
    settle,
    typed_error_in,
    write,
)
from raftify.transport.stubs import stub_of
from raftify.transport.trust import connection_failure, is_of_the_connection, is_of_tls
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import message_size, pack_batch
from raftify.wire.pieces import in_pieces

#: Larger batches cost more an entry, since memory of that size is fetched from the kernel for each:
#: measured with entries of 100 bytes at both ends, 1.3 us at 256 KiB, 1.6 at 512 KiB, 2.0 at 1 MiB.
_BATCH_BYTES: Final = 1 << 18
_AT_ONCE: Final = (0.0, 0.0)
#: Seconds between attempts to reach a peer, before jitter.
_RETRY: Final = (0.05, 0.2)
#: The same after it refused us, which only an operator can mend.
_RETRY_REFUSED: Final = (0.8, 1.2)
#: A fault so long after the last may be a single damaged batch, and the stream begins anew soon:
#: a follower that hears nothing for a second calls an election.
_FAULT_APART: Final = 5.0
#: What waits is kept for this long after the peer was lost: it may only be restarting.
_KEPT_WHILE_LOST: Final = 1.0
#: At most one `report_unreachable` in this time; Raft acts on the first.
_REPORT_INTERVAL: Final = 0.25
#: A complaint of the peer that does not change is told again after this long.
_REPEAT_INTERVAL: Final = 60.0

#: The peer, or the way to it, is down; anything else is an answer.
_GONE: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

_Call = grpc.aio.StreamUnaryCall[bytes, pb.MessagesClosed | None]


class PeerStream:
    """Sends messages to one peer, in order, and loses them while it cannot be reached.

    Must be made in the running event loop; `close` ends it.
    """

    def __init__(
        self,
        *,
        peer_id: int,
        address: str,
        handshake: Handshake,
        config: Config,
        service: PeerService,
        source: random.Random,
        logger: logging.Logger,
    ) -> None:
        self.address = address
        self._peer_id = peer_id
        self._name = f"node {peer_id} at {address}"
        self._handshake = replace(handshake, to_id=peer_id)
        self._config = config
        self._service = service
        self._source = source
        self._logger = logger
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(max_bytes=config.outbox_bytes, max_messages=config.outbox_messages)
        self._most_bytes = config.max_grpc_message_bytes
        self._closing = False
        self._lost_since: float | None = None
        self._reported_at = -_REPORT_INTERVAL
        self._refusal: tuple[str, float] | None = None
        self._fault: tuple[str, float] | None = None
        self._faulted_at = -_FAULT_APART
        self._said_too_large: float | None = None
        self._task = self._loop.create_task(self._run(), name=f"raftify-peer-{peer_id}")

    # -- what the transport calls -----------------------------------------------------------

    def send(self, message: Message) -> None:
        """Put `message` into the outbox, or drop it and say so to the service."""
        size = message_size(message)
        if size > most_in_pieces(self._config):
            self._note_too_large(message, size)
            self._report_unreachable()
        elif self._closing or not self._outbox.put(message, size):
            self._report_unreachable()

    def report_loss(self) -> None:
        self._report_unreachable()

    async def close(self, *, grace: float) -> None:
        """Send what waits for at most `grace` seconds, then end."""
        self._closing = True
        self._outbox.filled.set()
        if self._lost_since is None and grace > 0:
            await asyncio.wait([self._task], timeout=grace)
        await settle(self._task)

    # -- the task ---------------------------------------------------------------------------

    async def _run(self) -> None:
        channel, certificates = self._open_channel()
        stub = stub_of(channel)
        try:
            while not self._closing:
                pause = _RETRY
                try:
                    if certificates != version_of(self._config.tls):
                        await channel.close()
                        channel, certificates = self._open_channel()
                        stub = stub_of(channel)
                    self._handshake = replace(self._handshake, origin=self._service.origin())
                    metadata = peer_metadata(self._handshake)
                    pause = await self._converse(stub.Messages(metadata=metadata))
                except Exception:
                    # The one boundary of this task: a bug here must not silence the node.
                    self._logger.exception("sending to %s failed; starting over", self._name)
                    self._note_loss("internal error")
                if not self._closing:
                    await asyncio.sleep(self._source.uniform(*pause))
        finally:
            await channel.close()

    def _open_channel(self) -> tuple[grpc.aio.Channel, int]:
        """Return a channel to the peer, and with which version of our certificates it is."""
        certificates = version_of(self._config.tls)
        return open_channel(self.address, self._config, to_id=self._peer_id), certificates

    async def _converse(self, call: _Call) -> tuple[float, float]:
        """Hold one stream until it ends; return how long to wait before the next."""
        # A callback of the call's own would be a reference cycle that holds the connection.
        ending = self._loop.create_task(outcome_of(call), name=f"raftify-end-{self._peer_id}")
        ending.add_done_callback(lambda _: self._outbox.filled.set())
        try:
            if await self._accepted(call):
                self._note_connected()
                await self._empty_outbox(call)
                if (self._closing or self._is_outdated()) and not call.done():
                    await finish_writing(call)
            error = await ending
        except StreamEnded:
            # The batch is lost, which Raft repairs.
            error = await ending
        except TimeoutError:
            call.cancel()
            error = await ending
        finally:
            call.cancel()
            await settle(ending)
        return self._note_end(error)

    async def _accepted(self, call: _Call) -> bool:
        async with asyncio.timeout(self._config.request_timeout):
            answer = await call.initial_metadata()
        if not is_accepted(answer):
            return False
        self._most_bytes = limit_in(answer, self._config.max_grpc_message_bytes)
        return True

    async def _empty_outbox(self, call: _Call) -> None:
        outbox = self._outbox
        message_bytes = payload_within(self._most_bytes)
        batch_bytes = min(_BATCH_BYTES, message_bytes)
        while not call.done() and not self._is_outdated():
            batch = outbox.take(batch_bytes)
            if batch:
                for part in in_pieces(pack_batch(batch), message_bytes):
                    await write(call, part)
            elif self._closing:
                return
            else:
                # The end of the call and `close` set it too, and the conditions above see why.
                await outbox.filled.wait()

    def _is_outdated(self) -> bool:
        # A joiner learns its cluster's origin while it talks; from then on it has to say it.
        return self._handshake.origin != self._service.origin()

    # -- what it says -----------------------------------------------------------------------

    def _note_too_large(self, message: Message, size: int) -> None:
        # Raft sends it again and again.
        now = self._loop.time()
        if self._said_too_large is None or now > self._said_too_large + _REPEAT_INTERVAL:
            self._said_too_large = now
            self._logger.error(
                "a %s of %d bytes for %s is larger than Config.outbox_bytes (%d) and "
                "Config.max_grpc_message_bytes (%d); dropped: raise either on all nodes",
                message.msg_type.name,
                size,
                self._name,
                self._config.outbox_bytes,
                self._config.max_grpc_message_bytes,
            )

    def _note_connected(self) -> None:
        # After a fault the connection is there all the time, and each attempt soon ends again.
        level = logging.INFO if self._fault is None else logging.DEBUG
        self._logger.log(level, "connected to %s", self._name)
        self._lost_since = None
        self._refusal = None

    def _note_end(self, error: grpc.aio.AioRpcError | None) -> tuple[float, float]:
        if self._closing:
            return _RETRY
        if error is None and self._is_outdated():
            return _AT_ONCE
        typed = typed_error_in(error) if error is not None else None
        if isinstance(typed, PeerRefused):
            self._note_refusal(typed)
            return _RETRY_REFUSED
        untrusted = self._untrusted(error) if error is not None else None
        if untrusted is not None:
            self._note_untrusted(untrusted)
            return _RETRY_REFUSED
        if error is None or error.code() in _GONE:
            self._note_loss(describe(error) if error is not None else "it closed the stream")
            return _RETRY
        return self._note_fault(describe(error))

    def _untrusted(self, error: grpc.aio.AioRpcError) -> TransportError | None:
        """Return what is wrong with a certificate, ours or the peer's, if that is why `error`."""
        tls, details = self._config.tls, error.details() or ""
        if tls is None or not is_of_the_connection(details):
            return None
        failure = connection_failure(details, self._name, tls, node_id=self._peer_id)
        return failure if is_of_tls(failure, details) else None

    def _note_untrusted(self, error: TransportError) -> None:
        """Note that TLS failed, which only an operator can mend; unlike a loss it is no news when
        a node ends, so it is a warning."""
        now, text = self._loop.time(), str(error)
        if self._refusal is None or text != self._refusal[0] or now > self._refusal[1]:
            self._refusal = (text, now + _REPEAT_INTERVAL)
            self._logger.warning("no trusted connection to %s: %s", self._name, text)
        self._lost_since = now if self._lost_since is None else self._lost_since
        self._outbox.clear()
        self._report_unreachable()

    def _note_loss(self, reason: str) -> None:
        now = self._loop.time()
        if self._lost_since is None:
            self._lost_since = now
            self._fault = None
            self._logger.info("no connection to %s: %s", self._name, reason)
        elif now - self._lost_since > _KEPT_WHILE_LOST:
            self._outbox.clear()
        self._report_unreachable()

    def _note_fault(self, reason: str) -> tuple[float, float]:
        """Note that the peer is there and does not like what it gets: damage, unlike settings, a
        bug. Return how long to wait before the next attempt."""
        now, before = self._loop.time(), self._faulted_at
        self._faulted_at = now
        if self._lost_since is None:
            self._lost_since = now
        if self._fault is None or reason != self._fault[0] or now > self._fault[1]:
            self._fault = (reason, now + _REPEAT_INTERVAL)
            self._logger.warning("%s ended the stream of messages: %s", self._name, reason)
        self._outbox.clear()
        self._report_unreachable()
        return _RETRY if now - before >= _FAULT_APART else _RETRY_REFUSED

    def _note_refusal(self, error: RaftifyError) -> None:
        self._lost_since = self._loop.time() if self._lost_since is None else self._lost_since
        self._outbox.clear()
        now, text = self._loop.time(), f"{type(error).__name__}: {error}"
        if self._refusal is None or text != self._refusal[0] or now > self._refusal[1]:
            self._refusal = (text, now + _REPEAT_INTERVAL)
            self._service.report_refused(self._peer_id, error)
        self._report_unreachable()

    def _report_unreachable(self) -> None:
        now = self._loop.time()
        if now - self._reported_at >= _REPORT_INTERVAL:
            self._reported_at = now
            self._service.report_unreachable(self._peer_id)
