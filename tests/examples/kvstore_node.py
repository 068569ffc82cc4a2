"""A kvstore node in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from examples.kvstore.client import KvClient
from tests.examples.web_node import WebNode


class KvNode(WebNode):
    """A node that waits for its cluster."""

    def __init__(self, directory: Path, node_id: int) -> None:
        super().__init__(
            directory, "-m", "examples.kvstore", "--id", str(node_id), "--raft-addr", "{raft}",
            "--http-addr", "{http}", "--dir", "{dir}",
        )  # fmt: skip
        self.id = node_id

    @property
    def named(self) -> tuple[int, str, str]:
        return self.id, self.raft_addr, self.http_addr

    async def post(
        self, path: str, body: bytes | None = b"", *, method: str = "POST"
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Return status, JSON and headers of one request."""
        status, text, headers = await self.request(method, path, body)
        return status, json.loads(text), headers

    async def ask(self, path: str, body: object) -> Any:
        """Return the answer to a request that succeeds."""
        status, answer, _ = await self.post(f"{path}?timeout=30", json.dumps(body).encode())
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
