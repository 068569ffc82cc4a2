"""The server's side: every call that a node answers, its errors, and its end."""

# ruff: noqa: N802 - the generated base class names the calls

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final, TypeVar

import grpc

from raftify.config import Config
from raftify.core.types import Message
from raftify.errors import NodeStopped, RaftifyError
from raftify.transport.arrivals import check_messages
from raftify.transport.channel_options import most_in_pieces
from raftify.transport.client_calls import ClientCalls
from raftify.transport.gate import INSTALL_SNAPSHOT, MESSAGES, Gate
from raftify.transport.handshake import (
    ACCEPTED_KEY,
    LIMIT_KEY,
    check_caller,
    check_names_cluster,
    limit_in,
    named_caller,
    read_handshake,
)
from raftify.transport.interface import Handshake, PeerService
from raftify.transport.propose_session import ProposeSession
from raftify.transport.snapshot_receiver import SnapshotReceiver
from raftify.transport.status import Context, abort, settle
from raftify.transport.trust import check_names_admin, check_names_node
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import unpack_batch
from raftify.wire.pieces import Pieces
from raftify.wire.raft_service_pb2_grpc import RaftServiceServicer

#: A larger batch is unpacked on a thread, so that the event loop goes on: it may be one of very
#: many small entries, or meant to look like it.
_UNPACKED_HERE: Final = 2 << 20
#: The same for who is no member.
_UNPACKED_OF_STRANGERS: Final = 64 << 10
#: Calls that change who is a member or who leads, that take the whole state, or write it to disk.
_FOR_ADMINS: Final = frozenset(
    {"Initialize", "ChangeConfig", "LeaveJoint", "SetPeers", "TransferLeader"}
    | {"CreateSnapshot", "ReadState"}
)
_NOTHING_TOLD: Final = "internal error; see the log of the node that answered"

_Q = TypeVar("_Q")
_A = TypeVar("_A")


class RaftServicer(RaftServiceServicer):
    """Serves `service` to peers, clients and tools. Behind `RefuseMalformed` only."""

    def __init__(
        self, handshake: Handshake, service: PeerService, config: Config, logger: logging.Logger
    ) -> None:
        self._own = handshake
        self._service = service
        self._config = config
        self._logger = logger
        self._accepted = (
            (ACCEPTED_KEY, str(handshake.from_id)),
            (LIMIT_KEY, str(config.max_grpc_message_bytes)),
        )
        self._calls = ClientCalls(service, handshake.from_id, config)
        self._snapshots = SnapshotReceiver(service, config, logger)
        self._gate = Gate(config.max_client_calls)
        # A peer with the same settings sends at most a third of that.
        self._most_entries = max(1 << 16, config.raft_config.max_size_per_msg // 2)
        # One thread at a time for all that strangers send: threads take the interpreter from the
        # event loop.
        self._strangers = asyncio.Lock()
        self._sessions: set[ProposeSession] = set()
        self._peer_calls: set[asyncio.Task[object]] = set()
        self._other_calls: set[asyncio.Task[object]] = set()
        self._closing = False

    def admit(
        self, metadata: Iterable[tuple[str, str | bytes]] | None
    ) -> AbstractContextManager[None]:
        """Count a call that is neither a stream of messages nor a snapshot while it lasts.

        Members are not counted, however many clients there are.

        Raises:
            Overloaded: there are too many calls of clients.
            PeerRefused: the caller names itself what can be no node.
        """
        caller = named_caller(metadata)
        if caller is not None and self._service.is_member(*caller):
            return nullcontext()
        return self._gate.client_call()

    async def close(self, *, grace: float) -> None:
        """End every call: peers' at once, others as they finish within `grace` seconds."""
        self._closing = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        for task in self._peer_calls:
            task.cancel()
        for session in self._sessions:
            session.finish()
        calls = self._peer_calls | self._other_calls
        if calls:
            await asyncio.wait(calls, timeout=grace)
        await settle(*self._peer_calls, *self._other_calls)
        await self._snapshots.close(grace=max(deadline - loop.time(), 0))

    # -- peers ------------------------------------------------------------------------------

    async def Messages(self, requests: AsyncIterator[bytes], context: Context) -> pb.MessagesClosed:
        async def receive() -> pb.MessagesClosed:
            handshake = read_handshake(context.invocation_metadata())
            self._check_certificate(context, handshake.from_id)
            with self._greet(handshake, MESSAGES):
                await context.send_initial_metadata(self._accepted)
                pieces = Pieces(most_in_pieces(self._config))
                # Not by the iterator, which keeps the last for as long as gRPC remembers the call.
                while isinstance(packed := await context.read(), bytes):
                    batch = pieces.add(packed, allowed=self._is_member(handshake))
                    if batch is None:
                        continue
                    messages = await self._unpack(batch, handshake)
                    check_messages(messages, handshake, to_id=self._own.from_id)
                    # Again each time: what was a member may have been removed since.
                    self._service.greet(handshake)
                    await self._service.receive(messages)
            return pb.MessagesClosed()

        return await self._answer("Messages", context, self._peer_calls, receive)

    async def InstallSnapshot(
        self, requests: AsyncIterator[pb.SnapshotChunk], context: Context
    ) -> pb.SnapshotReceipt:
        async def receive() -> pb.SnapshotReceipt:
            handshake = read_handshake(context.invocation_metadata())
            self._check_certificate(context, handshake.from_id)
            with self._greet(handshake, INSTALL_SNAPSHOT):
                await context.send_initial_metadata(self._accepted)
                return await self._snapshots.receive(requests, handshake, to_id=self._own.from_id)

        return await self._answer("InstallSnapshot", context, self._peer_calls, receive)

    async def _unpack(self, packed: bytes, handshake: Handshake) -> list[Message]:
        unpack = partial(unpack_batch, packed, most_entries=self._most_entries)
        if len(packed) <= _UNPACKED_OF_STRANGERS:
            return unpack()
        if not self._is_member(handshake):
            async with self._strangers:
                return await asyncio.to_thread(unpack)
        if len(packed) <= _UNPACKED_HERE:
            return unpack()
        return await asyncio.to_thread(unpack)

    def _is_member(self, handshake: Handshake) -> bool:
        return self._service.is_member(handshake.from_id, handshake.from_incarnation)

    def _greet(self, handshake: Handshake, kind: str) -> AbstractContextManager[None]:
        """Let a peer in, or raise what is wrong with it."""
        self._service.greet(handshake)
        is_member = self._service.is_member(handshake.from_id, handshake.from_incarnation)
        return self._gate.peer_stream(kind, handshake.from_id, is_member=is_member)

    def _check_certificate(self, context: Context, node_id: int) -> None:
        check_names_node(context.auth_context(), self._config.tls, node_id)

    # -- clients ----------------------------------------------------------------------------

    async def ProposeStream(
        self, requests: AsyncIterator[pb.ProposeBatch], context: Context
    ) -> None:
        async def serve() -> None:
            with self.admit(context.invocation_metadata()):
                await context.send_initial_metadata(self._accepted)
                limit = limit_in(context.invocation_metadata(), self._config.max_grpc_message_bytes)
                session = ProposeSession(self._service, self._config, context.write, limit)
                self._sessions.add(session)
                try:
                    await session.serve(requests)
                finally:
                    self._sessions.discard(session)

        await self._answer("ProposeStream", context, self._other_calls, serve)

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.Empty:
        async def send(request: pb.SendMessageRequest, left: float | None) -> pb.Empty:
            # Of a client that only asks, nothing is demanded; this one speaks for a member.
            said = context.invocation_metadata()
            check_names_cluster(said)
            self._check_certificate(context, getattr(request.message, "from"))
            if named_caller(said) is not None:
                # A node whose store is another than before may not speak for the one it was.
                self._service.greet(read_handshake(said))
            return await self._calls.send_message(request, left)

        return await self._unary("SendMessage", send, request, context)

    async def Propose(self, request: pb.ProposeRequest, context: Context) -> pb.ProposeResponse:
        return await self._unary("Propose", self._calls.propose, request, context)

    async def ReadIndex(
        self, request: pb.ReadIndexRequest, context: Context
    ) -> pb.ReadIndexResponse:
        return await self._unary("ReadIndex", self._calls.read_index, request, context)

    async def Query(self, request: pb.QueryRequest, context: Context) -> pb.QueryResponse:
        return await self._unary("Query", self._calls.query, request, context)

    async def Initialize(
        self, request: pb.InitializeRequest, context: Context
    ) -> pb.ChangeConfigResponse:
        return await self._unary("Initialize", self._calls.initialize, request, context)

    async def RequestId(
        self, request: pb.RequestIdRequest, context: Context
    ) -> pb.RequestIdResponse:
        return await self._unary("RequestId", self._calls.request_id, request, context)

    async def ChangeConfig(
        self, request: pb.ChangeConfigRequest, context: Context
    ) -> pb.ChangeConfigResponse:
        return await self._unary("ChangeConfig", self._calls.change_config, request, context)

    async def LeaveJoint(self, request: pb.Empty, context: Context) -> pb.ChangeConfigResponse:
        return await self._unary("LeaveJoint", self._calls.leave_joint, request, context)

    async def AwaitCaughtUp(
        self, request: pb.AwaitCaughtUpRequest, context: Context
    ) -> pb.AwaitCaughtUpResponse:
        return await self._unary("AwaitCaughtUp", self._calls.await_caught_up, request, context)

    async def GetPeers(self, request: pb.Empty, context: Context) -> pb.GetPeersResponse:
        return await self._unary("GetPeers", self._calls.get_peers, request, context)

    async def SetPeers(self, request: pb.SetPeersRequest, context: Context) -> pb.Empty:
        return await self._unary("SetPeers", self._calls.set_peers, request, context)

    async def TransferLeader(
        self, request: pb.TransferLeaderRequest, context: Context
    ) -> pb.TransferLeaderResponse:
        return await self._unary("TransferLeader", self._calls.transfer_leader, request, context)

    async def DebugNode(self, request: pb.Empty, context: Context) -> pb.DebugNodeResponse:
        return await self._unary("DebugNode", self._calls.debug_node, request, context)

    async def ReadState(self, request: pb.Empty, context: Context) -> pb.ReadStateResponse:
        return await self._unary("ReadState", self._calls.read_state, request, context)

    async def CreateSnapshot(
        self, request: pb.Empty, context: Context
    ) -> pb.CreateSnapshotResponse:
        return await self._unary("CreateSnapshot", self._calls.create_snapshot, request, context)

    async def _unary(
        self,
        name: str,
        call: Callable[[_Q, float | None], Awaitable[_A]],
        request: _Q,
        context: Context,
    ) -> _A:
        return await self._answer(
            name, context, self._other_calls, lambda: call(request, context.time_remaining())
        )

    # -- all of them ------------------------------------------------------------------------

    async def _answer(
        self,
        name: str,
        context: Context,
        calls: set[asyncio.Task[object]],
        work: Callable[[], Awaitable[_A]],
    ) -> _A:
        task = asyncio.current_task()
        assert task is not None
        calls.add(task)
        try:
            self._check_open()
            if calls is self._other_calls:
                said = context.invocation_metadata()
                check_caller(said, self._own, origin=self._service.origin())
                caller = named_caller(said)
                if caller is not None:
                    self._check_certificate(context, caller[0])
                elif name in _FOR_ADMINS:
                    check_names_admin(context.auth_context(), self._config.tls, name)
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
