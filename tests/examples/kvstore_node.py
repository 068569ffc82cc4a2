"""A kvstore node in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import aiohttp

from examples.children import TOP, free_ports
from examples.kvstore.client import KvClient

START_SECONDS = 60.0


class KvNode:
    """One node: its addresses and directory, and its process while it runs."""

    def __init__(self, directory: Path, node_id: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.id = node_id
        self.raft_addr, self.http_addr = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.process: asyncio.subprocess.Process | None = None

    @property
    def named(self) -> tuple[int, str, str]:
        return self.id, self.raft_addr, self.http_addr

    async def spawn(self, *options: str) -> asyncio.subprocess.Process:
        """Start the program without waiting for it to answer."""
        with (self.directory / "stderr.txt").open("wb") as errors:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "examples.kvstore", "--id", str(self.id),
                "--raft-addr", self.raft_addr, "--http-addr", self.http_addr,
                "--dir", str(self.directory / "log"), "--tick", "0.05", *options,
                stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=TOP,
            )  # fmt: skip
        return self.process

    async def start(self, *options: str) -> None:
        process = await self.spawn(*options)
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            while line := await process.stdout.readline():
                if b"answers HTTP" in line:
                    return
        raise AssertionError(f"the node ended before it answered: {self.errors()}")

    def errors(self) -> str:
        return (self.directory / "stderr.txt").read_text()

    async def ended(self) -> int:
        """Wait for the process to end by itself; return its exit code."""
        assert self.process is not None
        async with asyncio.timeout(START_SECONDS):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await self.ended()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self.process is not None:
            await self.stop(signal.SIGKILL)

    async def request(
        self, path: str, body: bytes | None = b"", *, method: str = "POST"
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Return status, JSON and headers of one request."""
        timeout = aiohttp.ClientTimeout(total=START_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(
                method,
                f"http://{self.http_addr}{path}",
                data=None if body is None else BytesIO(body),
            ) as response,
        ):
            return response.status, json.loads(await response.read()), response.headers

    async def ask(self, path: str, body: object) -> Any:
        """Return the answer to a request that succeeds."""
        status, answer, _ = await self.request(f"{path}?timeout=30", json.dumps(body).encode())
        assert status == 200, answer
        return answer


@asynccontextmanager
async def waiting_nodes(directory: Path, count: int, *options: str) -> AsyncIterator[list[KvNode]]:
    """Nodes that run and have no cluster yet."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(KvNode(directory / f"node-{n}", n))
            for n in range(1, count + 1)
        ]
        await asyncio.gather(*(node.start(*options) for node in nodes))
        yield nodes


@asynccontextmanager
async def client_of(nodes: list[KvNode], *, timeout: float = 40.0) -> AsyncIterator[KvClient]:
    async with KvClient([node.http_addr for node in nodes], timeout=timeout) as client:
        yield client
