"""Following the trades over HTTP: each once, in order, on every node; a slow reader is told so."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from examples import asgi
from examples.matchengine.limits import Limits
from examples.matchengine.machine import MatchMachine
from examples.matchengine.stream import TradeStreams
from examples.matchengine.web import MatchApi
from raftify import Config, MemStorage, Peers, Raft
from raftify.testing import MemoryNetwork
from tests.examples.matchengine_orders import buy, sell

#: So few that a test soon has more.
KEPT = 500


class Node:
    """A node in this process, and its HTTP face."""

    def __init__(self, raft: Raft[MatchMachine], **options: Any) -> None:
        self.raft = raft
        self.streams = TradeStreams(raft, **options)
        self.stop = asyncio.Event()
        self.listening = socket.create_server(("127.0.0.1", 0))
        # What the kernel may hold for one connection is then much less than a test brings about.
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        self.address: tuple[str, int] = self.listening.getsockname()

    async def serve(self) -> None:
        async with self.streams:
            application = MatchApi(self.raft, self.streams).application()
            await asgi.answer_until_told(
                self.raft, application, self.listening, self.stop, at_end=self.streams.end
            )

    async def trade(self, first: int, count: int, symbol: str = "AB") -> None:
        """Let trades `first` to `first + count - 1` happen."""
        orders = []
        for n in range(first, first + count):
            orders += [sell(f"s{n}", "1", "1", symbol), buy(f"b{n}", "1", "1", symbol)]
        await self.raft.propose_many(orders, timeout=30)

    @asynccontextmanager
    async def follow(self, options: str = "") -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Iterate over the lines, an empty one as {}."""
        url = f"http://{self.address[0]}:{self.address[1]}/trades/stream{options}"
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "application/x-ndjson"
            yield _values(response.content)

    async def refused(self, options: str) -> tuple[int, str]:
        url = f"http://{self.address[0]}:{self.address[1]}/trades/stream{options}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, (await response.json())["error"]


async def _values(lines: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    async for line in lines:
        yield json.loads(line) if line.strip() else {}


async def numbers(trades: AsyncIterator[dict[str, Any]], count: int) -> list[int]:
    return [(await anext(trades))["number"] for _ in range(count)]


@asynccontextmanager
async def serving(size: int = 1, **options: Any) -> AsyncIterator[list[Node]]:
    """Run nodes that are a cluster, and answer HTTP."""
    network = MemoryNetwork()
    peers = Peers({n: f"engine-{n}:1" for n in range(1, size + 1)})
    config = Config(tick_interval=0.05, initial_peers=peers)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        nodes = []
        for n, peer in peers.items():
            raft = Raft.bootstrap(
                n, peer.address, MemStorage.create(), MatchMachine(Limits(trades_kept=KEPT)),
                config, transport=network.transport(peer.address),
            )  # fmt: skip
            nodes.append(Node(await stack.enter_async_context(raft), **options))
        for node in nodes:
            group.create_task(node.serve())
        try:
            yield nodes
        finally:
            for node in nodes:
                node.stop.set()


async def test_a_reader_gets_what_was_and_what_comes_each_once() -> None:
    async with serving() as (node,):
        await node.trade(1, 3)
        async with node.follow("?from=2") as trades, node.follow() as later:
            assert await numbers(trades, 2) == [2, 3]
            await node.trade(4, 300)
            assert await numbers(trades, 300) == list(range(4, 304))
            assert await anext(later) == {
                "number": 4, "symbol": "AB", "price": "1", "quantity": "1",
                "taker_side": "buy", "taker": "b4", "maker": "s4",
            }  # fmt: skip
        async with node.follow("?from=300&symbol=CD") as trades:
            await node.trade(304, 2, symbol="CD")
            assert await numbers(trades, 2) == [304, 305]


async def test_a_reader_goes_on_at_another_node_with_the_next_number() -> None:
    async with serving(3) as nodes:
        await nodes[0].trade(1, 10)
        seen: list[int] = []
        for node in nodes:
            async with node.follow(f"?from={len(seen) + 1}") as trades:
                seen += await numbers(trades, 3)
        assert seen == list(range(1, 10))
        # It may be ahead of a node that has not applied so much yet: then it waits.
        async with nodes[2].follow("?from=12&local") as trades:
            await nodes[1].trade(11, 2)
            assert await numbers(trades, 1) == [12]


async def test_the_end_of_a_node_is_the_last_line() -> None:
    async with serving() as (node,):
        await node.trade(1, 2)
        async with node.follow("?from=1") as trades:
            assert await numbers(trades, 2) == [1, 2]
            node.stop.set()
            last = await anext(trades)
            assert (last["end"], last["next"]) == ("Stopping", 3)
            with pytest.raises(StopAsyncIteration):
                await anext(trades)


async def test_an_empty_line_says_that_nothing_happens() -> None:
    async with serving(heartbeat=0.05) as (node,), node.follow() as trades:
        assert [await anext(trades), await anext(trades)] == [{}, {}]
        await node.trade(1, 1)
        while not (trade := await anext(trades)):
            pass
        assert trade["number"] == 1


@asynccontextmanager
async def lazy_reader(node: Node) -> AsyncIterator[socket.socket]:
    """Follow the trades from the first on over a connection whose end here takes a few KiB, and
    only when it is told to; 15 times as many trades happen as are kept."""
    loop = asyncio.get_running_loop()
    await node.trade(1, 1)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.setblocking(False)
        await loop.sock_connect(reader, node.address)
        await loop.sock_sendall(reader, b"GET /trades/stream?from=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await loop.sock_recv(reader, 1) == b"H"
        for number in range(15):
            await node.trade(2 + number * KEPT, KEPT)
        yield reader


async def test_a_reader_that_is_too_slow_is_told_where_it_stopped_and_costs_no_memory() -> None:
    loop, received = asyncio.get_running_loop(), b""
    async with serving() as (node,), lazy_reader(node) as reader:
        while not received.endswith(b"\r\n0\r\n\r\n"):
            received += await loop.sock_recv(reader, 1 << 16)
        *trades, last = [json.loads(line) for line in received.split(b"\n") if line[:1] == b"{"]
        assert [trade["number"] for trade in trades] == list(range(1, len(trades) + 1))
        assert (last["end"], last["next"]) == ("Behind", len(trades) + 1)
        assert len(trades) < 5 * KEPT
        assert await node.refused("?from=1") == (404, "NotThere")


async def test_a_reader_that_does_not_read_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "GRACE_SECONDS", 1)
    async with serving() as (node,), lazy_reader(node):
        node.stop.set()
        async with asyncio.timeout(20):
            while node.streams.readers:  # noqa: ASYNC110 - the web server says nobody when
                await asyncio.sleep(0.01)
        # Leaving `serving` waits for the end of all.


async def test_there_is_room_for_so_many_readers_and_each_makes_room_again() -> None:
    async with serving(most_readers=2) as (node,):
        async with node.follow(), node.follow():
            assert await node.refused("") == (503, "TooManyReaders")
        async with asyncio.timeout(30):
            while node.streams.readers:  # noqa: ASYNC110 - the web server says nobody when
                await asyncio.sleep(0.01)
        async with node.follow("?from=1") as trades:
            await node.trade(1, 1)
            assert await numbers(trades, 1) == [1]


@pytest.mark.parametrize("options", ["?from=0", "?from=x", "?from=-1", "?after=1", "?from="])
async def test_what_is_no_number_is_refused(options: str) -> None:
    async with serving() as (node,):
        assert await node.refused(options) == (400, "BadRequest")
