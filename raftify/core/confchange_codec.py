"""Configuration changes as entry data, in the protobuf wire form of `protos/eraftpb.proto`.

The core reads and writes these itself, since what an entry means must not depend on a library: all
nodes have to read the same change out of the same bytes. Encoded bytes are those of protobuf.
Reference: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

from raftify.core.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
)
from raftify.errors import ConfigError, MalformedMessage

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_GROUP_START: Final = 3
_GROUP_END: Final = 4
_FIXED32: Final = 5

_MAX_UINT64: Final = (1 << 64) - 1
_MAX_TAG: Final = (1 << 32) - 1
#: protobuf's own limit to how deep unknown groups may nest.
_MAX_GROUP_DEPTH: Final = 100

_Enum = TypeVar("_Enum", ConfChangeType, ConfChangeTransition)


def encode_conf_change(change: ConfChange) -> bytes:
    """Return the data of a CONF_CHANGE entry.

    Raises:
        ConfigError: an id is no unsigned number of 64 bits.
    """
    return (
        _encode_number(1, change.id)
        + _encode_number(2, change.change_type)
        + _encode_number(3, change.node_id)
        + _encode_bytes(4, change.context)
    )


def encode_conf_change_v2(change: ConfChangeV2) -> bytes:
    """Return the data of a CONF_CHANGE_V2 entry; b"" for the change that leaves a joint one.

    Raises:
        ConfigError: an id is no unsigned number of 64 bits.
    """
    parts = [_encode_number(1, change.transition)]
    for single in change.changes:
        encoded = _encode_number(1, single.change_type) + _encode_number(2, single.node_id)
        parts += (_encode_varint(2 << 3 | _BYTES), _encode_varint(len(encoded)), encoded)
    parts.append(_encode_bytes(3, change.context))
    return b"".join(parts)


def decode_conf_change(data: bytes) -> ConfChange:
    """Return the change that `data` is the wire form of; unknown fields are skipped.

    Raises:
        MalformedMessage: it is none, or names a type of change that this version does not know.
    """
    change = ConfChange()
    change_type = 0
    for field, value in _fields(data):
        match field, value:
            case 1, int():
                change.id = value
            case 2, int():
                change_type = value
            case 3, int():
                change.node_id = value
            case 4, bytes():
                change.context = value
    change.change_type = _enum(ConfChangeType, change_type)
    return change


def decode_conf_change_v2(data: bytes) -> ConfChangeV2:
    """Return the change that `data` is the wire form of; unknown fields are skipped.

    Raises:
        MalformedMessage: it is none, or names a type of change that this version does not know.
    """
    change = ConfChangeV2()
    transition = 0
    changes: list[ConfChangeSingle] = []
    for field, value in _fields(data):
        match field, value:
            case 1, int():
                transition = value
            case 2, bytes():
                changes.append(_decode_single(value))
            case 3, bytes():
                change.context = value
    change.transition = _enum(ConfChangeTransition, transition)
    change.changes = tuple(changes)
    return change


def _decode_single(data: bytes) -> ConfChangeSingle:
    change_type = node_id = 0
    for field, value in _fields(data):
        match field, value:
            case 1, int():
                change_type = value
            case 2, int():
                node_id = value
    return ConfChangeSingle(_enum(ConfChangeType, change_type), node_id)


def into_v2(change: ConfChange | ConfChangeV2) -> ConfChangeV2:
    """Return `change` in the second form, which can say whatever the first can."""
    if isinstance(change, ConfChangeV2):
        return change
    single = ConfChangeSingle(change.change_type, change.node_id)
    return ConfChangeV2(changes=(single,), context=change.context)


def enter_joint(change: ConfChangeV2) -> bool | None:
    """Return None if `change` is simple; else whether to leave the joint configuration by itself.

    Several changes always go through a joint configuration: whether they could do without depends
    on the configuration that they meet.
    """
    if change.transition is ConfChangeTransition.AUTO and len(change.changes) <= 1:
        return None
    return change.transition is not ConfChangeTransition.EXPLICIT


def leave_joint(change: ConfChangeV2) -> bool:
    """Return whether `change` leaves a joint configuration: it is empty but for its context."""
    return change.transition is ConfChangeTransition.AUTO and not change.changes


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _encode_number(field: int, value: int) -> bytes:
    if not 0 <= value <= _MAX_UINT64:
        raise ConfigError(f"{value} cannot be an id: ids are whole numbers from 0 to {_MAX_UINT64}")
    if value == 0:
        return b""
    return _encode_varint(field << 3 | _VARINT) + _encode_varint(value)


def _encode_bytes(field: int, value: bytes) -> bytes:
    if not value:
        return b""
    return _encode_varint(field << 3 | _BYTES) + _encode_varint(len(value)) + value


def _enum(kind: type[_Enum], value: int) -> _Enum:
    try:
        # protobuf reads enums as numbers of 32 bits and drops what is above.
        return kind(value & 0xFFFF_FFFF)
    except ValueError:
        raise MalformedMessage(
            f"{value} is no {kind.__name__} that this version knows; was the entry written by a "
            "newer one?"
        ) from None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field's number and value, if of a type that our messages use; skip the rest."""
    position = 0
    open_groups: list[int] = []
    while position < len(data):
        tag, position = _read_varint(data, position)
        field, wire_type = tag >> 3, tag & 7
        if field == 0 or tag > _MAX_TAG:
            raise MalformedMessage(f"a configuration change with the impossible field tag {tag}")
        value: int | bytes | None = None
        if wire_type == _VARINT:
            value, position = _read_varint(data, position)
        elif wire_type == _BYTES:
            length, position = _read_varint(data, position)
            value, position = _read_exactly(data, position, length)
        elif wire_type == _FIXED64:
            _, position = _read_exactly(data, position, 8)
        elif wire_type == _FIXED32:
            _, position = _read_exactly(data, position, 4)
        else:
            _open_or_close(open_groups, field, wire_type)
        if value is not None and not open_groups:
            yield field, value
    if open_groups:
        raise MalformedMessage(f"a configuration change ends within group {open_groups[-1]}")


def _open_or_close(open_groups: list[int], field: int, wire_type: int) -> None:
    if wire_type == _GROUP_START and len(open_groups) < _MAX_GROUP_DEPTH:
        open_groups.append(field)
    elif wire_type == _GROUP_END and open_groups and open_groups[-1] == field:
        open_groups.pop()
    else:
        raise MalformedMessage(
            f"a configuration change in which field {field} has the wire type {wire_type}, which "
            "has no place there"
        )


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    # Ten bytes of seven bits are the most that 64 bits need.
    for shift in range(0, 70, 7):
        if position == len(data):
            raise MalformedMessage("a configuration change ends within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MAX_UINT64, position
    raise MalformedMessage("a configuration change holds a number of more than ten bytes")


def _read_exactly(data: bytes, position: int, length: int) -> tuple[bytes, int]:
    end = position + length
    if end > len(data):
        raise MalformedMessage(
            f"a configuration change ends {end - len(data)} bytes short of what it announces"
        )
    return data[position:end], end
