"""A node of an example in a process of its own, which answers HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Self

import aiohttp

from examples.children import TOP
from tests.ports import free_ports

START_SECONDS = 60.0


class WebNode:
    """One node: its addresses and directory, and its process while it runs."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        """Let `python arguments...` be what `spawn` starts; {raft}, {http}, {dir} are filled in."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.raft_addr, self.http_addr = (f"127.0.0.1:{port}" for port in free_ports(2))
        self._arguments = [
            one.format(raft=self.raft_addr, http=self.http_addr, dir=directory / "log")
            for one in arguments
        ]
        self._process: asyncio.subprocess.Process | None = None
        #: What the last process has written to its standard output, as far as it was read.
        self.said = b""

    @property
    def process(self) -> asyncio.subprocess.Process:
        """Its last process, perhaps at its end."""
        assert self._process is not None, "it was never started"
        return self._process

    async def spawn(self, *options: str) -> None:
        """Start the program without waiting for it to answer."""
        self.said = b""
        with (self.directory / "stderr.txt").open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._arguments, "--tick", "0.05", *options,
                stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=TOP,
            )  # fmt: skip

    async def start(self, *options: str) -> None:
        await self.spawn(*options)
        await self.answering()

    async def answering(self) -> None:
        """Wait until the program says that it answers HTTP."""
        said = self.process.stdout
        assert said is not None
        async with asyncio.timeout(START_SECONDS):
            while line := await said.readline():
                self.said += line
                if b"answers HTTP" in line:
                    return
        raise AssertionError(f"the node ended before it answered: {self.errors()}")

    def errors(self) -> str:
        return (self.directory / "stderr.txt").read_text()

    async def ended(self) -> int:
        """Wait for the process to end by itself; return its exit code."""
        async with asyncio.timeout(START_SECONDS):
            rest, _ = await self.process.communicate()
        self.said += rest
        assert self.process.returncode is not None
        return self.process.returncode

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await self.ended()

    async def cannot_start(self, *options: str) -> str:
        """Start it, which must fail with code 2 and one line; return the line."""
        await self.spawn(*options)
        assert await self.ended() == 2, self.errors()
        assert "Traceback" not in self.errors()
        assert b"serves raft" not in self.said
        name = self._arguments[1].split(".")[1]
        # What the node itself logs has a time in front.
        (line,) = [x for x in self.errors().splitlines() if x.startswith(f"{name}: ")]
        return line

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._process is not None:
            await self.stop(signal.SIGKILL)

    async def request(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, str, Mapping[str, str]]:
        """Return status, body and headers of one request."""
        timeout = aiohttp.ClientTimeout(total=START_SECONDS)
        url = f"http://{self.http_addr}{path}"
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, data=None if body is None else BytesIO(body)) as response,
        ):
            return response.status, await response.text(), response.headers
