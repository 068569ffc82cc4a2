"""What both memstore programs share: a node and its HTTP face, until they are told to end."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from examples.memstore.store import HashStore
from examples.memstore.web import StoreApi
from examples.program import CannotStart, as_cannot_start, listen, stop_on_signals
from raftify import ClusterJoinTicket, Raft, RunningState
from raftify.errors import RaftifyError


async def serve(
    raft: Raft[HashStore],
    ticket: ClusterJoinTicket | None,
    web_server: str | None,
    *,
    started: str,
) -> None:
    """Run `raft`, join with the `ticket`, and answer HTTP, until a signal comes or the node ends.

    `started` is printed once the node listens at its address.

    Raises:
        CannotStart: a port is taken, or the cluster could not be joined.
        RaftifyError: the node failed while it ran.
    """
    stop = asyncio.create_task(stop_on_signals().wait(), name="signal")
    try:
        # Before the node becomes a member: a member that then cannot start is a dead voter.
        listening = listen("--web-server", web_server) if web_server is not None else None
    except CannotStart:
        await raft.quit()
        raise
    node = asyncio.create_task(raft.run(), name="raft")
    start = asyncio.create_task(_start(raft, ticket, listening, started), name="start")
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
    raft: Raft[HashStore],
    ticket: ClusterJoinTicket | None,
    listening: socket.socket | None,
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
        if ticket is not None:
            await raft.join_cluster([ticket])
        return await _start_web(raft, listening)
    except RaftifyError as error:
        raise as_cannot_start(error) from error


async def _start_web(raft: Raft[HashStore], listening: socket.socket | None) -> web.AppRunner:
    runner = web.AppRunner(StoreApi(raft).application(), access_log=None)
    await runner.setup()
    if listening is not None:
        await web.SockSite(runner, listening).start()
        host, port = listening.getsockname()[:2]
        print(f"node {raft.get_id()} answers HTTP on http://{host}:{port}", flush=True)
    return runner


def _raise_as_cannot_start(node: asyncio.Task[None]) -> None:
    """Raise what ended `node` before it had begun to work."""
    error = node.exception()
    if isinstance(error, RaftifyError):
        raise as_cannot_start(error) from error
    if error is not None:
        raise error
