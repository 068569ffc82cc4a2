"""What is replicated: an order that is placed, or the wish to cancel one. Written in binary."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from raftify import AbstractLogEntry

_PLACE: Final = 1
_CANCEL: Final = 2
#: Tag, side, kind, price, quantity, length of the symbol, length of the id.
_PLACE_HEAD = struct.Struct(">BBBqqBB")
#: Tag, length of the id.
_CANCEL_HEAD = struct.Struct(">BB")


class Side(IntEnum):
    BUY = 1
    SELL = 2


class Kind(IntEnum):
    #: At this price or better; what is not matched at once rests in the book.
    LIMIT = 1
    #: At any price; what is not matched at once is cancelled.
    MARKET = 2


@dataclass(frozen=True, slots=True)
class PlaceOrder(AbstractLogEntry):
    """Enter an order. `price` (0 for a market order) and `quantity` are in units, see amounts."""

    id: str
    symbol: str
    side: Side
    kind: Kind
    price: int
    quantity: int

    def encode(self) -> bytes:
        """Raise ValueError if it cannot be written; the engine refuses more than that."""
        symbol, order_id = self.symbol.encode("ascii"), self.id.encode("ascii")
        try:
            head = _PLACE_HEAD.pack(
                _PLACE, self.side, self.kind, self.price, self.quantity, len(symbol), len(order_id)
            )
        except struct.error as error:
            raise ValueError(f"an order has a field that is too large: {error}") from None
        return head + symbol + order_id

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raise ValueError if `data` is no order."""
        try:
            tag, side, kind, price, quantity, symbol_length, id_length = _PLACE_HEAD.unpack_from(
                data
            )
        except struct.error:
            raise ValueError("an order ends before its symbol") from None
        middle = _PLACE_HEAD.size + symbol_length
        if tag != _PLACE or len(data) != middle + id_length:
            raise ValueError("these bytes are no order")
        return cls(
            id=data[middle:].decode("ascii"),
            symbol=data[_PLACE_HEAD.size : middle].decode("ascii"),
            side=Side(side),
            kind=Kind(kind),
            price=price,
            quantity=quantity,
        )


@dataclass(frozen=True, slots=True)
class CancelOrder(AbstractLogEntry):
    """Take what is left of an order out of the book."""

    id: str

    def encode(self) -> bytes:
        """Raise ValueError if it cannot be written."""
        order_id = self.id.encode("ascii")
        if len(order_id) > 255:
            raise ValueError("an order id is much shorter than this one")
        return _CANCEL_HEAD.pack(_CANCEL, len(order_id)) + order_id

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raise ValueError if `data` is no cancellation."""
        if len(data) < _CANCEL_HEAD.size or data[0] != _CANCEL:
            raise ValueError("these bytes are no cancellation")
        if len(data) != _CANCEL_HEAD.size + data[1]:
            raise ValueError("a cancellation has another length than it says")
        return cls(data[_CANCEL_HEAD.size :].decode("ascii"))


Command = PlaceOrder | CancelOrder


def decode_command(data: bytes) -> Command:
    """Return the command in `data`; raise ValueError if there is none."""
    if data[:1] == bytes([_CANCEL]):
        return CancelOrder.decode(data)
    return PlaceOrder.decode(data)
