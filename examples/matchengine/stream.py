"""Trades as they come: a line of JSON each, from any number onwards, through every node.

Nothing is kept for a reader but its place. It takes from the tape, which every node has anyway and
which forgets its beginning: a slow reader costs no memory, and one that the tape has left behind is
told so and ended. Trades have the same numbers on every node, so a reader that was cut off goes on
elsewhere with the number behind its last one, and gets each trade once, in the order of the log.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager
from types import TracebackType
from typing import Any, Final, Self

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from examples.matchengine.machine import MatchMachine
from examples.matchengine.tape import Tape, Trade
from examples.matchengine.views import NotThere, trade_view
from raftify import Raft

#: Readers at the same time. One that does not read stays for as long as its connection.
MOST_READERS: Final = 1_000
#: Trades in one piece, which is all that waits in this program for one reader, besides what the
#: web server holds back: 64 KiB.
PIECE: Final = 200
#: How long trades may wait for others to go along with them, in seconds.
LINGER_SECONDS: Final = 0.02
#: An empty line after so many seconds without a trade shows that the stream is alive.
HEARTBEAT_SECONDS: Final = 15.0


class TooManyReaders(Exception):
    """Try another node, or later."""


class _Stream(StreamingResponse):
    """Holds its `room` while it is being sent, however that ends."""

    media_type = "application/x-ndjson"

    def __init__(self, room: AbstractContextManager[None], lines: AsyncGenerator[bytes]) -> None:
        super().__init__(lines)
        self._room = room
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._room:
            async with aclosing(self._lines):
                await super().__call__(scope, receive, send)


class TradeStreams:
    """The readers that follow the trades of one node, which must run."""

    def __init__(
        self,
        raft: Raft[MatchMachine],
        *,
        most_readers: int = MOST_READERS,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._raft = raft
        self._most_readers = most_readers
        self._heartbeat = heartbeat
        self._readers = 0
        self._news = asyncio.Event()
        self._is_ending = False
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch(), name="trades")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
        assert self._watching is not None
        self._watching.cancel()
        await asyncio.wait([self._watching])

    @property
    def readers(self) -> int:
        return self._readers

    def end(self) -> None:
        """Let every reader have its last line."""
        self._is_ending = True
        self._wake()

    def answer(self, number: int | None, symbol: str | None = None) -> Response:
        """Return an answer that follows the trades from `number` on (None: those to come).

        Those of other symbols are left out. The last line says why no more follow:
        `{"end": "Behind" or "Stopping", "next": the number to go on with, "message": ...}`.

        Raises:
            NotThere: trade `number` is no longer kept.
            TooManyReaders: there is no room for another reader.
        """
        tape = self._tape()
        number = tape.last + 1 if number is None else number
        if number < tape.first:
            raise NotThere(f"trade {number} is no longer kept; the oldest is {tape.first}")
        if self._readers >= self._most_readers:
            raise TooManyReaders(f"{self._readers} readers follow this node already")
        return _Stream(self._room(), self._follow(number, symbol))

    @contextmanager
    def _room(self) -> Iterator[None]:
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1

    async def _follow(self, number: int, symbol: str | None) -> AsyncGenerator[bytes]:
        while not self._is_ending:
            news, tape = self._news, self._tape()
            if number < tape.first:
                yield _last_line("Behind", number, f"only trades from {tape.first} on are kept")
                return
            page = tape.since(number - 1, PIECE)
            if page:
                number = page[-1].number + 1
                wanted = [trade for trade in page if symbol in (None, trade.symbol)]
                if wanted:
                    yield b"".join(map(_line, wanted))
                else:
                    await asyncio.sleep(0)  # there may be many that nobody here wants
            elif not await self._comes(news):
                yield b"\n"
        yield _last_line("Stopping", number, "this node ends: go on at another")

    def _tape(self) -> Tape:
        # Asked for each time: a snapshot that is restored brings another engine.
        return self._raft.state_machine().engine.tape

    async def _comes(self, news: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._heartbeat):
                return await news.wait()
        except TimeoutError:
            return False

    async def _watch(self) -> None:
        async for _ in self._raft.watch(interval=LINGER_SECONDS):
            self._wake()
        self.end()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def _line(trade: Trade) -> bytes:
    return _encoded(trade_view(trade))


def _last_line(kind: str, number: int, message: str) -> bytes:
    return _encoded({"end": kind, "next": number, "message": message})


def _encoded(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
