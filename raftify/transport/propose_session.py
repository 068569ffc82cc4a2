"""One client's stream of proposals, as the node serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from raftify.config import Config
from raftify.errors import NodeStopped, RaftifyError, TransportError
from raftify.transport.channel_options import payload_within
from raftify.transport.interface import NodeApi
from raftify.transport.status import settle
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.errors_codec import error_to_wire

#: While as many wait for an answer, or for the client to read theirs, the stream is not read, which
#: holds the client back.
MAX_UNANSWERED: Final = 4096
#: Bytes of results in one message, unless one alone is larger.
_RESULT_BYTES: Final = 1 << 20
_PER_RESULT_BYTES: Final = 32


class ProposeSession:
    """Reads batches, proposes what is in them, and writes results as they become known.

    Two tasks serve the whole stream; an entry costs a callback.
    """

    def __init__(
        self,
        node: NodeApi,
        config: Config,
        write: Callable[[pb.ProposeResults], Awaitable[None]],
        message_bytes: int,
    ) -> None:
        """`message_bytes` is the largest message that both ends take."""
        self._node = node
        self._default_timeout = config.proposal_timeout
        self._message_limit = payload_within(message_bytes)
        self._max_bytes = config.outbox_bytes
        self._write = write
        self._unanswered = 0
        self._unanswered_bytes = 0
        self._answers: list[tuple[int, int, asyncio.Future[bytes] | BaseException]] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._no_more_requests = False
        self._finishing = False

    async def serve(self, requests: AsyncIterator[pb.ProposeBatch]) -> None:
        """Serve the stream until the client has closed it and has every answer.

        Raises:
            MalformedMessage: what came is no batch of proposals.
            NodeStopped: `finish` was called.
        """
        loop = asyncio.get_running_loop()
        reading = loop.create_task(self._read(requests), name="raftify-propose-read")
        writing = loop.create_task(self._write_answers(), name="raftify-propose-write")
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            await writing
            if self._finishing:
                raise NodeStopped("this node is stopping")
        finally:
            await settle(reading, writing)

    def finish(self) -> None:
        """End the stream after the answers that are known by now: the node is stopping."""
        self._finishing = True
        self._news.set()

    # -- in ---------------------------------------------------------------------------------

    async def _read(self, requests: AsyncIterator[pb.ProposeBatch]) -> None:
        async for batch in requests:
            items = batch.items
            for begin in range(0, len(items), MAX_UNANSWERED):
                self._submit(items[begin : begin + MAX_UNANSWERED])
                await asyncio.sleep(0)  # a batch may hold more than one turn should take
                while (
                    self._unanswered >= MAX_UNANSWERED or self._unanswered_bytes > self._max_bytes
                ):
                    self._room.clear()
                    await self._room.wait()
        self._no_more_requests = True
        self._news.set()

    def _submit(self, items: Sequence[pb.ProposeItem]) -> None:
        propose, default = self._node.propose, self._default_timeout
        for item in items:
            data, request_id, timeout_ms = item.data, item.request_id, item.timeout_ms
            self._unanswered += 1
            self._unanswered_bytes += len(data)
            try:
                future = propose(data, timeout=timeout_ms / 1000 if timeout_ms else default)
            except RaftifyError as error:
                self._note(request_id, len(data), error)
            else:
                future.add_done_callback(partial(self._note, request_id, len(data)))

    # -- out --------------------------------------------------------------------------------

    def _note(
        self, request_id: int, size: int, answer: asyncio.Future[bytes] | BaseException
    ) -> None:
        held = 0
        # The error is asked for here, because nobody does once the stream has ended.
        if isinstance(answer, asyncio.Future) and not answer.cancelled() and not answer.exception():
            held = len(answer.result())
        # From here on the result takes room instead of the proposal, until the client reads it.
        self._unanswered_bytes += held - size
        self._answers.append((request_id, held, answer))
        self._news.set()

    async def _write_answers(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._answers:
                await self._write(self._take_results())
            if self._finishing or (self._no_more_requests and not self._unanswered):
                return

    def _take_results(self) -> pb.ProposeResults:
        """Return the next answers as one message."""
        answers, results, room, taken = self._answers, pb.ProposeResults(), _RESULT_BYTES, 0
        add = results.results.add
        for request_id, _, answer in answers:
            if room <= 0:
                break
            taken += 1
            error = _error_of(answer)
            if error is not None:
                add(request_id=request_id, error=error_to_wire(error))
                room -= 1024
                continue
            assert isinstance(answer, asyncio.Future)
            result = answer.result()
            if len(result) > room and taken > 1:
                taken -= 1
                break
            room -= len(result) + _PER_RESULT_BYTES
            if len(result) > self._message_limit:
                add(request_id=request_id, error=error_to_wire(_too_large(result)))
            else:
                add(request_id=request_id, result=result)
        self._unanswered -= taken
        self._unanswered_bytes -= sum([held for _, held, _ in answers[:taken]])
        self._room.set()
        del answers[:taken]
        return results


def _error_of(answer: asyncio.Future[bytes] | BaseException) -> BaseException | None:
    if isinstance(answer, BaseException):
        return answer
    if answer.cancelled():
        return NodeStopped("the node gave the proposal up")
    return answer.exception()


def _too_large(result: bytes) -> TransportError:
    return TransportError(
        f"the entry was applied, but its result of {len(result)} bytes does not fit into "
        "Config.max_grpc_message_bytes, of the node or of the caller"
    )
