"""A peer whose process stands still: its kernel still takes what is sent, and nobody reads it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import pytest

from raftify.config import Config
from raftify.core.types import Message
from raftify.peers import Peer
from raftify.transport.grpc_transport import GrpcTransport
from tests.ports import free_port
from tests.transport.fakes import LOGGER, PATIENCE, FakeNode, Machines, handshake_of, message


class _Teller(FakeNode):
    """Tells another process the index of every message that comes."""

    def __init__(self, node_id: int, pipe: Connection) -> None:
        super().__init__(node_id)
        self._pipe = pipe

    async def receive(self, messages: Sequence[Message]) -> None:
        for m in messages:
            self._pipe.send(m.index)


def _peer(port: int, pipe: Connection) -> None:
    async def main() -> None:
        transport = GrpcTransport(f"127.0.0.1:{port}", Config(), LOGGER)
        await transport.start(handshake_of(2), _Teller(2, pipe))
        await asyncio.Event().wait()

    asyncio.run(main())


def _next_index(pipe: Connection, at_least: int) -> int:
    """Return the first index told that is not below `at_least`."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if pipe.poll(0.1) and (index := int(pipe.recv())) >= at_least:
            return index
    raise AssertionError(f"no message of index {at_least} or above arrived")


@pytest.mark.slow
async def test_it_is_noticed_within_seconds_and_reached_again_when_it_wakes(
    machines: Machines,
) -> None:
    """TCP alone would take minutes; keepalive pings are never answered by a stopped process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    port = free_port()
    process = context.Process(target=_peer, args=(port, theirs), daemon=True)
    process.start()
    theirs.close()
    one = await machines.start(1)
    one.transport.update_peers({2: Peer(2, f"127.0.0.1:{port}")})
    sending = asyncio.create_task(_repeat(one.transport))
    try:
        await asyncio.to_thread(_next_index, ours, 1)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        one.node.unreachable.clear()
        await one.node.until(lambda: one.node.unreachable, patience=PATIENCE)
        os.kill(process.pid, signal.SIGCONT)
        loop = asyncio.get_running_loop()
        woken = loop.time()
        # Nothing but a message sent after the awakening counts; that it comes is what matters.
        await asyncio.to_thread(_next_index, ours, int(woken * 1000))
    finally:
        sending.cancel()
        process.kill()
        await asyncio.to_thread(process.join)
        ours.close()


async def _repeat(transport: GrpcTransport) -> None:
    """Send a message every little while, as a leader does, with the time as its index."""
    loop = asyncio.get_running_loop()
    while True:
        transport.send([message(2, 1, int(loop.time() * 1000))])
        await asyncio.sleep(0.05)
