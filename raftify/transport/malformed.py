"""How requests are read: within their limits, or refused with our error before they cost much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

import grpc

from raftify.errors import MalformedMessage, RaftifyError, TransportError
from raftify.transport.status import Context, abort
from raftify.transport.stubs import MESSAGES_METHOD
from raftify.wire import codec
from raftify.wire.bounds import check_fields

_Q = TypeVar("_Q")
_A = TypeVar("_A")

#: Seconds that the one request of a call has to arrive.
_ARRIVAL: Final = 30.0
#: The largest request that carries no entry and no query: names, addresses, a few numbers.
_SMALL_BYTES: Final = 256 * 1024
#: The names of calls whose requests may be larger.
_LARGE: Final = frozenset({"Propose", "ProposeStream", "SendMessage", "Query", "InstallSnapshot"})
#: Fields in a request; by `SendMessage` those of the message that it is wrapped around count, too.
#: A stream of proposals has one for each, and a client sends half as many in one request.
_MOST_FIELDS: Final = 8_192
_MOST_PROPOSALS: Final = 65_536
_MESSAGE_FIELD: Final = 1

_Handler: TypeAlias = "grpc.RpcMethodHandler[_Q, _A]"
_Metadata: TypeAlias = "Iterable[tuple[str, str | bytes]] | None"
#: Counts a call with this metadata while it lasts, or raises Overloaded.
Admit: TypeAlias = Callable[[_Metadata], AbstractContextManager[None]]


class RefuseMalformed(grpc.aio.ServerInterceptor):
    """Ends a call with MalformedMessage if what was sent is not what the call takes.

    In a stream the read raises it, as part of the call. gRPC reads a single request before the call
    begins, however long that takes, and where an error is gRPC's; so every call is a stream here,
    counted by `admit` before anything of it is read.
    """

    def __init__(self, admit: Admit) -> None:
        self._admit = admit

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler[_Q, _A] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler[_Q, _A] | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        method = handler_call_details.method
        # Batches are more than protobuf, and read by whoever takes them.
        read = (
            None
            if method == MESSAGES_METHOD
            else partial(_read, handler.request_deserializer, method.rpartition("/")[2])
        )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _forgetful(handler.stream_stream), read, handler.response_serializer
            )
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                _forgetful(handler.stream_unary), read, handler.response_serializer
            )
        serve = cast("Callable[[_Q, Context], Awaitable[_A]]", handler.unary_unary)
        assert read is not None
        parse = cast("Callable[[bytes], _Q]", read)

        async def read_and_serve(_: AsyncIterator[bytes], context: Context) -> _A:
            try:
                with self._admit(context.invocation_metadata()):
                    return await serve(parse(await _only(context)), context)
            except RaftifyError as error:
                await abort(context, error)

        unary: object = grpc.stream_unary_rpc_method_handler(
            _forgetful(read_and_serve), response_serializer=handler.response_serializer
        )
        return cast("_Handler[_Q, _A]", unary)


def _forgetful(serve: Any) -> Callable[[Any, Any], Awaitable[Any]]:
    """Return the handler `serve` so that nothing of a call that it aborted is kept.

    gRPC keeps the error with the call, where the garbage collector does not see it, and the error
    keeps the frames that it came through, which have the call and its last request: up to
    Config.max_grpc_message_bytes, for each call that was refused.
    """

    async def call(requests: object, context: object) -> object:
        try:
            return await serve(requests, context)
        except grpc.aio.AbortError as aborted:
            del requests, context
            aborted.__context__ = None
            raise aborted.with_traceback(None) from None

    return call


def _read(parse: Callable[[bytes], _Q], name: str, data: bytes) -> _Q:
    """Return the request of the call `name`.

    Raises:
        MalformedMessage: it is none, or more than anybody asks for.
    """
    what = f"request of {name}"
    if name not in _LARGE and len(data) > _SMALL_BYTES:
        raise MalformedMessage(f"a {what} of {len(data)} bytes; {_SMALL_BYTES} are allowed")
    within = _MESSAGE_FIELD if name == "SendMessage" else 0
    most = _MOST_PROPOSALS if name == "ProposeStream" else _MOST_FIELDS
    check_fields(data, most, f"a {what}", within=within)
    return codec.read(parse, data, what)


async def _only(context: Context) -> bytes:
    """Return the one request of a call.

    Raises:
        MalformedMessage: there is none.
        TransportError: it does not come.
    """
    try:
        async with asyncio.timeout(_ARRIVAL):
            # Not by the iterator, which would keep it for as long as the call is remembered.
            request = await context.read()
    except TimeoutError:
        raise TransportError(f"the request did not arrive within {_ARRIVAL:g} s") from None
    if not isinstance(request, bytes):
        raise MalformedMessage("a call came without its request")
    return request
