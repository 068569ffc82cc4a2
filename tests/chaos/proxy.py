"""Machines on loopback that reach each other only through proxies, which can hold bytes back.

Each pair of machines has a proxy port per caller. What goes from A to B, on connections begun by
either, passes the direction A -> B. A direction that is cut keeps every byte until it is mended,
as TCP would by sending again, and a connection begun meanwhile gets no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from itertools import permutations

from examples.children import free_ports
from tests.chaos.network import Network

_BLOCK = 1 << 16


class Direction:
    """What one machine sends to another."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.delay = 0.0

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def passed(self, sent: float) -> None:
        """Return when something that was sent at loop time `sent` may arrive."""
        late = sent + self.delay - asyncio.get_running_loop().time()
        if late > 0:
            await asyncio.sleep(late)
        await self._open.wait()


class ProxyNetwork(Network):
    """Works everywhere; the machines must dial by `routes`."""

    kind = "TCP proxies"

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._directions: dict[tuple[str, str], Direction] = defaultdict(Direction)
        self._ports: dict[tuple[str, str], int] = {}
        self._servers: dict[tuple[str, str], asyncio.Server] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        return

    async def close(self) -> None:
        for name in list(self._addresses):
            await self.detach(name)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def attach(self, name: str) -> str:
        self._addresses[name] = f"127.0.0.1:{free_ports(1)[0]}"
        for source, target in permutations(self._addresses, 2):
            if name in (source, target):
                await self._listen(source, target)
        return self._addresses[name]

    async def _listen(self, source: str, target: str) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            # Cancelled by `close` alone; asyncio would complain of a handler that ends so.
            with contextlib.suppress(asyncio.CancelledError):
                await self._carry(source, target, reader, writer)
            self._connections.discard(task)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self._servers[source, target] = server
        self._ports[source, target] = server.sockets[0].getsockname()[1]

    async def detach(self, name: str) -> None:
        del self._addresses[name]
        for pair in [pair for pair in self._servers if name in pair]:
            self._servers.pop(pair).close()
            del self._ports[pair]

    def prefix(self, name: str) -> list[str]:
        return []

    def routes(self, name: str) -> dict[str, str]:
        return {
            self._addresses[target]: f"127.0.0.1:{port}"
            for (source, target), port in self._ports.items()
            if source == name
        }

    async def cut(self, source: str, target: str) -> None:
        self._directions[source, target].cut()

    async def mend(self, source: str, target: str) -> None:
        self._directions[source, target].mend()

    async def slow(self, name: str, seconds: float) -> None:
        for other in self._addresses:
            self._directions[name, other].delay = seconds

    async def _carry(
        self, source: str, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one connection until either end closes it."""
        there, back = self._directions[source, target], self._directions[target, source]
        ends = [writer]
        try:
            # The first word has to arrive, and so has the answer to it.
            now = asyncio.get_running_loop().time()
            await there.passed(now)
            await back.passed(now)
            host, port = self._addresses[target].split(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            ends.append(far_writer)
            pipes = [
                asyncio.create_task(_pipe(reader, far_writer, there)),
                asyncio.create_task(_pipe(far_reader, writer, back)),
            ]
            try:
                await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pipe in pipes:
                    pipe.cancel()
                await asyncio.gather(*pipes, return_exceptions=True)
        except (OSError, KeyError):
            pass  # the machine is down, or gone for ever: the caller's connection ends
        finally:
            for end in ends:
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()


async def _pipe(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
) -> None:
    """Carry bytes one way, each with its delay, at any rate that the reader of them takes."""
    loop = asyncio.get_running_loop()
    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=1024)

    async def forward() -> None:
        while True:
            sent, block = await held.get()
            await direction.passed(sent)
            if not block:
                return
            writer.write(block)
            await writer.drain()

    forwarding = asyncio.create_task(forward())
    try:
        block = b"begin"
        while block:
            block = await reader.read(_BLOCK)
            await held.put((loop.time(), block))
        await forwarding
    except ConnectionError:
        pass
    finally:
        forwarding.cancel()
        await asyncio.gather(forwarding, return_exceptions=True)
