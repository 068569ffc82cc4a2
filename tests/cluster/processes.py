"""Nodes as processes, for tests in which a process must really die."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from raftify.client import create_client
from raftify.errors import RaftifyError
from tests.ports import free_address

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 40


class NodeProcess:
    """One process running `node_program`."""

    def __init__(self, address: str, log_dir: Path, arguments: list[str]) -> None:
        self.address = address
        self.log_dir = log_dir
        self.arguments = arguments
        self.node_id = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.cluster.node_program",
            "--address", self.address, "--log-dir", str(self.log_dir), *self.arguments,
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=1 << 26,
        )  # fmt: skip
        self.node_id = int(await self._read("ready"))

    async def _read(self, kind: str) -> Any:
        assert self.process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = await self.process.stdout.readline()
        assert line, f"the node at {self.address} ended with {await self.process.wait()}"
        said, value = json.loads(line)
        assert said == kind
        return value

    async def ask(self, command: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n".encode())
        await self.process.stdin.drain()
        return await self._read(command)

    async def kill(self) -> None:
        """kill -9, by its own id."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def quit(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(START_SECONDS):
            return await self.process.wait()

    async def end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class ProcessCluster:
    """A cluster of processes in `directory`."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.settings = json.dumps(settings)
        self.nodes: list[NodeProcess] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.gather(*(node.end() for node in self.nodes))

    async def add(self, *arguments: str, address: str | None = None) -> NodeProcess:
        address = address or free_address()
        name = f"node-{len(self.nodes) + 1}"
        every = [*arguments, "--settings", self.settings]
        node = NodeProcess(address, self.directory / name, every)
        self.nodes.append(node)
        await node.start()
        return node

    async def grow_to(self, size: int) -> None:
        founder = await self.add()
        for _ in range(size - 1):
            await self.add("--peer", founder.address)

    async def leader(self, timeout: float = 30) -> NodeProcess:
        """Return the leader, once a majority of the running nodes could tell."""
        alive = [n for n in self.nodes if n.process.returncode is None]
        async with create_client([n.address for n in alive], timeout=timeout) as client:
            await client.read_index()
            view = await client.get_peers()
            return next(n for n in self.nodes if n.node_id == view.leader_id)

    async def dumps(self) -> list[dict[str, Any]]:
        """Return every node's state once all have applied what is committed now."""
        async with create_client([n.address for n in self.nodes], timeout=30) as client:
            index = await client.read_index()
        return [await self._dump_at(node, index) for node in self.nodes]

    async def _dump_at(self, node: NodeProcess, index: int) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                dump: dict[str, Any] = await node.ask("dump")
                if dump["applied"] >= index:
                    return dump
                await asyncio.sleep(0.05)


class Writer:
    """Proposes numbered entries one after the other, and remembers which were acknowledged."""

    def __init__(self, addresses: list[str], name: str) -> None:
        self.acknowledged: list[str] = []
        self.unknown: list[str] = []
        self.progress = asyncio.Event()
        self._addresses = addresses
        self._name = name
        self._stop = False

    async def run(self) -> None:
        number = 0
        async with create_client(self._addresses, timeout=20) as client:
            while not self._stop:
                number += 1
                entry = f"{self._name}-{number}"
                try:
                    await client.propose(entry.encode())
                except RaftifyError:
                    self.unknown.append(entry)
                else:
                    self.acknowledged.append(entry)
                self.progress.set()

    async def until(self, count: int) -> None:
        """Wait until `count` more entries were acknowledged than now."""
        wanted = len(self.acknowledged) + count
        async with asyncio.timeout(60):
            while len(self.acknowledged) < wanted:
                self.progress.clear()
                await self.progress.wait()

    def stop(self) -> None:
        self._stop = True
