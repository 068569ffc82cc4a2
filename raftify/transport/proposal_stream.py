"""Proposals to one node over one stream, as its caller sees it: futures at once, no task each."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import grpc

from raftify.config import Config
from raftify.errors import (
    DeadlineExceeded,
    NodeStopped,
    OutcomeUnknown,
    Overloaded,
    PeerUnreachable,
    ProposalTooLarge,
    RaftifyError,
)
from raftify.transport.channel_options import payload_within
from raftify.transport.dialer import Dialer
from raftify.transport.handshake import LIMIT_KEY, Metadata, is_accepted, limit_in
from raftify.transport.status import (
    StreamEnded,
    describe,
    outcome_of,
    settle,
    typed_error_in,
    write,
)
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.errors_codec import error_from_wire

#: Bytes of proposals in one message, unless one alone is larger.
_BATCH_BYTES: Final = 1 << 20
_PER_ITEM_BYTES: Final = 32
#: What a waiting proposal takes here beside its data: itself and its future.
_PER_WAITING_BYTES: Final = 512
#: Deadlines are looked at this often at most, in seconds.
_SWEEP_INTERVAL: Final = 0.02
#: Seconds for the results that were on their way when the stream ended.
_READING_PATIENCE: Final = 1.0

_Call = grpc.aio.StreamStreamCall[pb.ProposeBatch, pb.ProposeResults | None]


class _Proposal:
    __slots__ = ("data", "deadline", "future", "request_id")

    def __init__(
        self, request_id: int, data: bytes, deadline: float, future: asyncio.Future[bytes]
    ) -> None:
        self.request_id = request_id
        self.data = data
        self.deadline = deadline
        self.future = future


class ProposalStream:
    """Carries proposals to the node at `address`, and their results back.

    The stream is opened for the first proposal, and again for the first after it broke.
    """

    def __init__(self, address: str, config: Config, dialer: Dialer, metadata: Metadata) -> None:
        self._address = address
        self._config = config
        self._dialer = dialer
        self._metadata = (*metadata, (LIMIT_KEY, str(config.max_grpc_message_bytes)))
        #: The largest message that both ends take; the node tells when it accepts the stream.
        self._most_bytes = config.max_grpc_message_bytes
        self._last_id = 0
        self._unsent: deque[_Proposal] = deque()
        self._unsent_bytes = 0
        self._sent: dict[int, _Proposal] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def propose(self, data: bytes, *, timeout: float) -> asyncio.Future[bytes]:
        """Return the future result of proposing `data`; see `NodeApi.propose`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        error = self._objection(data)
        if error is not None:
            future.set_exception(error)
            return future
        self._last_id += 1
        proposal = _Proposal(self._last_id, data, loop.time() + timeout, future)
        self._unsent.append(proposal)
        self._unsent_bytes += len(data) + _PER_WAITING_BYTES
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run(), name=f"raftify-propose-{self._address}")
        self._schedule_sweep(proposal.deadline)
        return future

    def _objection(self, data: bytes) -> RaftifyError | None:
        if self._closed:
            return PeerUnreachable(f"the connection to {self._address} was closed on this side")
        if len(data) > payload_within(self._most_bytes):
            return self._too_large(data)
        if self._unsent_bytes > self._config.outbox_bytes:
            return Overloaded(
                f"{self._unsent_bytes} bytes of proposals wait for node {self._address} already"
            )
        return None

    def _too_large(self, data: bytes) -> ProposalTooLarge:
        return ProposalTooLarge(
            f"a proposal of {len(data)} bytes does not fit into Config.max_grpc_message_bytes, "
            f"{self._config.max_grpc_message_bytes} here and at most {self._most_bytes} at "
            f"{self._address}"
        )

    async def close(self) -> None:
        """End the stream; every future that is open fails."""
        self._closed = True
        # Let go of: what ended the task remembers its frames, and through them the connection.
        task, self._task = self._task, None
        if task is not None:
            await settle(task)
        why = "was closed on this side"
        self._fail_sent(OutcomeUnknown(f"the connection to {self._address} {why} meanwhile"))
        self._fail_unsent(PeerUnreachable(f"the connection to {self._address} {why}"))
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    # -- the task ---------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if not self._unsent:
                self._wake.clear()
                continue
            try:
                await self._converse()
            except RaftifyError as error:
                self._fail_unsent(error)
            except Exception as error:
                # The boundary of this task: no proposal may wait for a task that has died.
                self._fail_sent(OutcomeUnknown(f"sending proposals failed: {error!r}"))
                self._fail_unsent(PeerUnreachable(f"sending proposals failed: {error!r}"))
                raise

    async def _converse(self) -> None:
        """Hold one stream until it ends.

        Raises:
            RaftifyError: why what was not sent by then cannot be.
        """
        stub = await self._dialer.stub(timeout=self._config.request_timeout)
        call = stub.ProposeStream(metadata=self._metadata)
        reading: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(self._config.request_timeout):
                answer = await call.initial_metadata()
            if is_accepted(answer):
                self._most_bytes = limit_in(answer, self._config.max_grpc_message_bytes)
                reading = asyncio.get_running_loop().create_task(
                    self._read(call), name=f"raftify-results-{self._address}"
                )
                # A callback of the call's own would be a reference cycle that holds the connection.
                reading.add_done_callback(lambda _: self._wake.set())
                with suppress(StreamEnded):
                    await self._write(call, reading)
                # What has arrived before the end is read before the rest is given up.
                await asyncio.wait((reading,), timeout=_READING_PATIENCE)
                if reading.done():
                    # Raises what is a bug; the end of the stream it has taken as such.
                    reading.result()
            error = await outcome_of(call)
        except TimeoutError:
            raise PeerUnreachable(f"{self._address} did not accept the stream in time") from None
        finally:
            call.cancel()
            if reading is not None:
                await settle(reading)
            # The node may come back with other settings.
            self._most_bytes = self._config.max_grpc_message_bytes
        self._on_broken(error)

    async def _write(self, call: _Call, reading: asyncio.Task[None]) -> None:
        while not (call.done() or reading.done()):
            if self._unsent:
                batch = self._take_batch()
                if batch.items:
                    await write(call, batch)
            else:
                self._wake.clear()
                await self._wake.wait()

    def _take_batch(self) -> pb.ProposeBatch:
        """Return the next proposals as one message; from here on they count as sent."""
        unsent, batch, limit = self._unsent, pb.ProposeBatch(), payload_within(self._most_bytes)
        room = min(_BATCH_BYTES, limit)
        add, now = batch.items.add, asyncio.get_running_loop().time()
        first = True
        while unsent:
            proposal = unsent[0]
            if len(proposal.data) > room and not first:
                break
            unsent.popleft()
            self._unsent_bytes -= len(proposal.data) + _PER_WAITING_BYTES
            left = proposal.deadline - now
            if proposal.future.done() or left <= 0:
                # Cancelled, or late; the sweep tells the late ones.
                if not proposal.future.done():
                    proposal.future.set_exception(self._not_sent_in_time())
                continue
            if len(proposal.data) > limit:
                proposal.future.set_exception(self._too_large(proposal.data))
                continue
            first = False
            room -= len(proposal.data) + _PER_ITEM_BYTES
            add(
                request_id=proposal.request_id,
                data=proposal.data,
                timeout_ms=min(int(left * 1000) + 1, 0xFFFFFFFF),
            )
            self._sent[proposal.request_id] = proposal
        return batch

    async def _read(self, call: _Call) -> None:
        """Resolve futures until the stream has ended."""
        # Not by `read`, which leaves what has arrived as soon as a write has failed.
        with suppress(grpc.aio.AioRpcError):
            async for results in call:
                if results is None:
                    self._fail_sent(OutcomeUnknown(f"the answer of {self._address} is unreadable"))
                    call.cancel()
                    return
                for result in results.results:
                    proposal = self._sent.pop(result.request_id, None)
                    if proposal is None or proposal.future.done():
                        continue
                    if result.HasField("error"):
                        proposal.future.set_exception(error_from_wire(result.error))
                    else:
                        proposal.future.set_result(result.result)

    # -- ends -------------------------------------------------------------------------------

    def _on_broken(self, error: grpc.aio.AioRpcError | None) -> None:
        """Fail what is open, and raise what the rest shall fail with."""
        how = describe(error) if error is not None else "it was ended"
        self._fail_sent(
            OutcomeUnknown(
                f"the stream of proposals to {self._address} broke before the answer came ({how})"
            )
        )
        typed = typed_error_in(error) if error is not None else None
        if typed is None or isinstance(typed, NodeStopped):
            # Of a node that stops nobody can tell whether it had the request; here it had not.
            raise PeerUnreachable(
                f"the stream of proposals to {self._address} broke before this one was sent ({how})"
            )
        raise typed

    def _fail_sent(self, error: RaftifyError) -> None:
        sent, self._sent = self._sent, {}
        _fail(sent.values(), error)

    def _fail_unsent(self, error: RaftifyError) -> None:
        unsent, self._unsent = self._unsent, deque()
        self._unsent_bytes = 0
        _fail(unsent, error)

    # -- deadlines --------------------------------------------------------------------------

    def _schedule_sweep(self, deadline: float) -> None:
        if self._sweep is None or deadline < self._sweep.when():
            if self._sweep is not None:
                self._sweep.cancel()
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_at(
                max(deadline, loop.time() + _SWEEP_INTERVAL), self._fail_the_late
            )

    def _fail_the_late(self) -> None:
        self._sweep = None
        now = asyncio.get_running_loop().time()
        late = [p for p in self._sent.values() if p.deadline <= now]
        for proposal in late:
            del self._sent[proposal.request_id]
        _fail(
            late,
            DeadlineExceeded(f"{self._address} did not answer a proposal before its deadline"),
        )
        # Those stay in the queue, where their future tells that they are done with.
        _fail((p for p in self._unsent if p.deadline <= now), self._not_sent_in_time())
        left = [p.deadline for p in self._sent.values()]
        left += [p.deadline for p in self._unsent if not p.future.done()]
        if left:
            self._schedule_sweep(min(left))

    def _not_sent_in_time(self) -> PeerUnreachable:
        return PeerUnreachable(f"a proposal to {self._address} was not sent before its deadline")


def _fail(proposals: Iterable[_Proposal], error: RaftifyError) -> None:
    # A copy for each: one that a thousand futures share would collect all their tracebacks.
    for proposal in proposals:
        if not proposal.future.done():
            proposal.future.set_exception(copy.copy(error))
