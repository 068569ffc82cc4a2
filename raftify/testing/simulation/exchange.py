"""A request over the simulated network, and its answer; and who can send and be called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raftify.testing.simulation.process import Process
from raftify.testing.simulation.trace import Delivered
from raftify.wire.errors_codec import decode_error

if TYPE_CHECKING:
    from raftify.testing.simulation.network import SimulatedNetwork


class Broken(Exception):
    """A request got no answer. `sent` is whether it may have been carried out all the same."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


def describe_receipt(answer: bytes) -> str:
    """Say in words what an answer is that is an error, or empty."""
    return f"refused: {type(decode_error(answer)).__name__}" if answer else "taken"


@dataclass(eq=False, slots=True)
class Host:
    """Somebody who can send: a process, or, with None, the test itself."""

    name: str
    process: Process | None


@dataclass(eq=False, slots=True)
class Port:
    """An address that somebody listens at. `service` is whatever the transport put there."""

    address: str
    host: Host
    service: Any
    #: Called when the port is closed: what was connected to it is told.
    on_close: dict[int, Callable[[], None]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.host.name


Serve = Callable[[Port, bytes, Callable[[bytes], None]], None]


class Exchange:
    """One request on its way there and back."""

    def __init__(
        self,
        network: SimulatedNetwork,
        source: Host,
        target: str,
        what: str,
        serve: Serve,
        describe: Callable[[bytes], str],
    ) -> None:
        self.future: asyncio.Future[Any] = network.loop.create_future()
        self._network = network
        self._source = source
        self._target = target
        self._what = what
        self._serve = serve
        self._describe = describe
        self._port: Port | None = None
        self._watch = 0

    def begin(self, data: bytes) -> None:
        """Send the request."""
        network, source = self._network, self._source
        port = network.port(self._target)
        if port is None:
            self._break("nobody listens there", network.refusal(), sent=False)
            return
        there = network.link(source.name, port.name)
        back = network.link(port.name, source.name)
        packet = network.note_sent(source.name, port.name, self._what, data)
        if there.cut or back.cut:
            # A connection that stands already takes the request, and nothing comes back.
            sent = network.random.random() < 0.5
            network.note_lost(source.name, port.name, packet, "cut")
            self._break("nothing comes back", network.silence(), sent=sent)
            return
        full = there.is_full(network.loop.now)
        if full or (there.conditions.loss and network.random.random() < there.conditions.loss):
            network.note_lost(source.name, port.name, packet, "full" if full else "loss")
            self._break("the connection broke", network.silence(), sent=True)
            return
        self._port = port
        self._watch = network.watch(port, self._on_closed)
        delay = there.travel(network.loop.now, len(data), network.random)
        network.loop.arrange(port.host.process, delay, self._arrive, packet, data)

    def _arrive(self, packet: int, data: bytes) -> None:
        port, network = self._port, self._network
        if port is None or self._watch not in port.on_close:
            return  # it closed meanwhile, which the sender has heard
        network.trace.add(Delivered(network.loop.now, self._source.name, port.name, packet, ""))
        self._serve(port, data, self._reply)

    def _reply(self, answer: bytes) -> None:
        port, network, source = self._port, self._network, self._source
        assert port is not None
        if port.on_close.pop(self._watch, None) is None:
            return
        back = network.link(port.name, source.name)
        what = f"answer to {self._what}: {self._describe(answer)}"
        packet = network.note_sent(port.name, source.name, what, answer)
        lost = back.conditions.loss and network.random.random() < back.conditions.loss
        lost = lost or back.is_full(network.loop.now)
        if back.cut or lost:
            network.note_lost(port.name, source.name, packet, "cut" if back.cut else "loss")
            self._break("no answer came back", network.silence(), sent=True)
            return
        delay = back.travel(network.loop.now, len(answer), network.random)
        network.loop.arrange(source.process, delay, self._resolve, packet, answer)

    def _resolve(self, packet: int, answer: bytes) -> None:
        network, port = self._network, self._port
        assert port is not None
        event = Delivered(network.loop.now, port.name, self._source.name, packet, "")
        network.trace.add(event)
        if not self.future.done():
            self.future.set_result(answer)

    def _on_closed(self) -> None:
        self._break("the other end closed the connection", self._network.refusal(), sent=True)

    def _break(self, reason: str, delay: float, *, sent: bool) -> None:
        error = Broken(reason, sent=sent)
        self._network.loop.arrange(self._source.process, delay, self._fail, error)

    def _fail(self, error: Broken) -> None:
        if not self.future.done():
            self.future.set_exception(error)
            # Who has given up meanwhile need not look at it.
            self.future.exception()
