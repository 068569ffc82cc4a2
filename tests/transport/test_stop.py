"""Ends: nothing left running, nothing said about it, nobody left waiting."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raftify.config import Config
from raftify.errors import NodeStopped, OutcomeUnknown, PeerUnreachable
from raftify.peers import Peer
from raftify.transport.grpc_transport import GrpcTransport
from tests.ports import free_port
from tests.transport.fakes import (
    LOGGER,
    PATIENCE,
    FakeNode,
    Machines,
    Running,
    handshake_of,
    message,
    snapshot_message,
)


def others() -> set[asyncio.Task[object]]:
    """Return every task but this one and those of gRPC's server object, which end with it."""
    return {t for t in asyncio.all_tasks() if t is not asyncio.current_task()}


async def start(node_id: int, node: FakeNode | None = None) -> Running:
    port = free_port()
    node = node or FakeNode(node_id)
    transport = GrpcTransport(f"127.0.0.1:{port}", Config(), LOGGER)
    await transport.start(handshake_of(node_id), node)
    return Running(node, transport, port)


async def test_with_everything_in_flight_nothing_is_left_and_nothing_said(
    caplog: pytest.LogCaptureFixture, tmp_path: object
) -> None:
    """hashicorp/raft#268, openraft#1357: shutdown during snapshots, proposals, calls."""
    before = others()
    release = threading.Event()
    held: list[asyncio.Future[bytes]] = []
    asked = asyncio.Event()

    class SlowFile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            release.wait(20)
            return super().read(size)

    one, two = await start(1), await start(2)
    one.node.open_file = lambda: SlowFile(b"data")
    one.node.on_propose = lambda data, future: held.append(future)

    async def ask(**kwargs: object) -> int:
        asked.set()
        return await asyncio.Future()

    one.node.read_index = ask  # type: ignore[method-assign]  # it never answers
    one.knows(two)
    two.knows(one)
    one.transport.update_peers({2: Peer(2, two.address), 3: Peer(3, f"127.0.0.1:{free_port()}")})
    remote = two.transport.connect(one.address)
    proposals = [remote.propose(b"x", timeout=60) for _ in range(10)]
    reading = asyncio.ensure_future(remote.read_index(timeout=60))
    await asked.wait()
    one.transport.send([message(2, 1, 1), message(3, 1, 1), snapshot_message(2, 1, b"data")])
    two.transport.send([message(1, 2, 1)])
    await two.node.until(lambda: two.node.received)
    with caplog.at_level(logging.INFO):
        await asyncio.gather(one.transport.stop(grace=0.2), two.transport.stop(grace=0.2))
        outcomes = await asyncio.gather(*proposals, reading, return_exceptions=True)
    release.set()
    assert {type(o) for o in outcomes} <= {OutcomeUnknown, PeerUnreachable, NodeStopped}
    for future in held:
        future.cancel()
    for running in (one, two):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", running.port))
    gc.collect()
    await _until_no_more_than(before)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def _until_no_more_than(before: set[asyncio.Task[object]]) -> None:
    """Let tasks that were cancelled take their last step; fail if one goes on."""
    for _ in range(100):
        left = {t for t in others() - before if "raftify" in t.get_name()}
        if not left:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"still running: {left}")


async def test_stop_before_start_and_twice() -> None:
    transport = GrpcTransport("127.0.0.1:0", Config(), LOGGER)
    await transport.stop(grace=0)
    await transport.stop(grace=0)
    with pytest.raises(NodeStopped):
        await transport.start(handshake_of(1), FakeNode(1))


async def test_afterwards_sends_and_updates_do_nothing() -> None:
    one = await start(1)
    await one.transport.stop(grace=0)
    one.transport.update_peers({2: Peer(2, "127.0.0.1:1")})
    one.transport.send([message(2, 1), snapshot_message(2, 1, b"x")])
    assert one.node.unreachable == []
    assert one.node.snapshots == []


async def test_callers_are_told_that_the_node_stops(machines: Machines) -> None:
    one, two = await machines.start(1), await machines.start(2)
    reached = asyncio.Event()

    async def ask(**kwargs: object) -> int:
        reached.set()
        return await asyncio.Future()

    one.node.read_index = ask  # type: ignore[method-assign]  # it never answers
    calling = asyncio.ensure_future(two.transport.connect(one.address).read_index(timeout=60))
    await reached.wait()
    await one.transport.stop(grace=0)
    with pytest.raises(NodeStopped):
        await calling


class _HungSink:
    """A sink on a disk that does not answer until the test lets it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.release = threading.Event()
        self.aborted = threading.Event()

    def write(self, data: bytes, /) -> int:
        self.reached.set()
        self.release.wait()
        return len(data)

    def finish(self) -> tuple[str, int, int]:
        raise AssertionError("nothing more was to be done")

    def abort(self) -> None:
        self.aborted.set()


async def test_a_disk_that_hangs_under_an_arriving_snapshot_does_not_hold_up_the_end(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """b58: `quit` would never return, and no supervisor restart the node."""
    one, two = await machines.start(1), await machines.start(2)
    sink = _HungSink()
    monkeypatch.setattr(two.node, "create_snapshot_sink", lambda snapshot: sink)
    one.knows(two)
    one.node.snapshot_bytes = b"data"
    one.transport.send([snapshot_message(2, 1, b"data")])
    try:
        assert await asyncio.to_thread(sink.reached.wait, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await two.transport.stop(grace=0.1)
        assert not sink.aborted.is_set()
        assert "the disk did not take a snapshot" in caplog.text
    finally:
        sink.release.set()
    # Once the disk is back, the rest is cleared away.
    assert await asyncio.to_thread(sink.aborted.wait, PATIENCE)


async def test_a_sender_that_fails_says_so_and_starts_over(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """PySyncObj#121: a thread that died silently. Ours is logged, reported and goes on."""
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    one.transport.send([message(2, 1, 1)])
    await two.node.until(lambda: two.node.received)
    broken = message(2, 1, 2)
    broken.index = "no number"  # type: ignore[assignment]  # that is the point
    one.transport.send([broken])
    await one.node.until(lambda: one.node.unreachable)
    assert "starting over" in caplog.text
    one.transport.send([message(2, 1, 3)])
    await two.node.until(lambda: len(two.node.received) == 2)
    assert [m.index for m in two.node.received] == [1, 3]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "nodes-first", "cancelled", "forgotten"])
def test_a_program_that_ends_amid_calls_says_nothing(how: str) -> None:
    """Not even what is said while the interpreter ends, which no test inside it would see."""
    ended = subprocess.run(
        [sys.executable, "-W", "default", "-m", "tests.transport.ending", how],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
        text=True,
        timeout=50,
    )
    assert ended.stderr == ""
    assert (ended.returncode, ended.stdout) == (0, "ended\n")
