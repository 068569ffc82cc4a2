"""A node elsewhere, over the simulated network; and the side that answers.

Requests and answers are built and read by the same code as over gRPC, and cross as bytes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from raftify.config import Config
from raftify.errors import (
    DeadlineExceeded,
    NodeStopped,
    OutcomeUnknown,
    PeerUnreachable,
    RaftifyError,
)
from raftify.testing.simulation.exchange import Broken, Host, Port
from raftify.testing.simulation.network import SimulatedNetwork
from raftify.testing.simulation.words import in_words
from raftify.transport.client_calls import ClientCalls
from raftify.transport.handshake import check_caller
from raftify.transport.interface import Handshake, PeerService
from raftify.transport.remote_node import GrpcRemoteNode
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.errors_codec import decode_error, encode_error

_ANSWER, _ERROR = b"+", b"-"
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
#: What each call answers with, where the name does not say it.
_ANSWERS = {
    "LeaveJoint": pb.ChangeConfigResponse,
    "Initialize": pb.ChangeConfigResponse,
    "SetPeers": pb.Empty,
    "SendMessage": pb.Empty,
}


class _Names:
    """Stands where GrpcRemoteNode has a stub: its attributes are the names of the calls."""

    def __getattr__(self, name: str) -> str:
        return name


class SimulatedRemote(GrpcRemoteNode):
    """Implements `RemoteNode` for `source`, who may be a node or a client."""

    def __init__(
        self,
        network: SimulatedNetwork,
        source: Host,
        address: str,
        *,
        cluster_id: str = "",
        to_id: int = 0,
        origin: str = "",
    ) -> None:
        self.address = address
        self._cluster_id = cluster_id
        self._to_id = to_id
        self._origin = origin
        self._caller: Handshake | None = None
        self._metadata = self._say()
        self._network = network
        self._source = source
        self._closed = False
        self._open: dict[asyncio.Future[Any], None] = {}

    async def close(self) -> None:
        """Let every call that is open fail. Harmless the second time."""
        self._closed = True
        for future in list(self._open):
            if not future.done():
                future.set_exception(Broken("the connection was closed on this side", sent=True))
                # Who has given up already need not look at it.
                future.exception()

    def propose(self, data: bytes, *, timeout: float) -> asyncio.Future[bytes]:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[bytes] = loop.create_future()
        request = pb.ProposeRequest(data=data, timeout_ms=min(int(timeout * 1000) + 1, 0xFFFFFFFF))
        packed = request.SerializeToString()
        answer = self._request("Propose", packed, timeout, f"Propose {in_words(data)}")
        timer = loop.call_later(timeout, self._give_up, answer)

        def on_answered(answer: asyncio.Future[bytes]) -> None:
            timer.cancel()
            if result.done():
                # Whoever asked has given up already, and need not look at an error.
                if not answer.cancelled():
                    answer.exception()
                return
            try:
                result.set_result(_read(pb.ProposeResponse, answer.result()).result)
            except Broken as error:
                result.set_exception(self._failure(error, changes_something=True))
            except RaftifyError as error:
                result.set_exception(error)

        answer.add_done_callback(on_answered)
        return result

    def _give_up(self, answer: asyncio.Future[bytes]) -> None:
        if not answer.done():
            answer.set_exception(
                DeadlineExceeded(f"{self.address} did not answer a proposal before its deadline")
            )

    async def _call(
        self,
        method: Callable[[Any], Any],
        request: Any,
        *,
        timeout: float,
        changes_something: bool = True,
    ) -> Any:
        name: str = method(_Names())
        answer = self._request(name, request.SerializeToString(), timeout)
        try:
            async with asyncio.timeout(timeout):
                packed = await answer
        except TimeoutError:
            raise DeadlineExceeded(
                f"node at {self.address} did not answer before the deadline"
            ) from None
        except Broken as error:
            raise self._failure(error, changes_something=changes_something) from None
        return _read(_answer_class(name), packed)

    def _request(
        self, name: str, request: bytes, timeout: float, what: str = ""
    ) -> asyncio.Future[bytes]:
        if self._closed:
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            future.set_exception(Broken("the connection was closed on this side", sent=False))
            return future
        metadata = self._metadata

        def serve(port: Port, data: bytes, reply: Callable[[bytes], None]) -> None:
            port.service.calls.serve(name, data, metadata, timeout, reply)

        future = self._network.request(
            self._source, self.address, request, what or name, serve, _describe
        )
        self._open[future] = None
        future.add_done_callback(lambda done: self._open.pop(done, None))
        return future

    def _failure(self, error: Broken, *, changes_something: bool) -> RaftifyError:
        if error.sent and changes_something:
            return OutcomeUnknown(
                f"the connection to the node at {self.address} broke after the request may have "
                f"been sent ({error})"
            )
        return PeerUnreachable(f"the node at {self.address} cannot be reached ({error})")


class CallServer:
    """Answers the calls of SimulatedRemotes for `service`, in its own process."""

    def __init__(self, own: Handshake, service: PeerService, config: Config) -> None:
        self._own = own
        self._service = service
        self._calls = ClientCalls(service, own.from_id, config)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def serve(
        self,
        name: str,
        data: bytes,
        metadata: Any,
        left: float,
        reply: Callable[[bytes], None],
    ) -> None:
        """Carry call `name` out and `reply`."""
        try:
            if self._closing:
                raise NodeStopped("this node is stopping")
            check_caller(metadata, self._own, origin=self._service.origin())
            request = codec.parse(_request_class(name), data)
            if name == "Propose":
                self._propose(request, left, reply)
                return
        except RaftifyError as error:
            reply(_ERROR + encode_error(error))
            return
        method = getattr(self._calls, _CAPITAL.sub("_", name).lower())
        task = asyncio.get_running_loop().create_task(
            self._answer(method, request, left, reply), name=f"serve-{name}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _propose(self, request: Any, left: float, reply: Callable[[bytes], None]) -> None:
        # As over gRPC's stream of proposals, where an entry has no task of its own.
        def on_done(done: asyncio.Future[bytes]) -> None:
            error = None if done.cancelled() else done.exception()
            if error is not None:
                reply(_ERROR + encode_error(error))
            elif not done.cancelled():
                reply(_ANSWER + pb.ProposeResponse(result=done.result()).SerializeToString())

        self._service.propose(request.data, timeout=left).add_done_callback(on_done)

    async def _answer(
        self, method: Any, request: Any, left: float, reply: Callable[[bytes], None]
    ) -> None:
        try:
            answer = _ANSWER + (await method(request, left)).SerializeToString()
        except RaftifyError as error:
            answer = _ERROR + encode_error(error)
        except asyncio.CancelledError:
            if not self._closing:
                raise
            answer = _ERROR + encode_error(NodeStopped("this node is stopping"))
        reply(answer)

    async def close(self) -> None:
        """Refuse new calls, and end those that are under way."""
        self._closing = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _request_class(name: str) -> Any:
    return getattr(pb, f"{name}Request", pb.Empty)


def _answer_class(name: str) -> Any:
    return _ANSWERS.get(name) or getattr(pb, f"{name}Response")


def _describe(packed: bytes) -> str:
    return type(decode_error(packed[1:])).__name__ if packed[:1] == _ERROR else "done"


def _read(answer_class: Any, packed: bytes) -> Any:
    """Return the answer in `packed`, or raise the error that is in it."""
    if packed[:1] == _ERROR:
        raise decode_error(packed[1:])
    return codec.parse(answer_class, packed[1:])
