"""An application of Starlette's beside a node, on one event loop, until a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request

from raftify import Raft

#: How long requests under way may take to end once the program is told to, in seconds.
GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    """Leaves the signals to the program: the node ends after the last answer, not before."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def answer_until_told(
    raft: Raft,
    application: Starlette,
    listening: socket.socket,
    stop: asyncio.Event,
    *,
    at_end: Callable[[], None] = lambda: None,
) -> None:
    """Answer HTTP until `stop` is set or the node has ended, then finish what is under way.

    `at_end` is called then, and ends answers that would go on by themselves.
    """
    server = _Server(
        uvicorn.Config(
            application, log_config=None, access_log=False, lifespan="off", ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )  # fmt: skip
    answering = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    stopped = asyncio.create_task(stop.wait(), name="signal")
    ended = asyncio.create_task(_ended(raft), name="node")
    host, port = listening.getsockname()[:2]
    print(f"node {raft.get_id()} answers HTTP on http://{host}:{port}", flush=True)
    try:
        await asyncio.wait({answering, stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Answers that are being waited for still need the node.
        server.should_exit = True
        at_end()
        stopped.cancel()
        ended.cancel()
        await answering


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Return the body of a request; raise ValueError as soon as it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise ValueError(f"the body has more than {most_bytes} bytes")
    return bytes(body)


async def _ended(raft: Raft) -> None:
    async for _ in raft.watch():
        pass
