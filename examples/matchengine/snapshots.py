"""An engine as a stream of bytes: equal engines give equal bytes, on every node.

Books are not written: they are the open orders in their sequence.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from examples.matchengine.answers import Placed, Refused, Status, decode_answer
from examples.matchengine.book import Book, Order
from examples.matchengine.engine import Engine
from examples.matchengine.limits import Limits
from examples.matchengine.orders import PlaceOrder, Side
from examples.matchengine.tape import Tape, Trade
from raftify.state_machine import Writable

_MAGIC: Final = b"matchengine 1\n"
#: Sequence, last trade; numbers of symbols, orders, finished ids, trades.
_HEAD = struct.Struct(">QQIIII")
_LENGTH = struct.Struct(">I")
#: Sequence, remaining, status, length of the entry; the answer is the rest.
_ORDER = struct.Struct(">qqBH")
#: Price, quantity, side, lengths of symbol and taker's id; the maker's id is the rest.
_TRADE = struct.Struct(">qqBBB")
_PIECE_BYTES: Final = 1 << 16


def write_engine(engine: Engine, file: Writable) -> None:
    """Write the whole of `engine` in pieces."""
    tape = engine.tape
    trades = tape.since(0, tape.last)
    writer = _Writer(file)
    writer.raw(_MAGIC)
    writer.raw(
        _HEAD.pack(
            engine.sequence, tape.last, len(engine.books), len(engine.orders),
            len(engine.finished), len(trades),
        )
    )  # fmt: skip
    for symbol in engine.books:
        writer.record(symbol.encode("ascii"))
    for order in engine.orders.values():
        writer.record(_encode_order(order))
    for order_id in engine.finished:
        writer.record(order_id.encode("ascii"))
    for trade in trades:
        writer.record(_encode_trade(trade))
    writer.close()


def read_engine(file: BinaryIO, limits: Limits | None = None) -> Engine:
    """Return the engine that was written to `file`.

    Raises:
        ValueError: it is damaged, or no snapshot of this engine.
    """
    reader = _Reader(file)
    if reader.raw(len(_MAGIC)) != _MAGIC:
        raise ValueError("this is no snapshot of a matching engine of this version")
    sequence, last_trade, symbols, orders, finished, trades = _HEAD.unpack(reader.raw(_HEAD.size))
    engine = Engine(limits)
    engine.sequence = sequence
    engine.books = {symbol.decode("ascii"): Book() for symbol in reader.records(symbols)}
    for data in reader.records(orders):
        order = _decode_order(data)
        engine.orders[order.entry.id] = order
        if order.status is Status.OPEN:
            # In the sequence in which they came, so that older ones stand before younger ones.
            engine.books[order.entry.symbol].add(order)
    engine.finished.extend(data.decode("ascii") for data in reader.records(finished))
    engine.tape = Tape(engine.limits.trades_kept, last_trade - trades)
    for data in reader.records(trades):
        engine.tape.add(_decode_trade(data, engine.tape.last + 1))
    reader.close()
    return engine


class _Writer:
    """Collects small records into larger pieces, and ends with a checksum of everything."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._waiting = bytearray()
        self._checksum = 0

    def raw(self, data: bytes) -> None:
        self._waiting += data
        if len(self._waiting) >= _PIECE_BYTES:
            self._flush()

    def record(self, data: bytes) -> None:
        self.raw(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        self._flush()
        self._file.write(_LENGTH.pack(self._checksum))

    def _flush(self) -> None:
        piece = bytes(self._waiting)
        self._waiting.clear()
        self._checksum = zlib.crc32(piece, self._checksum)
        self._file.write(piece)


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._checksum = 0

    def raw(self, length: int) -> bytes:
        """Return the next `length` bytes; a file may hand them out in smaller pieces."""
        pieces = []
        while length:
            piece = self._file.read(length)
            if not piece:
                raise ValueError("the snapshot ends too early")
            pieces.append(piece)
            length -= len(piece)
        data = b"".join(pieces)
        self._checksum = zlib.crc32(data, self._checksum)
        return data

    def records(self, count: int) -> Iterator[bytes]:
        for _ in range(count):
            (length,) = _LENGTH.unpack(self.raw(_LENGTH.size))
            yield self.raw(length)

    def close(self) -> None:
        expected = _LENGTH.pack(self._checksum)
        if self.raw(_LENGTH.size) != expected or self._file.read(1):
            raise ValueError("the snapshot is damaged: its checksum is another")


def _encode_order(order: Order) -> bytes:
    assert order.answer is not None  # between commands every order has one
    entry = order.entry.encode()
    head = _ORDER.pack(order.sequence, order.remaining, order.status, len(entry))
    return head + entry + order.answer.encode()


def _decode_order(data: bytes) -> Order:
    sequence, remaining, status, length = _ORDER.unpack_from(data)
    end = _ORDER.size + length
    answer = decode_answer(data[end:])
    if not isinstance(answer, Placed | Refused):
        raise ValueError("the snapshot has an order with another command's answer")  # noqa: TRY004
    entry = PlaceOrder.decode(data[_ORDER.size : end])
    return Order(entry, sequence, remaining, Status(status), answer)


def _encode_trade(trade: Trade) -> bytes:
    symbol, taker = trade.symbol.encode("ascii"), trade.taker_id.encode("ascii")
    head = _TRADE.pack(trade.price, trade.quantity, trade.taker_side, len(symbol), len(taker))
    return head + symbol + taker + trade.maker_id.encode("ascii")


def _decode_trade(data: bytes, number: int) -> Trade:
    price, quantity, side, symbol_length, taker_length = _TRADE.unpack_from(data)
    text = data[_TRADE.size :].decode("ascii")
    taker_end = symbol_length + taker_length
    return Trade(
        number, text[:symbol_length], price, quantity, Side(side),
        text[symbol_length:taker_end], text[taker_end:],
    )  # fmt: skip
