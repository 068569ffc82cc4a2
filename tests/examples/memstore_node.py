"""A memstore node in a process of its own, spoken to over HTTP."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.examples.web_node import WebNode


class MemstoreNode(WebNode):
    """A node of a cluster that grows."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            directory, "-m", "examples.memstore", "--raft-addr", "{raft}",
            "--web-server", "{http}", "--log-dir", "{dir}",
        )  # fmt: skip

    async def put(self, key: str, value: str) -> None:
        assert await self.ask("PUT", f"/store/{key}", value.encode()) == (200, value)

    async def get(self, key: str) -> str:
        """Return what is stored, in a read that sees every write acknowledged before."""
        status, body = await self.ask("GET", f"/store/{key}?linearizable")
        assert status == 200, body
        return body

    async def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        """Return status and body of one request."""
        return (await self.request(method, path, body))[:2]

    async def json(self, method: str, path: str) -> Any:
        status, body = await self.ask(method, path)
        assert status == 200, body
        return json.loads(body)


class StaticNode(MemstoreNode):
    """A node of a cluster that stands in a file."""

    def __init__(self, directory: Path) -> None:
        WebNode.__init__(
            self, directory, "-m", "examples.memstore.static",
            "--web-server", "{http}", "--log-dir", "{dir}",
        )  # fmt: skip


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
