"""HTTP/2 spoken by hand, to say what no gRPC library would."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def header(name: str, value: str) -> bytes:
    """Return a header as HPACK's literal without indexing."""
    return b"\x00" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    data = text.encode()
    length = len(data)
    if length < 127:
        return bytes([length]) + data
    out, rest = bytearray([127]), length - 127
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    out.append(rest)
    return bytes(out) + data


def request_headers(method: str, metadata: tuple[tuple[str, str], ...] = ()) -> bytes:
    return b"".join(
        header(name, value)
        for name, value in (
            (":method", "POST"), (":scheme", "http"), (":authority", "x"),
            (":path", f"/raftify.RaftService/{method}"), ("te", "trailers"),
            ("content-type", "application/grpc"), *metadata,
        )
    )  # fmt: skip


class RawConnection:
    """A connection that acknowledges what it must, so that it is kept, and else does as told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next_stream = 1
        #: The streams that the other end has ended.
        self.ended: set[int] = set()
        self._answering = asyncio.create_task(self._answer())

    @classmethod
    async def open(cls, address: str, *, preface: bool = True) -> Self:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        made = cls(reader, writer)
        if preface:
            made.send(PREFACE + frame(SETTINGS, 0, 0, b""))
        return made

    def send(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    async def flush(self) -> None:
        with suppress(ConnectionError):
            await self._writer.drain()

    def call(
        self, method: str, metadata: tuple[tuple[str, str], ...] = (), flags: int = END_HEADERS
    ) -> int:
        """Begin a call; return its stream's number."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self.send(frame(HEADERS, flags, stream, request_headers(method, metadata)))
        return stream

    @property
    def is_closed(self) -> bool:
        return self._answering.done()

    def has_ended(self, stream: int) -> bool:
        return self.is_closed or stream in self.ended

    async def closed(self) -> None:
        """Wait until the other end has hung up."""
        await asyncio.wait((self._answering,))

    async def close(self) -> None:
        self._answering.cancel()
        self._writer.transport.abort()
        await asyncio.gather(self._answering, return_exceptions=True)

    async def _answer(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                kind, flags = head[3], head[4]
                if kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
                    self.ended.add(int.from_bytes(head[5:]))
                if kind in (SETTINGS, PING) and not flags & ACK:
                    self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
