"""Errors to gRPC statuses and back. The typed error itself travels in the trailing metadata."""

from __future__ import annotations

import asyncio
from typing import Final, Never, Protocol, TypeAlias, TypeVar

import grpc

from raftify import errors
from raftify.errors import (
    DeadlineExceeded,
    MalformedMessage,
    OutcomeUnknown,
    PeerRefused,
    PeerUnreachable,
    ProposalTooLarge,
    RaftifyError,
    TransportError,
)
from raftify.wire.errors_codec import decode_error, encode_error

ERROR_KEY: Final = "raftify-error-bin"
_STATUS_PATIENCE: Final = 2.0
#: How gRPC says that a message is beyond the limit of one end, and that it was the request. What
#: does not say which, as with older versions of gRPC, may have been the answer.
_TOO_LARGE: Final = "message larger than max"
_REQUEST_TOO_LARGE: Final = ("CLIENT: Sent message larger", "SERVER: Received message larger")


class _Message(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's name


_M = TypeVar("_M", bound=_Message | bytes)
_A = TypeVar("_A")
_Writable: TypeAlias = "grpc.aio.StreamUnaryCall[_M, _A] | grpc.aio.StreamStreamCall[_M, _A]"

_Code = grpc.StatusCode
#: What a call carries is nothing to those who only begin and end it.
Context = grpc.aio.ServicerContext[object, object]
#: Looked up along the class's ancestors, so that a subclass need not be listed.
_CODES: Final[dict[type[BaseException], grpc.StatusCode]] = {
    errors.ConfigError: _Code.INVALID_ARGUMENT,
    errors.Rejected: _Code.FAILED_PRECONDITION,
    errors.NoLeader: _Code.UNAVAILABLE,
    errors.Overloaded: _Code.RESOURCE_EXHAUSTED,
    errors.LeaderTransferring: _Code.UNAVAILABLE,
    errors.ProposalTooLarge: _Code.INVALID_ARGUMENT,
    errors.PendingConfChange: _Code.ABORTED,
    errors.NotPermitted: _Code.PERMISSION_DENIED,
    errors.OutcomeUnknown: _Code.ABORTED,
    errors.DeadlineExceeded: _Code.DEADLINE_EXCEEDED,
    errors.StorageFull: _Code.RESOURCE_EXHAUSTED,
    errors.SnapshotTemporarilyUnavailable: _Code.UNAVAILABLE,
    errors.PeerRefused: _Code.FAILED_PRECONDITION,
    errors.PeerUnreachable: _Code.UNAVAILABLE,
    errors.MalformedMessage: _Code.INVALID_ARGUMENT,
    errors.NodeStopped: _Code.UNAVAILABLE,
}


def status_of(error: BaseException) -> grpc.StatusCode:
    for kind in type(error).__mro__:
        code = _CODES.get(kind)
        if code is not None:
            return code
    return _Code.INTERNAL


async def abort(context: Context, error: RaftifyError) -> Never:
    """End the call with `error`: a status for anyone, the typed error for us."""
    encoded = encode_error(error)
    details = decode_error(encoded).args[0]
    await context.abort(status_of(error), details, ((ERROR_KEY, encoded),))


class StreamEnded(Exception):
    """A write came too late: the other end has ended the call, and its status says why."""


async def write(call: _Writable[_M, _A], request: _M) -> None:
    """Write `request`, which may be encoded already, to a stream whose initial metadata has come.

    `call.write` would do, were it not that grpc.aio puts INTERNAL in the place of the status that
    the other end sent, for good, as soon as a write fails because of that status: of 200 streams
    refused while they were written to, 195 lost the reason. Nothing public avoids that, so this is
    the one place that goes beneath; without the attribute it is `call.write`, and reasons get lost.

    Raises:
        StreamEnded: the call has ended; `outcome_of` tells why.
    """
    if call.done():
        raise StreamEnded
    inner = getattr(call, "_cython_call", None)
    try:
        if inner is None:
            await call.write(request)
        else:
            data = request if isinstance(request, bytes) else request.SerializeToString()
            await inner.send_serialized_message(data)
    except (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
        await _await_status(call)
        raise StreamEnded from None


async def _await_status(call: _Writable[_M, _A]) -> None:
    """Wait until a call that has ended knows how; the status comes right behind the failure."""
    try:
        async with asyncio.timeout(_STATUS_PATIENCE):
            await call.code()
    except TimeoutError:
        call.cancel()


async def finish_writing(call: _Writable[_M, _A]) -> None:
    """Tell the other end that nothing more comes. Raises StreamEnded as `write` does."""
    try:
        await call.done_writing()
    except (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
        await _await_status(call)
        raise StreamEnded from None


async def outcome_of(call: grpc.aio.Call) -> grpc.aio.AioRpcError | None:
    """Wait for the end of `call`; return what it ended with, None if that was well."""
    code = await call.code()
    if code is _Code.OK:
        return None
    return grpc.aio.AioRpcError(
        code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )


def is_being_cancelled() -> bool:
    """Say whether a CancelledError is meant for this task, or comes from a call that was ended."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def typed_error_in(error: grpc.aio.AioRpcError) -> RaftifyError | None:
    """Return the typed error that the other end answered with, None if gRPC made the error."""
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_KEY and isinstance(value, bytes):
            return decode_error(value)
    return None


def describe(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"


def error_of_call(
    error: grpc.aio.AioRpcError, address: str, *, changes_something: bool
) -> RaftifyError:
    """Return what a failed call means for whoever made it.

    `changes_something` says that the call, had it arrived, would have: then its outcome is open as
    soon as it may have left this machine.
    """
    typed = typed_error_in(error)
    if typed is not None:
        return typed
    where = f"node at {address}"
    match error.code():
        case _Code.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"{where} did not answer before the deadline")
        case _Code.UNAVAILABLE | _Code.CANCELLED if changes_something:
            return OutcomeUnknown(
                f"the connection to the {where} broke after the request may have been sent "
                f"({describe(error)})"
            )
        case _Code.UNAVAILABLE | _Code.CANCELLED:
            return PeerUnreachable(f"the connection to the {where} broke ({describe(error)})")
        case _Code.UNIMPLEMENTED:
            return PeerRefused(f"the {where} does not offer this call ({describe(error)})")
        case _Code.RESOURCE_EXHAUSTED if _TOO_LARGE in (error.details() or ""):
            return _too_large(error, where, changes_something=changes_something)
        case _Code.INVALID_ARGUMENT:
            return MalformedMessage(f"the {where} cannot read the request ({describe(error)})")
        case _ if changes_something:
            return OutcomeUnknown(f"the call to the {where} failed ({describe(error)})")
        case _:
            return TransportError(f"the call to the {where} failed ({describe(error)})")


def _too_large(error: grpc.aio.AioRpcError, where: str, *, changes_something: bool) -> RaftifyError:
    limit = f"see Config.max_grpc_message_bytes of both ({error.details()})"
    if any(words in (error.details() or "") for words in _REQUEST_TOO_LARGE):
        return ProposalTooLarge(
            f"the request is larger than this side or the {where} takes: {limit}"
        )
    kind = OutcomeUnknown if changes_something else TransportError
    return kind(f"the answer of the {where} is larger than it or this side takes: {limit}")


async def settle(*tasks: asyncio.Task[object] | asyncio.Task[None]) -> None:
    """Cancel `tasks` and wait until every one of them has ended, whatever it ended with."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
