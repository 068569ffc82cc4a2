"""What the disk and the loopback cost here: the floor below which no synced write can go.

Run as a program it is the other end of the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Self, TypeAlias

import grpc
import lmdb

import raftify
from benchmarks.load import PAYLOAD
from examples.children import Children, serve_commands

METHOD = "/baseline.Echo/Stream"

ByteStream: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"


@dataclass(frozen=True, slots=True)
class Baseline:
    """Medians, in milliseconds."""

    lmdb_commit_ms: float
    stream_round_trip_ms: float


class BaselineMeter:
    """Takes samples between the rounds of a benchmark, so that both see the same machine."""

    def __init__(self, directory: Path, stream: ByteStream) -> None:
        self._directory = directory
        self._stream = stream
        self._commits: list[float] = []
        self._round_trips: list[float] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, children: Children, directory: Path) -> AsyncIterator[Self]:
        """Start the other end of the stream; stores for the commits are made in `directory`."""
        echo = await children.spawn("benchmarks.baseline", log=directory / "baseline.txt")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{await echo.call('port')}") as channel:
            # Without serializers the messages are the bytes themselves.
            stream: ByteStream = channel.stream_stream(METHOD)()
            yield cls(directory, stream)
            await stream.done_writing()
        await echo.quit()

    async def sample(self, count: int) -> None:
        """Take `count` samples of each, after a tenth of that unmeasured."""
        skipped = count // 10
        self._commits += (await asyncio.to_thread(self._commit, count + skipped))[skipped:]
        self._round_trips += (await self._round_trip(count + skipped))[skipped:]

    def result(self) -> Baseline:
        return Baseline(
            lmdb_commit_ms=1000 * statistics.median(self._commits),
            stream_round_trip_ms=1000 * statistics.median(self._round_trips),
        )

    def _commit(self, count: int) -> list[float]:
        """Return the times of synced LMDB transactions that put one 100-byte entry, in seconds."""
        times = []
        with (
            tempfile.TemporaryDirectory(prefix="baseline-", dir=self._directory) as path,
            contextlib.closing(lmdb.open(path, map_size=1 << 30)) as environment,
        ):
            for number in range(count):
                begin = perf_counter()
                with environment.begin(write=True) as transaction:
                    transaction.put(number.to_bytes(8, "big"), PAYLOAD, append=True)
                times.append(perf_counter() - begin)
        return times

    async def _round_trip(self, count: int) -> list[float]:
        """Return the times for 100 bytes to another process and back, in seconds."""
        times = []
        for _ in range(count):
            begin = perf_counter()
            await self._stream.write(PAYLOAD)
            await self._stream.read()
            times.append(perf_counter() - begin)
        return times


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
