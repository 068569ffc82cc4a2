"""The server's side: every call that a node answers, its errors, and its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

import grpc

from raftify.config import Config
from raftify.errors import NodeStopped, RaftifyError
from raftify.transport.arrivals import check_messages
from raftify.transport.client_calls import ClientCalls
from raftify.transport.handshake import ACCEPTED_KEY, check_caller, read_handshake
from raftify.transport.interface import Handshake, PeerService
from raftify.transport.propose_session import ProposeSession
from raftify.transport.snapshot_receiver import SnapshotReceiver
from raftify.transport.status import abort, settle
from raftify.wire.framing import decode_batch

SERVICE: Final = "raftify.RaftService"
_NOTHING_TOLD: Final = "internal error; see the log of the node that answered"

_T = TypeVar("_T")

_Context = grpc.aio.ServicerContext[bytes, bytes]
_Requests = AsyncIterator[bytes]


class RaftServicer:
    """Serves `service` to peers, clients and tools.

    Requests and answers are bytes to gRPC: what cannot be read is then our error and not gRPC's.
    """

    def __init__(
        self, handshake: Handshake, service: PeerService, config: Config, logger: logging.Logger
    ) -> None:
        self._own = handshake
        self._service = service
        self._config = config
        self._logger = logger
        self._accepted = ((ACCEPTED_KEY, str(handshake.from_id)),)
        self._client_calls = ClientCalls(service, config)
        self._snapshots = SnapshotReceiver(service)
        self._sessions: set[ProposeSession] = set()
        self._peer_calls: set[asyncio.Task[object]] = set()
        self._other_calls: set[asyncio.Task[object]] = set()
        self._closing = False

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what to give to a gRPC server."""
        table: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Messages": grpc.stream_unary_rpc_method_handler(self._messages),
            "InstallSnapshot": grpc.stream_unary_rpc_method_handler(self._install_snapshot),
            "ProposeStream": grpc.stream_stream_rpc_method_handler(self._propose_stream),
        }
        for name in self._client_calls.names:
            table[name] = grpc.unary_unary_rpc_method_handler(self._unary(name))
        return grpc.method_handlers_generic_handler(SERVICE, table)

    async def close(self, *, grace: float) -> None:
        """End every call: peers' at once, others as they finish within `grace` seconds."""
        self._closing = True
        for task in self._peer_calls:
            task.cancel()
        for session in self._sessions:
            session.finish()
        calls = self._peer_calls | self._other_calls
        if calls:
            await asyncio.wait(calls, timeout=grace)
        await settle(*self._peer_calls, *self._other_calls)
        await self._snapshots.close()

    # -- peers ------------------------------------------------------------------------------

    async def _messages(self, requests: _Requests, context: _Context) -> bytes:
        return await self._answer(
            "Messages", context, self._peer_calls, lambda: self._receive(requests, context)
        )

    async def _receive(self, requests: _Requests, context: _Context) -> bytes:
        handshake = await self._greet(context)
        async for data in requests:
            messages = decode_batch(data)
            check_messages(messages, handshake, to_id=self._own.from_id)
            # Again each time: what was a member may have been removed since.
            self._service.greet(handshake)
            await self._service.receive(messages)
        return b""

    async def _install_snapshot(self, requests: _Requests, context: _Context) -> bytes:
        async def receive() -> bytes:
            handshake = await self._greet(context)
            return await self._snapshots.receive(requests, handshake, to_id=self._own.from_id)

        return await self._answer("InstallSnapshot", context, self._peer_calls, receive)

    async def _greet(self, context: _Context) -> Handshake:
        handshake = read_handshake(context.invocation_metadata())
        self._service.greet(handshake)
        await context.send_initial_metadata(self._accepted)
        return handshake

    # -- clients ----------------------------------------------------------------------------

    def _unary(self, name: str) -> Callable[[bytes, _Context], Awaitable[bytes]]:
        async def handle(request: bytes, context: _Context) -> bytes:
            return await self._answer(
                name,
                context,
                self._other_calls,
                lambda: self._client_calls.call(name, request, context.time_remaining()),
            )

        return handle

    async def _propose_stream(self, requests: _Requests, context: _Context) -> None:
        async def serve() -> None:
            await context.send_initial_metadata(self._accepted)
            session = ProposeSession(self._service, self._config, context.write)
            self._sessions.add(session)
            try:
                await session.serve(requests)
            finally:
                self._sessions.discard(session)

        await self._answer("ProposeStream", context, self._other_calls, serve)

    # -- all of them ------------------------------------------------------------------------

    async def _answer(
        self,
        name: str,
        context: _Context,
        calls: set[asyncio.Task[object]],
        work: Callable[[], Awaitable[_T]],
    ) -> _T:
        task = asyncio.current_task()
        assert task is not None
        calls.add(task)
        try:
            self._check_open()
            if calls is self._other_calls:
                check_caller(context.invocation_metadata(), self._own)
            return await work()
        except RaftifyError as error:
            await abort(context, error)
        except asyncio.CancelledError:
            if not self._closing or context.cancelled():
                raise
            task.uncancel()
            await abort(context, NodeStopped("this node is stopping"))
        except grpc.aio.AbortError:
            raise
        except grpc.aio.InternalError as error:
            # A write failed because the caller is gone, and the cancellation of this task is late.
            raise asyncio.CancelledError from error
        except Exception as error:
            self._logger.exception("answering %s failed", name)
            await context.abort(grpc.StatusCode.INTERNAL, _NOTHING_TOLD)
            raise AssertionError("abort returned") from error
        finally:
            calls.discard(task)

    def _check_open(self) -> None:
        if self._closing:
            raise NodeStopped("this node is stopping")
