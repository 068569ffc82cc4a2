"""The matching engine: all books, all orders that are known, all trades. Pure and deterministic.

What it does depends on its state and the command, on nothing else: no clock, no randomness, no
order of a set. Time is the order of the commands.
"""

from __future__ import annotations

from collections import deque

from examples.matchengine.answers import (
    Answer,
    Cancelled,
    Fill,
    Placed,
    Reason,
    Refused,
    Status,
)
from examples.matchengine.book import Book, Match, Order
from examples.matchengine.limits import ID, Limits, fault_of, refused_id
from examples.matchengine.orders import CancelOrder, Command, Kind, PlaceOrder
from examples.matchengine.tape import Tape, Trade


class Engine:
    """The whole state. Read it freely; only `execute` changes it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.books: dict[str, Book] = {}
        #: By id: those that are open, and those that were done last.
        self.orders: dict[str, Order] = {}
        #: Ids of orders that are done, the longest done first.
        self.finished: deque[str] = deque()
        self.tape = Tape(self.limits.trades_kept)
        #: How many orders were taken.
        self.sequence = 0

    @property
    def open_orders(self) -> int:
        return len(self.orders) - len(self.finished)

    def execute(self, command: Command) -> Answer:
        return self.cancel(command) if isinstance(command, CancelOrder) else self.place(command)

    def place(self, entry: PlaceOrder) -> Placed | Refused:
        """Match an order and put what is left of a limit order into the book.

        An order that is known gets the answer that it got, and nothing happens.
        """
        fault = fault_of(entry, self.limits)
        if fault is not None:
            return fault
        known = self.orders.get(entry.id)
        if known is not None:
            return _answer_again(known, entry)
        refused = self._no_room_for(entry)
        if refused is not None:
            # Kept, lest a second copy of the order that was refused be taken later.
            self.orders[entry.id] = order = Order(entry, 0, entry.quantity, answer=refused)
            self._finish(order, Status.REFUSED)
            return refused
        return self._trade(entry)

    def cancel(self, command: CancelOrder) -> Cancelled | Refused:
        """Take what is left of an open order out of its book; again, the answer is the same."""
        if not ID.fullmatch(command.id):
            return refused_id()
        order = self.orders.get(command.id)
        if order is None:
            return Refused(
                Reason.UNKNOWN_ORDER, f"there is no order {command.id}, or it was done long ago"
            )
        if order.status is Status.OPEN:
            self.books[order.entry.symbol].remove(order)
            self._finish(order, Status.CANCELLED)
        elif order.status is not Status.CANCELLED:
            return Refused(
                Reason.NOT_OPEN, f"order {command.id} is {order.status.name.lower()} already"
            )
        return Cancelled(command.id, order.remaining)

    def _no_room_for(self, entry: PlaceOrder) -> Refused | None:
        if entry.symbol not in self.books and len(self.books) >= self.limits.max_symbols:
            return Refused(
                Reason.TOO_MANY_SYMBOLS, f"there are {self.limits.max_symbols} symbols already"
            )
        if entry.kind is Kind.LIMIT and self.open_orders >= self.limits.max_open_orders:
            return Refused(
                Reason.TOO_MANY_OPEN_ORDERS,
                f"{self.limits.max_open_orders} orders are open already: cancel some, or try a "
                "market order",
            )
        return None

    def _trade(self, entry: PlaceOrder) -> Placed:
        book = self.books.get(entry.symbol)
        if book is None:
            book = self.books[entry.symbol] = Book()
        self.sequence += 1
        order = self.orders[entry.id] = Order(entry, self.sequence, entry.quantity)
        first_trade = self.tape.last + 1
        matches = book.match(order)
        for match in matches:
            self._record(order, match)
        if not order.remaining:
            self._finish(order, Status.FILLED)
        elif entry.kind is Kind.MARKET:
            self._finish(order, Status.CANCELLED)
        else:
            book.add(order)
        order.answer = Placed(
            id=entry.id,
            sequence=order.sequence,
            status=order.status,
            filled=entry.quantity - order.remaining,
            remaining=order.remaining,
            first_trade=first_trade if matches else 0,
            trade_count=len(matches),
            fills=tuple(
                Fill(match.maker.entry.id, match.price, match.quantity)
                for match in matches[: self.limits.fills_told]
            ),
        )
        return order.answer

    def _record(self, taker: Order, match: Match) -> None:
        self.tape.add(
            Trade(
                self.tape.last + 1,
                taker.entry.symbol,
                match.price,
                match.quantity,
                taker.entry.side,
                taker.entry.id,
                match.maker.entry.id,
            )
        )
        if not match.maker.remaining:
            self._finish(match.maker, Status.FILLED)

    def _finish(self, order: Order, status: Status) -> None:
        order.status = status
        self.finished.append(order.entry.id)
        if len(self.finished) > self.limits.finished_orders:
            del self.orders[self.finished.popleft()]


def _answer_again(known: Order, entry: PlaceOrder) -> Placed | Refused:
    if known.entry != entry or known.answer is None:
        return Refused(
            Reason.ID_IN_USE, f"order {entry.id} is known, and is another one: choose another id"
        )
    return known.answer
