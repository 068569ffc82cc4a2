"""The way out to one peer: an outbox, and a stream that breaks and is begun anew."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from raftify.core.types import Message
from raftify.errors import NodeStopped, PeerRefused, RaftifyError
from raftify.testing.simulation.exchange import Broken, Port
from raftify.transport.arrivals import check_messages
from raftify.transport.handshake import peer_metadata, read_handshake
from raftify.transport.interface import Handshake
from raftify.transport.outbox import Outbox
from raftify.wire.errors_codec import decode_error, encode_error
from raftify.wire.framing import message_size, pack_batch, unpack_batch

if TYPE_CHECKING:
    from raftify.testing.simulation.transport import SimulatedTransport

_BATCH_BYTES: Final = 1 << 18
#: As those of the gRPC transport, in seconds.
_RETRY: Final = (0.05, 0.2)
_RETRY_REFUSED: Final = (0.8, 1.2)
_FAULT_APART: Final = 5.0
_KEPT_WHILE_LOST: Final = 1.0
_REPORT_INTERVAL: Final = 0.25

_ACCEPTED: Final = b""


class Outlet:
    """Sends messages to one peer, in order, and loses them while it cannot be reached."""

    def __init__(self, transport: SimulatedTransport, peer_id: int, address: str) -> None:
        self.address = address
        self._transport = transport
        self._peer_id = peer_id
        self.network = transport.network
        self.host = transport.host
        self._loop = asyncio.get_running_loop()
        config = transport.config
        self._outbox = Outbox(max_bytes=config.outbox_bytes, max_messages=config.outbox_messages)
        self._stream: Stream | None = None
        self._connecting = False
        self._waiting = False
        self._flushing = False
        self._closed = False
        self._lost_since: float | None = None
        self._faulted_at = -_FAULT_APART
        self._reported_at = -_REPORT_INTERVAL

    # -- sending ----------------------------------------------------------------------------

    def put(self, message: Message) -> None:
        """Put `message` into the outbox, or drop it and say so."""
        if self._closed or not self._outbox.put(message, message_size(message)):
            self._report_unreachable()
        elif not self._flushing:
            # What the node sends in the same turn travels together.
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what waits, if there is a connection, and end."""
        self._flush()
        self._closed = True
        self._drop_stream()

    def _flush(self) -> None:
        self._flushing = False
        if self._closed:
            return
        stream = self._stream
        if stream is not None and stream.handshake.origin != self._transport.service.origin():
            # A joiner learns its cluster's origin while it talks; from then on it has to say it.
            self._drop_stream()
            stream = None
        if stream is None:
            self._connect()
            return
        while len(self._outbox):
            batch = self._outbox.take(_BATCH_BYTES)
            data, port = pack_batch(batch), stream.port
            if not self.network.send(self.host, port, data, describe(batch), stream.arrive):
                stream.suspect()

    # -- the connection ---------------------------------------------------------------------

    def _connect(self) -> None:
        if self._connecting or self._waiting:
            return
        self._connecting = True
        transport = self._transport
        handshake = replace(
            transport.handshake, to_id=self._peer_id, origin=transport.service.origin()
        )
        ports: list[Port] = []

        def serve(port: Port, _data: bytes, reply: Callable[[bytes], None]) -> None:
            ports.append(port)
            try:
                port.service.service.greet(read_handshake(peer_metadata(handshake)))
            except RaftifyError as error:
                reply(encode_error(error))
            else:
                reply(_ACCEPTED)

        answer = self.network.request(self.host, self.address, b"", "connect", serve)

        def on_answered(answer: asyncio.Future[bytes]) -> None:
            self._connecting = False
            if self._closed:
                return
            try:
                refusal = answer.result()
            except Broken:
                self._note_loss()
                return
            if refusal != _ACCEPTED:
                self._note_end(decode_error(refusal))
                return
            self._lost_since = None
            self._stream = Stream(self, ports[0], handshake)
            self._flush()

        answer.add_done_callback(on_answered)

    def _drop_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    # -- word from the stream ---------------------------------------------------------------

    def on_stream_ended(self, stream: Stream, error: bytes | None) -> None:
        """The peer ended the stream with `error`, or the connection broke."""
        if stream is not self._stream or self._closed:
            return
        self._drop_stream()
        if error is None:
            self._note_loss()
        else:
            self._note_end(decode_error(error))

    def _note_end(self, error: RaftifyError) -> None:
        now = self._loop.time()
        self._lost_since = now if self._lost_since is None else self._lost_since
        self._outbox.clear()
        pause = _RETRY_REFUSED
        if isinstance(error, PeerRefused):
            self._transport.service.report_refused(self._peer_id, error)
        else:
            if now - self._faulted_at >= _FAULT_APART:
                pause = _RETRY
            self._faulted_at = now
        self._report_unreachable()
        self._retry(pause)

    def _note_loss(self) -> None:
        now = self._loop.time()
        if self._lost_since is None:
            self._lost_since = now
        elif now - self._lost_since > _KEPT_WHILE_LOST:
            self._outbox.clear()
        self._report_unreachable()
        self._retry(_RETRY)

    def _retry(self, pause: tuple[float, float]) -> None:
        if self._waiting:
            return
        self._waiting = True
        self._loop.call_later(self._transport.random.uniform(*pause), self._try_again)

    def _try_again(self) -> None:
        self._waiting = False
        if not self._closed and self._stream is None:
            self._connect()

    def _report_unreachable(self) -> None:
        now = self._loop.time()
        if now - self._reported_at >= _REPORT_INTERVAL:
            self._reported_at = now
            self._transport.service.report_unreachable(self._peer_id)


class Stream:
    """One connection, from its acceptance to its end, with what the receiving side knows of it."""

    def __init__(self, outlet: Outlet, port: Port, handshake: Handshake) -> None:
        self.port = port
        self.handshake = handshake
        self._outlet = outlet
        self.network = outlet.network
        self._watch = self.network.watch(port, self._on_port_closed)
        self._suspected = False
        self._refused = False
        self._late: deque[list[Message]] | None = None

    def close(self) -> None:
        """Forget the connection on the sender's side."""
        self.port.on_close.pop(self._watch, None)

    def suspect(self) -> None:
        """Something did not arrive, and nothing tells so: it will be found out."""
        if not self._suspected:
            self._suspected = True
            self._end_after(self.network.silence(), None)

    def _on_port_closed(self) -> None:
        self._end_after(self.network.refusal(), None)

    def _end_after(self, delay: float, error: bytes | None) -> None:
        outlet = self._outlet
        self.network.loop.arrange(outlet.host.process, delay, outlet.on_stream_ended, self, error)

    # -- the receiving side; all of it runs in the receiving process ------------------------

    def arrive(self, data: bytes) -> None:
        """Take one packet, as the gRPC server does."""
        if self._refused:
            return
        transport = self.port.service
        try:
            messages = unpack_batch(data)
            check_messages(messages, self.handshake, to_id=transport.handshake.from_id)
            # Again each time: what was a member may have been removed since.
            transport.service.greet(self.handshake)
        except RaftifyError as error:
            self._refuse(error)
            return
        if self._late is not None:
            self._late.append(messages)
            return
        receiving = transport.service.receive(messages)
        try:
            held_up = receiving.send(None)
        except StopIteration:
            return
        except RaftifyError as error:
            self._refuse(error)
            return
        self._late = deque()
        self.network.loop.create_task(self._catch_up(receiving, held_up), name="receive")

    async def _catch_up(self, receiving: Coroutine[Any, Any, None], held_up: Any) -> None:
        """The inbox is full: wait for it, and what comes meanwhile waits too."""
        assert self._late is not None
        try:
            await _Resumed(receiving, held_up)
            while self._late:
                await self.port.service.service.receive(self._late.popleft())
        except RaftifyError as error:
            self._refuse(error)
        self._late = None

    def _refuse(self, error: RaftifyError) -> None:
        self._refused = True
        outlet = self._outlet
        why = f"refused: {type(error).__name__}"
        self.network.note_lost(outlet.host.name, self.port.name, 0, why)
        network, port = self.network, self.port
        answer = None if isinstance(error, NodeStopped) else encode_error(error)
        delay = network.link(port.name, outlet.host.name).travel(
            network.loop.now, len(answer or b""), network.random
        )
        self._end_after(delay, answer)


class _Resumed:
    """Awaits a coroutine that was begun by hand and has yielded `first`."""

    def __init__(self, begun: Coroutine[Any, Any, None], first: Any) -> None:
        self._begun = begun
        self._first = first

    def __await__(self) -> Generator[Any, Any, None]:
        waiting_for = self._first
        while True:
            try:
                yield waiting_for
            except BaseException as error:  # noqa: BLE001 - it is for the coroutine
                waiting_for = self._begun.throw(error)
                continue
            try:
                waiting_for = self._begun.send(None)
            except StopIteration:
                return


def describe(messages: Sequence[Message]) -> str:
    """Return what is in a batch in a few words, for the trace."""
    return ", ".join([_describe(message) for message in messages])


def _describe(message: Message) -> str:
    text = f"{message.msg_type.name} t{message.term}"
    if message.index or message.log_term:
        text += f" {message.index}/{message.log_term}"
    if message.entries:
        text += f" +{len(message.entries)}"
    if message.commit:
        text += f" c{message.commit}"
    if message.reject:
        text += " reject"
    return text
