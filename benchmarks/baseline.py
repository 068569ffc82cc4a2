"""What the disk and the loopback cost here: the floor below which no synced write can go.

Run as a program it is the other end of the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import grpc
import lmdb

import raftify
from benchmarks.load import PAYLOAD
from examples.children import Children, serve_commands

METHOD = "/baseline.Echo/Stream"


@dataclass(frozen=True, slots=True)
class Baseline:
    """Medians, in milliseconds."""

    lmdb_commit_ms: float
    stream_round_trip_ms: float


async def measure_baseline(children: Children, directory: Path, *, samples: int) -> Baseline:
    """Measure `samples` synced commits and round trips, after a tenth of that unmeasured."""
    return Baseline(
        lmdb_commit_ms=measure_commit(directory / "baseline", samples=samples),
        stream_round_trip_ms=await measure_round_trip(children, directory, samples=samples),
    )


def measure_commit(path: Path, *, samples: int) -> float:
    """Return the median time of a synced LMDB transaction that puts one 100-byte entry, in ms."""
    path.mkdir()
    times = []
    with contextlib.closing(lmdb.open(str(path), map_size=1 << 30)) as environment:
        for number in range(samples + samples // 10):
            begin = perf_counter()
            with environment.begin(write=True) as transaction:
                transaction.put(number.to_bytes(8, "big"), PAYLOAD, append=True)
            times.append(perf_counter() - begin)
    return 1000 * statistics.median(times[samples // 10 :])


async def measure_round_trip(children: Children, directory: Path, *, samples: int) -> float:
    """Return the median time for 100 bytes to another process and back on one stream, in ms."""
    echo = await children.spawn("benchmarks.baseline", log=directory / "baseline.txt")
    port = await echo.call("port")
    times = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        # Without serializers the messages are the bytes themselves.
        stream: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(METHOD)()
        for _ in range(samples + samples // 10):
            begin = perf_counter()
            await stream.write(PAYLOAD)
            await stream.read()
            times.append(perf_counter() - begin)
        await stream.done_writing()
    await echo.quit()
    return 1000 * statistics.median(times[samples // 10 :])


async def _echo(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def _serve_echo() -> None:
    server = grpc.aio.server()
    service, _, method = METHOD[1:].partition("/")
    handler = grpc.method_handlers_generic_handler(
        service, {method: grpc.stream_stream_rpc_method_handler(_echo)}
    )
    server.add_generic_rpc_handlers((handler,))
    bound = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def port() -> int:
        return bound

    await serve_commands({"port": port})
    await server.stop(grace=1.0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=raftify.new_event_loop) as runner:
        runner.run(_serve_echo())
