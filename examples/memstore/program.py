"""What both memstore programs share: running a node and its HTTP face until they are told to end.

Exit codes: 0 after Ctrl-C, SIGTERM or having left the cluster; 1 if the node failed while running;
2 if it could not start, with one line on standard error that says why.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine

from aiohttp import web

import raftify
from examples.memstore.store import HashStore
from examples.memstore.web import StoreApi
from raftify import Config, Raft, RunningState
from raftify.errors import AddressInUse, RaftifyError
from raftify.peers import Address

logger = logging.getLogger("memstore")


class CannotStart(Exception):
    """The program ends with code 2 and this message."""


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line, with the options that every memstore program has."""
    parser.add_argument(
        "--web-server", metavar="HOST:PORT", help="where to answer HTTP (default: do not)"
    )
    parser.add_argument(
        "--tick", type=float, default=0.1, metavar="SECONDS", help="length of a tick"
    )
    parser.add_argument("--verbose", action="store_true", help="log what the node does")
    return parser.parse_args()


def run_program(program: Coroutine[None, None, None], *, verbose: bool) -> int:
    """Run `program` to its end; return the exit code."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        with asyncio.Runner(loop_factory=raftify.new_event_loop) as runner:
            runner.run(program)
    except CannotStart as error:
        print(f"memstore: {error}", file=sys.stderr)
        return 2
    except AddressInUse as error:
        # Known only once the node runs, and then never after it has begun to work.
        print(f"memstore: {error}", file=sys.stderr)
        return 2
    except RaftifyError as error:
        print(f"memstore: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # before the node had begun to listen to signals
    return 0


async def serve(
    raft: Raft,
    store: HashStore,
    web_server: str | None,
    join: Callable[[], Awaitable[None]] | None = None,
    *,
    started: str,
) -> None:
    """Run `raft`, `join` if asked to, and answer HTTP, until a signal comes or the node ends.

    `started` is printed once the node listens at its address.

    Raises:
        CannotStart: a port is taken, or the cluster could not be joined.
        RaftifyError: the node failed while it ran.
    """
    stop = _stop_on_signals()
    try:
        # Before the node becomes a member: a member that then cannot start is a dead voter.
        listening = _listen(web_server) if web_server is not None else None
    except CannotStart:
        await raft.quit()
        raise
    node = asyncio.create_task(raft.run(), name="raft")
    start = asyncio.create_task(_start(raft, store, listening, join, started), name="start")
    try:
        await asyncio.wait((node, stop, start), return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            runner = start.result()
            try:
                await asyncio.wait((node, stop), return_when=asyncio.FIRST_COMPLETED)
            finally:
                await runner.cleanup()
        elif node.done():
            _raise_as_cannot_start(node)
    finally:
        start.cancel()
        await asyncio.wait((start,))
        if not node.done():
            await raft.quit()
        elif not node.cancelled():
            node.exception()  # what the start met is told already, and was caused by it
        if listening is not None:
            listening.close()
    await node


async def _start(
    raft: Raft,
    store: HashStore,
    listening: socket.socket | None,
    join: Callable[[], Awaitable[None]] | None,
    started: str,
) -> web.AppRunner:
    async for metrics in raft.watch():
        if metrics.running_state is RunningState.RUNNING:
            break
    else:
        # It ended before it ran; why, its own task tells.
        await asyncio.get_running_loop().create_future()
    print(started, flush=True)
    try:
        if join is not None:
            await join()
        return await _start_web(raft, store, listening)
    except RaftifyError as error:
        raise CannotStart(f"{type(error).__name__}: {error}") from error


async def _start_web(
    raft: Raft, store: HashStore, listening: socket.socket | None
) -> web.AppRunner:
    runner = web.AppRunner(StoreApi(raft, store).application(), access_log=None)
    await runner.setup()
    if listening is not None:
        await web.SockSite(runner, listening).start()
        host, port = listening.getsockname()[:2]
        print(f"node {raft.get_id()} answers HTTP on http://{host}:{port}", flush=True)
    return runner


def _listen(web_server: str) -> socket.socket:
    """Return a socket that listens at `web_server`; raise CannotStart if that cannot be."""
    try:
        address = Address.parse(web_server)
        family = socket.AF_INET6 if address.host.startswith("[") else socket.AF_INET
        return socket.create_server((address.host.strip("[]"), address.port), family=family)
    except RaftifyError as error:
        raise CannotStart(f"--web-server: {error}") from error
    except OSError as error:
        raise CannotStart(f"cannot answer HTTP on {web_server}: {error.strerror}") from error


def _raise_as_cannot_start(node: asyncio.Task[None]) -> None:
    """Raise what ended `node` before it had begun to work."""
    error = node.exception()
    if isinstance(error, RaftifyError):
        raise CannotStart(f"{type(error).__name__}: {error}") from error
    if error is not None:
        raise error


def _stop_on_signals() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def set_once() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, set_once)
    return stop


def node_config(tick: float, **settings: object) -> Config:
    """Return a configuration for `tick` seconds a tick; raise CannotStart if it is not sound."""
    try:
        return Config(tick_interval=tick, **settings)  # type: ignore[arg-type]  # checked by Config
    except RaftifyError as error:
        raise CannotStart(str(error)) from error
