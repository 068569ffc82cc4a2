"""The proxies hold back what they are told to, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.proxy import ProxyNetwork

#: What has not come after this will not come; several times as long as what comes takes.
SILENCE = 0.3


@asynccontextmanager
async def echoing_pair() -> AsyncIterator[
    tuple[ProxyNetwork, asyncio.StreamReader, asyncio.StreamWriter]
]:
    """Two machines; `b` sends back what comes in, and a connection to it from `a` is open."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while block := await reader.read(100):
            writer.write(block)
        writer.close()

    network = ProxyNetwork()
    await network.open()
    await network.attach("a")
    address = await network.attach("b")
    host, port = address.split(":")
    server = await asyncio.start_server(echo, host, int(port))
    way_host, way_port = network.routes("a")[address].split(":")
    reader, writer = await asyncio.open_connection(way_host, int(way_port))
    try:
        yield network, reader, writer
    finally:
        writer.close()
        await network.close()
        server.close()


async def is_silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(SILENCE):
            return not await reader.read(100)
    except TimeoutError:
        return True


async def test_bytes_go_there_and_back() -> None:
    async with echoing_pair() as (_, reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"


@pytest.mark.parametrize(("source", "target"), [("a", "b"), ("b", "a")])
async def test_a_direction_that_is_cut_is_silent_until_it_is_mended(
    source: str, target: str
) -> None:
    async with echoing_pair() as (network, reader, writer):
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        await network.cut(source, target)
        writer.write(b"2")
        assert await is_silent(reader)
        await network.mend(source, target)
        assert await reader.readexactly(1) == b"2"


async def test_a_connection_begun_while_it_is_cut_gets_no_answer() -> None:
    async with echoing_pair() as (network, _, _):
        await network.cut("b", "a")
        host, port = next(iter(network.routes("a").values())).split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"1")
        assert await is_silent(reader)
        await network.mend_all(["a", "b"])
        assert await reader.readexactly(1) == b"1"
        writer.close()


async def test_what_a_slow_machine_sends_is_late_and_whole() -> None:
    loop = asyncio.get_running_loop()
    async with echoing_pair() as (network, reader, writer):
        await network.slow("a", 0.2)
        began = loop.time()
        writer.write(b"x" * 50_000)
        assert await reader.readexactly(50_000) == b"x" * 50_000
        assert loop.time() - began >= 0.2


async def test_a_machine_that_is_down_ends_the_callers_connection() -> None:
    network = ProxyNetwork()
    await network.attach("a")
    address = await network.attach("b")
    host, port = network.routes("a")[address].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    assert await reader.read(1) == b""
    writer.close()
    await network.close()


async def test_a_machine_that_is_gone_has_no_ways() -> None:
    network = ProxyNetwork()
    await network.attach("a")
    await network.attach("b")
    await network.detach("b")
    assert network.routes("a") == {}
    await network.close()
