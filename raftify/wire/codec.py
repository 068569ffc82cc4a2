"""Core types to protobuf and back.

An entry is encoded once: the bytes are cached in `Entry.encoded` and serve the disk and every peer.
A decoded entry keeps the bytes it came from for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError

from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import MalformedMessage
from raftify.wire import eraftpb_pb2 as epb
from raftify.wire import raft_service_pb2 as pb

# A look-up costs a third of calling the enum; there is one of these calls per entry. No tuple here:
# the number comes from outside, and -1 would be found in one.
_ENTRY_TYPES = {int(entry_type): entry_type for entry_type in EntryType}
_MESSAGE_TYPES = tuple(MessageType)

_EntryWire = epb.Entry
_parse_entry = epb.Entry.FromString


_T = TypeVar("_T")


def parse(message_class: type[_T], data: bytes) -> _T:
    """Return `data` parsed as `message_class`.

    Raises:
        MalformedMessage: it is not one.
    """
    deserialize: Callable[[bytes], _T] = message_class.FromString  # type: ignore[attr-defined]  # generated
    return read(deserialize, data, message_class.__name__)


def read(deserialize: Callable[[bytes], _T], data: bytes, what: str) -> _T:
    """Return what a generated class's `deserialize` makes of `data`; `what` is it meant to be.

    Raises:
        MalformedMessage: it makes nothing of it.
    """
    try:
        return deserialize(data)
    except DecodeError as error:
        raise MalformedMessage(f"{len(data)} bytes are no {what}: {error}") from error


def encode_entry(entry: Entry) -> bytes:
    """Return the entry's wire form, made once and kept in `entry.encoded`."""
    encoded = entry.encoded
    if encoded is None:
        encoded = entry.encoded = _EntryWire(
            entry_type=entry.entry_type,  # type: ignore[arg-type]  # the numbers are the same
            term=entry.term,
            index=entry.index,
            data=entry.data,
            context=entry.context,
        ).SerializeToString()
    return encoded


def decode_entry(encoded: bytes) -> Entry:
    """Return the entry that `encoded` is the wire form of, which it keeps.

    Raises:
        MalformedMessage: it is no entry.
    """
    try:
        wire = _parse_entry(encoded)
        return Entry(
            _ENTRY_TYPES[wire.entry_type],
            wire.term,
            wire.index,
            wire.data,
            wire.context,
            encoded,
        )
    except (DecodeError, KeyError) as error:
        raise MalformedMessage(f"{len(encoded)} bytes are no entry: {error}") from error


def conf_state_to_wire(conf_state: ConfState) -> epb.ConfState:
    return epb.ConfState(
        voters=conf_state.voters,
        learners=conf_state.learners,
        voters_outgoing=conf_state.voters_outgoing,
        learners_next=conf_state.learners_next,
        auto_leave=conf_state.auto_leave,
    )


def conf_state_from_wire(wire: epb.ConfState) -> ConfState:
    return ConfState(
        voters=tuple(wire.voters),
        learners=tuple(wire.learners),
        voters_outgoing=tuple(wire.voters_outgoing),
        learners_next=tuple(wire.learners_next),
        auto_leave=wire.auto_leave,
    )


def encode_hard_state(hard_state: HardState) -> bytes:
    return epb.HardState(
        term=hard_state.term, vote=hard_state.vote, commit=hard_state.commit
    ).SerializeToString()


def decode_hard_state(data: bytes) -> HardState:
    wire = parse(epb.HardState, data)
    return HardState(wire.term, wire.vote, wire.commit)


def snapshot_to_wire(snapshot: Snapshot) -> epb.Snapshot:
    metadata = snapshot.metadata
    return epb.Snapshot(
        data=snapshot.data,
        metadata=epb.SnapshotMetadata(
            conf_state=conf_state_to_wire(metadata.conf_state),
            index=metadata.index,
            term=metadata.term,
        ),
    )


def snapshot_from_wire(wire: epb.Snapshot) -> Snapshot:
    metadata = wire.metadata
    return Snapshot(
        data=wire.data,
        metadata=SnapshotMetadata(
            conf_state=conf_state_from_wire(metadata.conf_state),
            index=metadata.index,
            term=metadata.term,
        ),
    )


def encode_snapshot(snapshot: Snapshot) -> bytes:
    return snapshot_to_wire(snapshot).SerializeToString()


def decode_snapshot(data: bytes) -> Snapshot:
    return snapshot_from_wire(parse(epb.Snapshot, data))


def message_to_wire(message: Message) -> pb.RawMessage:
    """Return the message in the form that carries entries as bytes already encoded."""
    return add_message(pb.MessageBatch(), message)


def add_message(batch: pb.MessageBatch, message: Message) -> pb.RawMessage:
    """Append `message` to `batch`, and return it there.

    It is filled in place: adding one that was made before would copy every entry once more.
    """
    wire = batch.messages.add(
        msg_type=message.msg_type,
        to=message.to,
        term=message.term,
        log_term=message.log_term,
        index=message.index,
        entries=[e.encoded or encode_entry(e) for e in message.entries],
        commit=message.commit,
        reject=message.reject,
        reject_hint=message.reject_hint,
        context=message.context,
        request_snapshot=message.request_snapshot,
        commit_term=message.commit_term,
        priority=message.priority,
    )
    setattr(wire, "from", message.from_)
    if message.snapshot is not None:
        wire.snapshot.CopyFrom(snapshot_to_wire(message.snapshot))
    return wire


def message_from_wire(wire: pb.RawMessage) -> Message:
    """Return the message.

    Raises:
        MalformedMessage: its type is unknown, or an entry in it cannot be read.
    """
    if not 0 <= wire.msg_type < len(_MESSAGE_TYPES):
        raise MalformedMessage(f"message type {wire.msg_type} is unknown")
    return Message(
        msg_type=_MESSAGE_TYPES[wire.msg_type],
        to=wire.to,
        from_=getattr(wire, "from"),
        term=wire.term,
        log_term=wire.log_term,
        index=wire.index,
        entries=[decode_entry(e) for e in wire.entries],
        commit=wire.commit,
        commit_term=wire.commit_term,
        snapshot=snapshot_from_wire(wire.snapshot) if wire.HasField("snapshot") else None,
        request_snapshot=wire.request_snapshot,
        reject=wire.reject,
        reject_hint=wire.reject_hint,
        context=wire.context,
        priority=wire.priority,
    )


def conf_change_to_wire(change: ConfChangeV2) -> epb.ConfChangeV2:
    return epb.ConfChangeV2(
        transition=change.transition,  # type: ignore[arg-type]  # the numbers are the same
        changes=[
            epb.ConfChangeSingle(
                change_type=single.change_type,  # type: ignore[arg-type]  # likewise
                node_id=single.node_id,
            )
            for single in change.changes
        ],
        context=change.context,
    )


def conf_change_from_wire(wire: epb.ConfChangeV2) -> ConfChangeV2:
    """Raise MalformedMessage if a transition or a type of change is unknown."""
    try:
        return ConfChangeV2(
            transition=ConfChangeTransition(wire.transition),
            changes=tuple(
                ConfChangeSingle(ConfChangeType(single.change_type), single.node_id)
                for single in wire.changes
            ),
            context=wire.context,
        )
    except ValueError as error:
        raise MalformedMessage(f"a configuration change cannot be read: {error}") from error
