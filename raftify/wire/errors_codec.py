"""Typed errors over the wire: the class by its name in `raftify.errors`, and what it carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from raftify.errors import (
    MalformedMessage,
    NodeRemoved,
    NotLeader,
    RaftifyError,
    StateMachineError,
)
from raftify.wire import codec
from raftify.wire import raft_service_pb2 as pb

#: Trailing metadata is limited (8 KiB by default), and the status details carry the text too.
_MAX_MESSAGE_CHARACTERS: Final = 1000


def _descend(root: type[RaftifyError]) -> Iterator[type[RaftifyError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == root.__module__:
            yield from _descend(child)


_KINDS: Final = {kind.__name__: kind for kind in _descend(RaftifyError)}


def error_to_wire(error: BaseException) -> pb.Error:
    """Return `error` for another node or a client to read.

    A user's subclass goes as its nearest ancestor in `raftify.errors`. What is no RaftifyError says
    nothing but that there was one: its text may hold what is nobody's business.
    """
    if not isinstance(error, RaftifyError):
        return pb.Error(kind=RaftifyError.__name__, message="internal error; see the node's log")
    kind = next(c for c in type(error).__mro__ if _KINDS.get(c.__name__) is c)
    text = _shortened(str(error))
    if isinstance(error, NotLeader):
        return pb.Error(
            kind=kind.__name__,
            message=text,
            leader_id=error.leader_id,
            leader_address=error.leader_address,
        )
    known_to_most = isinstance(error, NodeRemoved) and error.known_to_most
    return pb.Error(kind=kind.__name__, message=text, known_to_most=known_to_most)


def error_from_wire(wire: pb.Error) -> RaftifyError:
    """Return the error; one of a kind that this version does not know is a plain RaftifyError."""
    kind = _KINDS.get(wire.kind)
    if kind is None:
        return RaftifyError(f"{wire.kind}: {wire.message}" if wire.kind else wire.message)
    if issubclass(kind, NotLeader):
        return kind(wire.message, leader_id=wire.leader_id, leader_address=wire.leader_address)
    if issubclass(kind, NodeRemoved):
        return kind(wire.message, known_to_most=wire.known_to_most)
    if issubclass(kind, StateMachineError):
        return StateMachineError(wire.message)
    return kind(wire.message)


def encode_error(error: BaseException) -> bytes:
    return error_to_wire(error).SerializeToString()


def decode_error(data: bytes) -> RaftifyError:
    """Return the error in `data`, or the MalformedMessage that reading it ended with."""
    try:
        return error_from_wire(codec.parse(pb.Error, data))
    except MalformedMessage as error:
        return error


def _shortened(text: str) -> str:
    if len(text) > _MAX_MESSAGE_CHARACTERS:
        text = text[:_MAX_MESSAGE_CHARACTERS] + "..."
    # Lone surrogates (from a file name, say) have no UTF-8 form.
    return text.encode("utf-8", "replace").decode("utf-8")
