"""A program that ends while every kind of call is under way; see test_stop.py.

The argument says how: `stop` closes the caller first and then the nodes, `nodes-first` the other
way round, `cancelled` is what Ctrl-C does, and `forgotten` ends without closing anything.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
import threading
from pathlib import Path

from raftify.config import Config
from raftify.transport import connect
from raftify.transport.interface import RemoteNode
from tests.transport.fakes import FakeNode, Machines, message, snapshot_message

RELEASED = threading.Event()


class SlowFile(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        RELEASED.wait(20)
        return super().read(size)


def ignore(ended: asyncio.Future[bytes] | asyncio.Future[int]) -> None:
    if not ended.cancelled():
        ended.exception()


async def set_going(machines: Machines, directory: Path) -> RemoteNode:
    """Return once a stream of messages, a snapshot, proposals and a call are under way."""
    held: list[asyncio.Future[bytes]] = []
    asked = asyncio.Event()

    async def ask(**kwargs: object) -> int:
        asked.set()
        return await asyncio.Future()

    one = await machines.start(1)
    two = await machines.start(2, node=FakeNode(2, directory=directory))
    one.node.open_file = lambda: SlowFile(b"data")
    one.node.on_propose = lambda data, future: held.append(future)
    one.node.read_index = ask  # type: ignore[method-assign]  # it never answers
    one.knows(two)
    two.knows(one)
    remote = connect(one.address, Config())
    for _ in range(5):
        remote.propose(b"x", timeout=60).add_done_callback(ignore)
    calling = asyncio.ensure_future(remote.read_index(timeout=60))
    calling.add_done_callback(ignore)
    await asked.wait()
    one.transport.send([message(2, 1), snapshot_message(2, 1, b"data")])
    two.transport.send([message(1, 2)])
    await one.node.until(lambda: one.node.received)
    await two.node.until(lambda: two.node.received)
    await asyncio.to_thread(two.node.sink_created.wait, 20)
    return remote


async def main(how: str) -> None:
    machines = Machines()
    with tempfile.TemporaryDirectory() as directory:
        remote = await set_going(machines, Path(directory))
        match how:
            case "stop":
                await remote.close()
                await machines.stop()
            case "nodes-first":
                await machines.stop()
                await remote.close()
            case "cancelled":
                this = asyncio.current_task()
                assert this is not None
                asyncio.get_running_loop().call_soon(this.cancel)
                try:
                    await asyncio.Future()
                finally:
                    await remote.close()
                    await machines.stop()
                    RELEASED.set()
        # Else the program would wait for the thread that reads.
        RELEASED.set()
        print("ended")  # noqa: T201 - what the test looks for


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except asyncio.CancelledError:
        print("ended")  # noqa: T201 - likewise
