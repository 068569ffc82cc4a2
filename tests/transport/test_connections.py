"""Whoever closes has no connection left, at once and without the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from raftify.client import create_client
from raftify.config import Config
from raftify.errors import NotLeader, OutcomeUnknown
from raftify.transport import connect
from raftify.transport.interface import RemoteNode
from tests.client.service_cluster import served_cluster
from tests.transport.fakes import Machines, Running, message

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in /proc")

#: Ticks of 10 ms that the kernel and gRPC may take to close what is let go of.
PATIENCE = 200


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
async def one(machines: Machines) -> Running:
    return await machines.start(1)


def connections() -> int:
    """Return how many TCP connections between two ends in this machine are established."""
    lines = (line.split() for name in ("tcp", "tcp6") for line in _lines(name))
    own = _sockets()
    return sum(fields[3] == "01" and fields[9] in own for fields in lines)


def _lines(name: str) -> list[str]:
    path = Path("/proc/self/net") / name
    return path.read_text().splitlines()[1:] if path.exists() else []


def _sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


async def until_connections(count: int) -> None:
    """Wait for it: nothing tells when a socket of gRPC's is closed."""
    for _ in range(PATIENCE):
        if connections() == count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{connections()} connections, not {count}")


Use = Callable[[Running, RemoteNode], Awaitable[object]]


async def propose(one: Running, remote: RemoteNode) -> object:
    return await remote.propose(b"x", timeout=5)


async def leave_proposals_open(one: Running, remote: RemoteNode) -> object:
    reached = asyncio.Event()
    one.node.on_propose = lambda data, future: reached.set()
    future = remote.propose(b"x", timeout=60)
    # It fails at close, and nobody needs to hear of it.
    future.add_done_callback(lambda f: f.exception())
    await reached.wait()
    return future


async def keep_an_error(one: Running, remote: RemoteNode) -> object:
    one.node.error = NotLeader(leader_id=2, leader_address="")
    with pytest.raises(NotLeader) as caught:
        await remote.read_index(timeout=5)
    return caught.value


async def _unanswered(one: Running, remote: RemoteNode) -> asyncio.Task[int]:
    reached = asyncio.Event()

    async def ask(**kwargs: object) -> int:
        reached.set()
        return await asyncio.Future()

    one.node.read_index = ask  # type: ignore[method-assign]  # it never answers
    calling = asyncio.create_task(remote.read_index(timeout=60))
    calling.add_done_callback(lambda task: task.cancelled() or task.exception())
    await reached.wait()
    return calling


async def leave_a_call_open(one: Running, remote: RemoteNode) -> object:
    return await _unanswered(one, remote)


async def cancel_a_call(one: Running, remote: RemoteNode) -> object:
    calling = await _unanswered(one, remote)
    calling.cancel()
    await asyncio.wait((calling,))
    return calling


@pytest.mark.parametrize(
    "use",
    [propose, leave_proposals_open, keep_an_error, leave_a_call_open, cancel_a_call],
    ids=lambda use: use.__name__,
)
async def test_a_remote_node_that_is_closed(one: Running, use: Use) -> None:
    assert connections() == 0
    remote = connect(one.address, Config())
    kept = await use(one, remote)
    assert connections() == 2, "both ends are in this process"
    await remote.close()
    await until_connections(0)
    assert kept is not None, "what a caller keeps holds no connection"


async def test_a_stream_of_proposals_that_the_node_ended(machines: Machines) -> None:
    one = await machines.start(1)
    remote = connect(one.address, Config())
    future = await leave_proposals_open(one, remote)
    await one.transport.stop(grace=0)
    assert isinstance(future, asyncio.Future)
    with pytest.raises(OutcomeUnknown):
        await future
    await remote.close()
    await until_connections(0)


async def test_a_peer_that_is_gone_and_a_transport_that_stops(
    one: Running, machines: Machines
) -> None:
    two = await machines.start(2)

    async def talk() -> None:
        one.node.received.clear()
        two.knows(one)
        two.transport.send([message(1, 2)])
        await one.node.until(lambda: one.node.received)
        assert connections() == 2

    await talk()
    two.transport.update_peers({})
    await until_connections(0)
    await talk()
    await two.transport.stop(grace=1)
    await until_connections(0)


async def test_a_client_that_is_closed() -> None:
    async with served_cluster() as cluster:
        async with create_client(cluster.nodes[2].address) as client:
            await client.propose(b"x")
            await client.get_peers()
            assert connections() > 0
        await until_connections(0)
