"""State machines of any size, for snapshots that do not fit anywhere by chance."""

from __future__ import annotations

import json
import random
import zlib
from typing import BinaryIO, Self

from raftify.state_machine import StreamingStateMachine, Writable
from tests.cluster.machines import Tally

MIB = 1 << 20
PIECE = 4 * MIB


def pieces(size_bytes: int) -> list[int]:
    return [min(PIECE, size_bytes - start) for start in range(0, size_bytes, PIECE)]


def content(number: int, size_bytes: int) -> bytes:
    """Return bytes that no two places share; made anew each time, so that they cost no memory."""
    block = random.Random(number).randbytes(64 * 1024)
    return (block * (size_bytes // len(block) + 1))[:size_bytes]


class Big(Tally):
    """A tally and `size_bytes` of ballast, which an entry like `size:300000000` sets."""

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = 0

    async def apply(self, data: bytes) -> bytes:
        if data.startswith(b"size:"):
            self.size_bytes = int(data[5:])
        return await super().apply(data)

    def head(self) -> bytes:
        return json.dumps([self.order, self.counts, self.size_bytes]).encode() + b"\n"

    def read_head(self, line: bytes) -> None:
        order, counts, self.size_bytes = json.loads(line)
        self.order = list(order)
        self.counts.clear()
        self.counts.update(counts)
        self.restored += 1


class BigStream(Big, StreamingStateMachine):  # type: ignore[misc]  # Tally's are coroutines
    """Holds none of its ballast: what memory a snapshot takes is the framework's."""

    def write_snapshot(self, file: Writable) -> None:
        file.write(self.head())
        for number, size in enumerate(pieces(self.size_bytes)):
            file.write(content(number, size))

    def read_snapshot(self, file: BinaryIO) -> None:
        self.read_head(file.readline())
        for number, size in enumerate(pieces(self.size_bytes)):
            if zlib.crc32(file.read(size)) != zlib.crc32(content(number, size)):
                raise ValueError(f"piece {number} came damaged")
        if file.read(1):
            raise ValueError("more came than was written")


class BigBytes(Big):
    """Returns everything at once, from a plain function on its thread."""

    def snapshot(self) -> bytes:  # type: ignore[override]  # plain or async, both are fine
        ballast = (content(number, size) for number, size in enumerate(pieces(self.size_bytes)))
        return b"".join([self.head(), *ballast])

    def restore(self, data: bytes) -> None:  # type: ignore[override]  # likewise
        line, ballast = data.split(b"\n", 1)
        self.read_head(line)
        if len(ballast) != self.size_bytes:
            raise ValueError(f"{len(ballast)} bytes came, {self.size_bytes} were written")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = cls()
        machine.restore(data)
        return machine
