"""Requests that cannot be read: refused with our error, where gRPC would log a traceback each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar, cast

import grpc

from raftify.errors import MalformedMessage
from raftify.transport.status import Context, abort
from raftify.transport.stubs import MESSAGES_METHOD
from raftify.wire import codec, framing

_Q = TypeVar("_Q")
_A = TypeVar("_A")

#: What is more than protobuf is read by whoever packed it.
_READERS: Final[Mapping[str, Callable[[bytes], Any]]] = {MESSAGES_METHOD: framing.unpack_batch}

_Handler: TypeAlias = "grpc.RpcMethodHandler[_Q, _A]"


class RefuseMalformed(grpc.aio.ServerInterceptor):
    """Ends a call with MalformedMessage if what was sent is not what the call takes.

    In a stream the read raises it, as part of the call. A single request is read before the call
    begins, where an error is gRPC's; so it comes as bytes, and the call begins with reading it.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler[_Q, _A] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler[_Q, _A] | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        read = _READERS.get(handler_call_details.method) or partial(
            codec.read,
            handler.request_deserializer,
            what=f"request of {handler_call_details.method}",
        )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                handler.stream_stream, read, handler.response_serializer
            )
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(
                handler.stream_unary, read, handler.response_serializer
            )
        serve = cast("Callable[[_Q, Context], Awaitable[_A]]", handler.unary_unary)

        async def read_and_serve(data: bytes, context: Context) -> _A:
            try:
                request = read(data)
            except MalformedMessage as error:
                await abort(context, error)
            return await serve(request, context)

        unary: object = grpc.unary_unary_rpc_method_handler(
            read_and_serve, response_serializer=handler.response_serializer
        )
        return cast("_Handler[_Q, _A]", unary)
