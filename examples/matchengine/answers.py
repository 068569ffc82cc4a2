"""What the engine says to a command. A refusal is an answer like others: every node gives it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final

from examples.matchengine.amounts import format_amount

_PLACED: Final = 1
_CANCELLED: Final = 2
_REFUSED: Final = 3
#: Tag, status, sequence, filled, remaining, first trade, number of trades, fills told, id's length.
_PLACED_HEAD = struct.Struct(">BBqqqqIHB")
#: Price, quantity, length of the maker's id.
_FILL = struct.Struct(">qqB")
#: Tag, quantity, length of the id.
_CANCELLED_HEAD = struct.Struct(">BqB")
#: Tag, length of the reason; the message is the rest.
_REFUSED_HEAD = struct.Struct(">BB")


class Status(IntEnum):
    OPEN = 1
    FILLED = 2
    CANCELLED = 3
    REFUSED = 4


class Reason(StrEnum):
    """Why a command had no effect."""

    BAD_COMMAND = "BadCommand"
    BAD_ID = "BadId"
    BAD_SYMBOL = "BadSymbol"
    BAD_PRICE = "BadPrice"
    BAD_QUANTITY = "BadQuantity"
    ID_IN_USE = "IdInUse"
    TOO_MANY_SYMBOLS = "TooManySymbols"
    TOO_MANY_OPEN_ORDERS = "TooManyOpenOrders"
    UNKNOWN_ORDER = "UnknownOrder"
    NOT_OPEN = "NotOpen"


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade as its taker is told of it."""

    maker_id: str
    price: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Placed:
    """The order was taken. `status` is how it stood right then; `sequence` is its place in time.

    Its trades are `trade_count` from number `first_trade` on; `fills` are the first of them.
    """

    id: str
    sequence: int
    status: Status
    filled: int
    remaining: int
    first_trade: int = 0
    trade_count: int = 0
    fills: tuple[Fill, ...] = ()

    def encode(self) -> bytes:
        order_id = self.id.encode("ascii")
        head = _PLACED_HEAD.pack(
            _PLACED, self.status, self.sequence, self.filled, self.remaining, self.first_trade,
            self.trade_count, len(self.fills), len(order_id),
        )  # fmt: skip
        return b"".join((head, order_id, *map(_encode_fill, self.fills)))

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status.name.lower(),
            "id": self.id,
            "sequence": self.sequence,
            "filled": format_amount(self.filled),
            "remaining": format_amount(self.remaining),
            "trade_count": self.trade_count,
            "trades": [
                {
                    "number": number,
                    "maker": fill.maker_id,
                    "price": format_amount(fill.price),
                    "quantity": format_amount(fill.quantity),
                }
                for number, fill in enumerate(self.fills, self.first_trade)
            ],
        }


@dataclass(frozen=True, slots=True)
class Cancelled:
    """`quantity`, in units, was taken out of the book; the same again for the same order."""

    id: str
    quantity: int

    def encode(self) -> bytes:
        order_id = self.id.encode("ascii")
        return _CANCELLED_HEAD.pack(_CANCELLED, self.quantity, len(order_id)) + order_id

    def as_json(self) -> dict[str, Any]:
        return {"status": "cancelled", "id": self.id, "quantity": format_amount(self.quantity)}


@dataclass(frozen=True, slots=True)
class Refused:
    """The command had no effect. `message` says what would be accepted."""

    reason: Reason
    message: str

    def encode(self) -> bytes:
        reason = self.reason.encode("ascii")
        return _REFUSED_HEAD.pack(_REFUSED, len(reason)) + reason + self.message.encode()

    def as_json(self) -> dict[str, Any]:
        return {"status": "refused", "reason": str(self.reason), "message": self.message}


Answer = Placed | Cancelled | Refused


def decode_answer(data: bytes) -> Answer:
    """Return the answer in `data`; raise ValueError if there is none."""
    try:
        if data[:1] == bytes([_PLACED]):
            return _decode_placed(data)
        if data[:1] == bytes([_CANCELLED]):
            _, quantity, length = _CANCELLED_HEAD.unpack_from(data)
            return Cancelled(_text(data, _CANCELLED_HEAD.size, length), quantity)
        if data[:1] == bytes([_REFUSED]):
            _, length = _REFUSED_HEAD.unpack_from(data)
            start = _REFUSED_HEAD.size
            reason = Reason(_text(data, start, length))
            return Refused(reason, data[start + length :].decode())
    except struct.error as error:
        raise ValueError(f"an answer ends too early: {error}") from None
    raise ValueError("these bytes are no answer of a matching engine")


def _encode_fill(fill: Fill) -> bytes:
    maker_id = fill.maker_id.encode("ascii")
    return _FILL.pack(fill.price, fill.quantity, len(maker_id)) + maker_id


def _decode_placed(data: bytes) -> Placed:
    (_, status, sequence, filled, remaining, first_trade, trade_count, told, length) = (
        _PLACED_HEAD.unpack_from(data)
    )
    position = _PLACED_HEAD.size
    order_id = _text(data, position, length)
    position += length
    fills = []
    for _ in range(told):
        price, quantity, length = _FILL.unpack_from(data, position)
        position += _FILL.size
        fills.append(Fill(_text(data, position, length), price, quantity))
        position += length
    return Placed(
        order_id, sequence, Status(status), filled, remaining, first_trade, trade_count,
        tuple(fills),
    )  # fmt: skip


def _text(data: bytes, start: int, length: int) -> str:
    if len(data) < start + length:
        raise ValueError("an answer ends within a text")
    return data[start : start + length].decode("ascii")
