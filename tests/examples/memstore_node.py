"""A memstore node in a process of its own, spoken to over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import aiohttp

from examples.children import TOP, free_ports

START_SECONDS = 30.0


class MemstoreNode:
    """One node: its addresses and directory, and its process while it runs."""

    def __init__(self, directory: Path, *, module: str = "examples.memstore") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.raft_addr, self.web_addr = (f"127.0.0.1:{port}" for port in free_ports(2))
        self._module = module
        self._process: asyncio.subprocess.Process | None = None

    async def spawn(self, *options: str) -> asyncio.subprocess.Process:
        """Start the program without waiting for it to answer."""
        arguments = ["--web-server", self.web_addr, "--log-dir", str(self.directory / "log")]
        if self._module == "examples.memstore":
            arguments += ["--raft-addr", self.raft_addr]
        with (self.directory / "stderr.txt").open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, *arguments, "--tick", "0.05", *options,
                stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=TOP,
            )  # fmt: skip
        return self._process

    async def start(self, *options: str) -> None:
        await self.spawn(*options)
        await self.answering()

    async def answering(self) -> None:
        """Wait until the program says that it answers HTTP."""
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            while line := await self._process.stdout.readline():
                if b"answers HTTP" in line:
                    return
        raise AssertionError(f"the node ended before it answered: {self.errors()}")

    async def output(self) -> str:
        """Return what it has said that was not read yet, up to its end."""
        assert self._process is not None
        assert self._process.stdout is not None
        return (await self._process.stdout.read()).decode()

    def errors(self) -> str:
        return (self.directory / "stderr.txt").read_text()

    async def ended(self) -> int:
        """Wait for the process to end by itself; return its exit code."""
        assert self._process is not None
        async with asyncio.timeout(START_SECONDS):
            await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        return await self.ended()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._process is not None:
            await self.stop(signal.SIGKILL)

    async def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        """Return status and body of one request."""
        timeout = aiohttp.ClientTimeout(total=START_SECONDS)
        url = f"http://{self.web_addr}{path}"
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, data=None if body is None else BytesIO(body)) as response,
        ):
            return response.status, await response.text()

    async def put(self, key: str, value: str) -> None:
        assert await self.request("PUT", f"/store/{key}", value.encode()) == (200, value)

    async def get(self, key: str) -> str:
        """Return what is stored, in a read that sees every write acknowledged before."""
        status, body = await self.request("GET", f"/store/{key}?linearizable")
        assert status == 200, body
        return body

    async def json(self, method: str, path: str) -> Any:
        status, body = await self.request(method, path)
        assert status == 200, body
        return json.loads(body)


@asynccontextmanager
async def grown_cluster(directory: Path) -> AsyncIterator[list[MemstoreNode]]:
    """Three nodes: the first founded the cluster, the others joined it."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(MemstoreNode(directory / f"node-{n}"))
            for n in (1, 2, 3)
        ]
        await nodes[0].start()
        for joiner in nodes[1:]:
            await joiner.start("--peer-addr", nodes[0].raft_addr)
        yield nodes
