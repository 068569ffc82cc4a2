"""The simulated network: who listens where, and what happens to what travels between hosts.

Everything that goes wrong is drawn from one random source, packet by packet, by the `Conditions` of
the link; whoever simulates sets those, and cuts links, while the simulation runs. Each of these is
an event of the trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

from raftify.errors import AddressInUse, ConfigError
from raftify.testing.simulation.exchange import Exchange, Host, Port, Serve, describe_receipt
from raftify.testing.simulation.link import Conditions, Link, flip_bit
from raftify.testing.simulation.loop import SimulatedLoop
from raftify.testing.simulation.trace import Delivered, Dropped, Fault, Sent, Trace, fingerprint

#: Seconds until a sender hears that nobody listens, or that a connection broke, from and to.
_REFUSAL: Final = (0.001, 0.01)
#: Seconds until a sender gives up a connection over which nothing comes back.
_SILENCE: Final = (0.2, 2.0)


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
        # A dict, which keeps the order in which they came.
        self._known: dict[str, None] = {}
        self._ports: dict[str, Port] = {}
        self._packets = 0
        self._watched = 0

    # -- faults -----------------------------------------------------------------------------

    def know(self, host: str) -> None:
        """Note that there is, or will be, a host of this name."""
        self._known[host] = None

    def set_conditions(self, conditions: Conditions) -> None:
        """Let every link be as `conditions`, also those that were given others."""
        self._note(f"all links: {conditions}")
        self._set_conditions(conditions)

    def _set_conditions(self, conditions: Conditions) -> None:
        self.conditions = conditions
        for link in self._links.values():
            link.conditions = conditions

    def set_link(self, source: str, target: str, conditions: Conditions) -> None:
        """Let the way from `source` to `target` be as `conditions`, and only this direction.

        Raises:
            ConfigError: nobody has one of these names; so with all that take names.
        """
        self._check_known(source, target)
        self._note(f"link {source} -> {target}: {conditions}")
        self.link(source, target).conditions = conditions

    def cut(self, source: str, target: str, *, both_ways: bool = False) -> None:
        """Lose everything from `source` to `target`, and the other way too if asked for."""
        self._check_known(source, target)
        self._note(f"cut {source} {'<->' if both_ways else '->'} {target}")
        self.link(source, target).cut = True
        if both_ways:
            self.link(target, source).cut = True

    def isolate(self, host: str) -> None:
        """Lose everything that `host` sends, and everything that is sent to it."""
        self._check_known(host)
        self._note(f"isolate {host}")
        self._isolated.add(host)
        for (source, target), link in self._links.items():
            if host in (source, target):
                link.cut = True

    def mend(self, source: str, target: str) -> None:
        """Undo `cut` in both directions."""
        self._check_known(source, target)
        self._note(f"mend {source} <-> {target}")
        self.link(source, target).cut = self.link(target, source).cut = False

    def heal(self) -> None:
        """Mend every link, and let all be as a healthy network."""
        self._note("heal the network")
        self._isolated.clear()
        for link in self._links.values():
            link.cut = False
        self._set_conditions(Conditions())

    def _check_known(self, *hosts: str) -> None:
        for host in hosts:
            if host not in self._known:
                raise ConfigError(
                    f"there is no host {host!r} on this network: give the `name` of a node or "
                    f"client, one of {', '.join(self._known) or '(nobody is there yet)'}"
                )

    def _note(self, what: str) -> None:
        self.trace.add(Fault(self.loop.now, what))

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
        packet = self.note_sent(source.name, port.name, what, data)
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
        for copy in range(copies):
            delay = link.travel(loop.now, len(data), random)
            body, how = data, "again" if copy else ""
            if conditions.corrupt and random.random() < conditions.corrupt:
                body = flip_bit(data, random)
                how = f"{how} damaged".strip()
                self.count("corrupt")
            event = Delivered(0.0, source.name, port.name, packet, how)
            loop.arrange(port.host.process, delay, self._arrive, event, port, body, arrive)
        return True

    def _arrive(
        self, event: Delivered, port: Port, data: bytes, arrive: Callable[[bytes], None]
    ) -> None:
        if self._ports.get(port.address) is not port:
            self.note_lost(event.source, port.name, event.number, "closed")
            return
        self.trace.add(event._replace(time=self.loop.now))
        arrive(data)

    def note_sent(self, source: str, target: str, what: str, data: bytes) -> int:
        """Note that a packet left with `data` in it; return its number."""
        self._packets += 1
        content = fingerprint(data)
        self.trace.add(Sent(self.loop.now, source, target, self._packets, what, content))
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
        self,
        source: Host,
        target: str,
        data: bytes,
        what: str,
        serve: Serve,
        describe: Callable[[bytes], str] = describe_receipt,
    ) -> asyncio.Future[Any]:
        """Send a request to who listens at address `target`; the future brings the answer.

        `serve(port, data, reply)` is called there, and is to call `reply(answer)` once. The future
        fails with Broken if request or answer are lost, or one of both ends is. The trace calls
        the request `what`, and the answer by what `describe` says of it.
        """
        exchange = Exchange(self, source, target, what, serve, describe)
        exchange.begin(data)
        return exchange.future


__all__ = ["Conditions", "SimulatedNetwork"]
