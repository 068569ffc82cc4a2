"""Running a node and its HTTP face on one event loop, until a signal comes or the node ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from examples.kvstore.store import KvStore
from examples.kvstore.web import KvApi
from raftify import Address, Config, LmdbStorage, Raft, ReservedId
from raftify.errors import RaftifyError

logger = logging.getLogger("kvstore")

#: How long requests under way may take to end once the program is told to, in seconds.
GRACE_SECONDS = 5


class CannotStart(Exception):
    """The program ends with code 2 and this message."""


class _Server(uvicorn.Server):
    """Leaves the signals to `serve`: the node ends after the last answer, not before."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    node_id: int, raft_addr: str, http_addr: str, directory: Path, config: Config
) -> None:
    """Run node `node_id` with its log in `directory`.

    Raises:
        CannotStart: a port is taken, or an argument or the directory is wrong.
        RaftifyError: the node failed while it ran.
    """
    store = KvStore()
    listening = _listen(http_addr)
    try:
        storage = LmdbStorage.create(directory, config, logger)
        # A new node waits: it is told by /init, or by the leader, which cluster it is of.
        raft = Raft.bootstrap(ReservedId(node_id), raft_addr, storage, store, config, logger)
    except RaftifyError as error:
        listening.close()
        raise CannotStart(f"{type(error).__name__}: {error}") from error
    app = KvApi(raft, store, raft_addr, http_addr).application()
    server = _Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )  # fmt: skip
    try:
        async with raft:
            await _answer_until_told(raft, server, listening)
    finally:
        listening.close()


async def _answer_until_told(raft: Raft, server: uvicorn.Server, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    answering = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    stopped = asyncio.create_task(stop.wait(), name="signal")
    ended = asyncio.create_task(_ended(raft), name="node")
    print(f"node {raft.get_id()} answers HTTP on http://{host}:{port}", flush=True)
    try:
        await asyncio.wait({answering, stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Answers that are being waited for still need the node.
        server.should_exit = True
        stopped.cancel()
        ended.cancel()
        await answering


async def _ended(raft: Raft) -> None:
    async for _ in raft.watch():
        pass


def _listen(http_addr: str) -> socket.socket:
    try:
        address = Address.parse(http_addr)
        family = socket.AF_INET6 if address.host.startswith("[") else socket.AF_INET
        return socket.create_server((address.host.strip("[]"), address.port), family=family)
    except RaftifyError as error:
        raise CannotStart(f"--http-addr: {error}") from error
    except OSError as error:
        raise CannotStart(f"cannot answer HTTP on {http_addr}: {error.strerror}") from error
