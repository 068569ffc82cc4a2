"""Why a node is not reached: every cause is told apart."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from raftify.config import Config
from raftify.errors import PeerUnreachable
from raftify.transport.dialer import Dialer


@asynccontextmanager
async def dialing(address: str) -> AsyncIterator[Dialer]:
    dialer = Dialer(address, Config())
    try:
        yield dialer
    finally:
        await dialer.close()


async def test_a_port_nobody_listens_at() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        async with dialing(f"127.0.0.1:{held.getsockname()[1]}") as dialer:
            with pytest.raises(PeerUnreachable, match="the node is not running"):
                await dialer.stub(timeout=10)


async def test_a_program_that_takes_the_connection_and_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with dialing(f"127.0.0.1:{silent.getsockname()[1]}") as dialer:
            with pytest.raises(PeerUnreachable, match=r"within 0\.5 s: nothing came back"):
                await dialer.stub(timeout=0.5)


async def test_another_kind_of_server() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with dialing(f"127.0.0.1:{port}") as dialer:
            with pytest.raises(PeerUnreachable, match="another program listens there"):
                await dialer.stub(timeout=10)
