"""The simulated network: who listens where, and what happens to what travels between hosts.

Everything that goes wrong is drawn from one random source, packet by packet, by the `Conditions` of
the link; whoever simulates sets those, and cuts links, while the simulation runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from raftify.errors import AddressInUse
from raftify.testing.simulation.loop import SimulatedLoop
from raftify.testing.simulation.process import Process
from raftify.testing.simulation.trace import Delivered, Dropped, Sent, Trace

#: Seconds until a sender hears that nobody listens, or that a connection broke, from and to.
_REFUSAL = (0.001, 0.01)
#: Seconds until a sender gives up a connection over which nothing comes back.
_SILENCE = (0.2, 2.0)

#: A narrow link takes nothing more while this many seconds of packets wait for it.
_MOST_WAITING = 2.0


@dataclass(slots=True)
class Conditions:
    """What a link does to what travels over it, in one direction. Chances are from 0 to 1.

    Attributes:
        delay: the least time under way, in seconds.
        jitter: the mean of what comes on top, exponentially distributed.
        loss: chance that a packet is lost.
        duplicate: chance that a batch of messages arrives twice.
        reorder: chance that a batch may be overtaken, or overtake.
        corrupt: chance that one bit of a packet is flipped.
        bytes_per_second: how much it carries; what comes faster waits, and is lost once too much
            waits. None: any amount.
    """

    delay: float = 0.0003
    jitter: float = 0.0003
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    bytes_per_second: float | None = None


class Link:
    """One direction between two hosts."""

    __slots__ = ("busy_until", "conditions", "cut", "last_arrival")

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        self.cut = False
        self.busy_until = 0.0
        self.last_arrival = 0.0

    def is_full(self, now: float) -> bool:
        """Whether so much waits to be carried that nothing more is taken."""
        return self.busy_until - now > _MOST_WAITING

    def travel(self, now: float, size: int, random: Random, *, ordered: bool = True) -> float:
        """Return for how many seconds a packet of `size` bytes that is sent now is under way."""
        conditions = self.conditions
        arrival = now + conditions.delay
        if conditions.jitter:
            arrival += random.expovariate(1.0) * conditions.jitter
        if conditions.bytes_per_second is not None:
            self.busy_until = max(self.busy_until, now) + size / conditions.bytes_per_second
            arrival = max(arrival, self.busy_until + conditions.delay)
        if conditions.reorder and random.random() < conditions.reorder:
            return arrival - now + random.expovariate(1.0) * (conditions.delay + conditions.jitter)
        if ordered:
            arrival = self.last_arrival = max(arrival, self.last_arrival)
        return arrival - now


class Broken(Exception):
    """A request got no answer. `sent` is whether it may have been carried out all the same."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


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


class SimulatedNetwork:
    """Carries packets between hosts, which are known by name."""

    def __init__(self, loop: SimulatedLoop, random: Random, trace: Trace) -> None:
        self.loop = loop
        self.random = random
        self.trace = trace
        #: For links that have been given none of their own.
        self.conditions = Conditions()
        #: How often each thing happened to a packet.
        self.counts: dict[str, int] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._isolated: set[str] = set()
        self._ports: dict[str, Port] = {}
        self._packets = 0
        self._watched = 0

    # -- faults -----------------------------------------------------------------------------

    def set_conditions(self, conditions: Conditions) -> None:
        """Let every link be as `conditions`, also those that were given others."""
        self.conditions = conditions
        for link in self._links.values():
            link.conditions = conditions

    def set_link(self, source: str, target: str, conditions: Conditions) -> None:
        """Let the way from `source` to `target` be as `conditions`, and only this direction."""
        self.link(source, target).conditions = conditions

    def cut(self, source: str, target: str, *, both_ways: bool = False) -> None:
        """Lose everything from `source` to `target`, and the other way too if asked for."""
        self.link(source, target).cut = True
        if both_ways:
            self.link(target, source).cut = True

    def isolate(self, host: str) -> None:
        """Lose everything that `host` sends, and everything that is sent to it."""
        self._isolated.add(host)
        for (source, target), link in self._links.items():
            if host in (source, target):
                link.cut = True

    def mend(self, source: str, target: str) -> None:
        """Undo `cut` in both directions."""
        self.link(source, target).cut = self.link(target, source).cut = False

    def heal(self) -> None:
        """Mend every link, and let all be as a healthy network."""
        self._isolated.clear()
        for link in self._links.values():
            link.cut = False
        self.set_conditions(Conditions())

    def link(self, source: str, target: str) -> Link:
        """Return the way from host `source` to host `target`."""
        link = self._links.get((source, target))
        if link is None:
            link = self._links[source, target] = Link(self.conditions)
            link.cut = bool(self._isolated & {source, target})
        return link

    # -- ports ------------------------------------------------------------------------------

    def listen(self, address: str, host: Host, service: Any) -> Port:
        """Open `address`.

        Raises:
            AddressInUse: somebody listens there.
        """
        if address in self._ports:
            raise AddressInUse(f"cannot listen at {address}: another node does already")
        port = self._ports[address] = Port(address, host, service)
        return port

    def close(self, port: Port) -> None:
        """Close a port; whoever is connected to it hears that the connection broke."""
        if self._ports.get(port.address) is port:
            del self._ports[port.address]
        callbacks, port.on_close = list(port.on_close.values()), {}
        for callback in callbacks:
            callback()

    def close_all_of(self, host: Host) -> None:
        """Close what `host` listens at, as the system does for a process that died."""
        for port in [p for p in self._ports.values() if p.host is host]:
            self.close(port)

    def port(self, address: str) -> Port | None:
        """Return who listens at `address`."""
        return self._ports.get(address)

    def watch(self, port: Port, callback: Callable[[], None]) -> int:
        """Have `callback` called when `port` closes, or now if it has closed already, as one has
        whose process died while its acceptance travelled. Returns the number to `unwatch` with."""
        self._watched += 1
        if self._ports.get(port.address) is port:
            port.on_close[self._watched] = callback
        else:
            callback()
        return self._watched

    # -- packets ----------------------------------------------------------------------------

    def send(
        self, source: Host, port: Port, data: bytes, what: str, arrive: Callable[[bytes], None]
    ) -> bool:
        """Send one packet of a stream; `arrive` is called with it, once, twice or never.

        Returns False if the link is cut, which the sender will find out in time.
        """
        link, random, loop = self.link(source.name, port.name), self.random, self.loop
        packet = self.note_sent(source.name, port.name, what)
        if link.cut:
            self.note_lost(source.name, port.name, packet, "cut")
            return False
        conditions = link.conditions
        full = link.is_full(loop.now)
        if full or (conditions.loss and random.random() < conditions.loss):
            self.note_lost(source.name, port.name, packet, "full" if full else "loss")
            return True
        copies = 1
        if conditions.duplicate and random.random() < conditions.duplicate:
            copies = 2
            self.count("duplicate")
        for _ in range(copies):
            delay = link.travel(loop.now, len(data), random)
            body = data
            if conditions.corrupt and random.random() < conditions.corrupt:
                body = flip_bit(data, random)
                self.count("corrupt")
            loop.arrange(
                port.host.process, delay, self._arrive, source.name, port, packet, body, arrive
            )
        return True

    def _arrive(
        self, source: str, port: Port, packet: int, data: bytes, arrive: Callable[[bytes], None]
    ) -> None:
        if self._ports.get(port.address) is not port:
            self.note_lost(source, port.name, packet, "closed")
            return
        self.trace.add(Delivered(self.loop.now, source, port.name, packet))
        arrive(data)

    def note_sent(self, source: str, target: str, what: str) -> int:
        """Note that a packet left; return its number."""
        self._packets += 1
        self.trace.add(Sent(self.loop.now, source, target, self._packets, what))
        return self._packets

    def note_lost(self, source: str, target: str, packet: int, why: str) -> None:
        """Note that a packet did not arrive, or, with number 0, that what came was refused."""
        self.count(why)
        self.trace.add(Dropped(self.loop.now, source, target, packet, why))

    def count(self, what: str) -> None:
        """Count that `what` happened to a packet."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def silence(self) -> float:
        """Return after how many seconds somebody gives up who hears nothing any more."""
        return self.random.uniform(*_SILENCE)

    def refusal(self) -> float:
        """Return after how many seconds somebody hears that nobody is there."""
        return self.random.uniform(*_REFUSAL)

    # -- requests ---------------------------------------------------------------------------

    def request(
        self, source: Host, target: str, data: bytes, what: str, serve: Serve
    ) -> asyncio.Future[Any]:
        """Send a request to who listens at address `target`; the future brings the answer.

        `serve(port, data, reply)` is called there, and is to call `reply(answer)` once. The future
        fails with Broken if request or answer are lost, or one of both ends is.
        """
        exchange = _Exchange(self, source, target, serve)
        exchange.begin(data, what)
        return exchange.future


Serve = Callable[[Port, bytes, Callable[[bytes], None]], None]


class _Exchange:
    """One request on its way there and back."""

    def __init__(self, network: SimulatedNetwork, source: Host, target: str, serve: Serve) -> None:
        self.future: asyncio.Future[Any] = network.loop.create_future()
        self._network = network
        self._source = source
        self._target = target
        self._serve = serve
        self._port: Port | None = None
        self._watch = 0

    def begin(self, data: bytes, what: str) -> None:
        network, source = self._network, self._source
        port = network.port(self._target)
        if port is None:
            self._break("nobody listens there", network.refusal(), sent=False)
            return
        there = network.link(source.name, port.name)
        back = network.link(port.name, source.name)
        packet = network.note_sent(source.name, port.name, what)
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
        network.trace.add(Delivered(network.loop.now, self._source.name, port.name, packet))
        self._serve(port, data, self._reply)

    def _reply(self, answer: bytes) -> None:
        port, network, source = self._port, self._network, self._source
        assert port is not None
        if port.on_close.pop(self._watch, None) is None:
            return
        back = network.link(port.name, source.name)
        packet = network.note_sent(port.name, source.name, "answer")
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
        network.trace.add(Delivered(network.loop.now, port.name, self._source.name, packet))
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


def flip_bit(data: bytes, random: Random) -> bytes:
    """Return `data` with one bit changed."""
    at = random.randrange(8 * len(data))
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)
