"""Protobuf that nobody should send: random bytes, damaged messages, and fields that make no sense.

Everything comes from a `Random`, so that a seed repeats it and hypothesis can steer it.
"""

from __future__ import annotations

from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message as ProtobufMessage
from google.protobuf.message_factory import GetMessageClass

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)
#: Numbers at which code that counts in 32, 63 or 64 bits goes wrong.
EDGES = (0, 1, 2, 3, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
MOST_BYTES = 4096


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def field(number: int, data: bytes) -> bytes:
    """Return a field of wire type LENGTH."""
    return tag(number, LENGTH) + varint(len(data)) + data


def some_number(random: Random) -> int:
    if random.random() < 0.6:
        return random.choice(EDGES)
    return random.getrandbits(random.randint(1, 64))


def some_bytes(random: Random, most: int = 64) -> bytes:
    return random.randbytes(random.randint(0, most))


def some_message(random: Random, kind: type[ProtobufMessage], depth: int = 0) -> ProtobufMessage:
    """Return a message of that type with each field set or not, to values at the edges."""
    made = kind()
    for one in made.DESCRIPTOR.fields:
        if random.random() < 0.5 or (one.message_type is not None and depth > 4):
            continue
        repeated = hasattr(getattr(made, one.name), "append")
        values = [
            _some_value(random, one, depth) for _ in range(random.randint(1, 3) if repeated else 1)
        ]
        if one.message_type is not None:
            for value in values:
                if repeated:
                    getattr(made, one.name).add().CopyFrom(value)
                else:
                    getattr(made, one.name).CopyFrom(value)
        elif repeated:
            getattr(made, one.name).extend(values)
        else:
            setattr(made, one.name, values[0])
    return made


def _some_value(random: Random, of: Any, depth: int) -> Any:
    match of.type:
        case FieldDescriptor.TYPE_MESSAGE:
            return some_message(random, GetMessageClass(of.message_type), depth + 1)
        case FieldDescriptor.TYPE_BOOL:
            return random.random() < 0.5
        case FieldDescriptor.TYPE_STRING:
            return random.choice(("", "x", "127.0.0.1:1", "../../etc/passwd", "é" * 40, "\0"))
        case FieldDescriptor.TYPE_BYTES:
            return some_bytes(random)
        case FieldDescriptor.TYPE_ENUM:
            return random.choice((0, 1, 2, 3, 7, 18, 19, 99, 2**31 - 1, -1))
        case FieldDescriptor.TYPE_UINT64:
            return some_number(random)
        case FieldDescriptor.TYPE_INT64:
            return some_number(random) - 2**63
        case _:
            return some_number(random) & 0xFFFFFFFF


def nonsense_field(random: Random) -> bytes:
    """Return one field, or what looks like the beginning of one."""
    number = random.choice((0, 1, 2, 3, 7, 15, 16, 1000, 2**29 - 1, 2**29))
    match random.randrange(8):
        case 0:
            return tag(number, VARINT) + varint(some_number(random))
        case 1:  # more bytes than any varint has
            return tag(number, VARINT) + b"\xff" * random.randint(10, 20)
        case 2:  # a length beyond what follows, perhaps beyond any memory
            return tag(number, LENGTH) + varint(some_number(random)) + some_bytes(random)
        case 3:
            return field(number, some_bytes(random))
        case 4:
            return tag(number, random.choice((FIXED64, FIXED32))) + some_bytes(random, 9)
        case 5:  # groups, begun and never ended, or the other way round
            return tag(number, random.choice((START_GROUP, END_GROUP))) * random.randint(1, 50)
        case 6:  # wire types that there are not
            return tag(number, random.choice((6, 7)))
        case _:
            return nested(number, random.randint(1, 300))


def nested(number: int, depth: int) -> bytes:
    """Return field `number` within itself, `depth` times."""
    data = b""
    for _ in range(depth):
        data = field(number, data)
    return data


def damaged(random: Random, data: bytes) -> bytes:
    """Return `data` after a few accidents."""
    out = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(out))
        match random.randrange(6):
            case 0 if out:
                out[at % len(out)] ^= 1 << random.randrange(8)
            case 1:
                del out[at:]
            case 2:
                out[at:at] = some_bytes(random, 16)
            case 3:
                out += out[at : at + 64]
            case 4:
                out[at : at + random.randint(1, 8)] = b""
            case _:
                out[at:at] = nonsense_field(random)
    return bytes(out[:MOST_BYTES])


def anything(random: Random, kind: type[ProtobufMessage]) -> bytes:
    """Return bytes that may or may not be a message of that type."""
    match random.randrange(5):
        case 0:
            return some_bytes(random, 300)
        case 1:
            return b"".join(nonsense_field(random) for _ in range(random.randint(1, 6)))
        case 2:
            return some_message(random, kind).SerializeToString()
        case _:
            return damaged(random, some_message(random, kind).SerializeToString())
