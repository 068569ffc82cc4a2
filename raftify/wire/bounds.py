"""How many things a message may hold, counted before it is parsed.

An empty submessage takes two bytes on the wire and seventy in memory, and each costs microseconds
afterwards: 64 MB of them, within every limit of bytes, are gigabytes and a minute.
"""

from __future__ import annotations

from typing import Final

from raftify.errors import MalformedMessage

_LEAST_FIELD: Final = 2


def check_fields(data: bytes | memoryview, most: int, what: str, *, within: int = 0) -> None:
    """Raise MalformedMessage if `data` holds more than `most` fields; it is meant to be `what`.

    Fields of fields do not count, except those of the field numbered `within`. Data that cannot be
    read is left to the parser. Whatever is too short for so many fields is not looked at.
    """
    if len(data) > most * _LEAST_FIELD:
        _count(memoryview(data), most, what, within)


def check_parts(
    data: bytes | memoryview,
    what: str,
    *,
    whole: int,
    part: int,
    least: int,
    most: int,
    others: int,
) -> None:
    """Raise MalformedMessage if what `data` repeats is too small, or too much of it.

    Field `whole` of `data` is looked into. There may be `most` fields `part` in all of them, each
    of at least `least` bytes, and `others` of all other fields in each. What is refused is refused
    where it is found: small things cannot be many.
    """
    view = memoryview(data)
    at, end, left = 0, len(view), most
    while at < end:
        tag, at = _varint(view, at)
        inside = at
        at = _after(view, tag, at)
        if tag != whole << 3 | 2:
            continue
        _, inside = _varint(view, inside)
        left_here, until = others, min(at, end)
        while inside < until:
            tag, inside = _varint(view, inside)
            begin, inside = inside, _after(view, tag, inside)
            if tag != part << 3 | 2:
                left_here -= 1
            elif inside - begin <= least:
                raise MalformedMessage(f"{what} with a part of {inside - begin - 1} bytes")
            else:
                left -= 1
            if left < 0 or left_here < 0:
                raise MalformedMessage(f"{what} of more parts than anybody sends at once")


def _after(data: memoryview, tag: int, at: int) -> int:
    """Return where the field with this tag ends whose value begins at `at`."""
    match tag & 7:
        case 2:
            length, at = _varint(data, at)
            return at + length
        case 0:
            return _varint(data, at)[1]
        case 1:
            return at + 8
        case 5:
            return at + 4
    return at


def _count(data: memoryview, left: int, what: str, within: int) -> int:
    """Return how many of the fields that are `left` were not used."""
    at, end = 0, len(data)
    while at < end:
        if left == 0:
            raise MalformedMessage(f"{what} of more parts than anybody sends at once")
        left -= 1
        tag, at = _varint(data, at)
        begin, at = at, _after(data, tag, at)
        if within and tag == within << 3 | 2:
            _, begin = _varint(data, begin)
            left = _count(data[begin:at], left, what, 0)
    return left


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the varint at `at` and where it ends; the end of the data if there is none."""
    value = shift = 0
    end = min(len(data), at + 10)
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, len(data)
