"""One symbol's order book: price levels on two sides, and the matching of an order with them."""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from examples.matchengine.answers import Placed, Refused, Status
from examples.matchengine.orders import Kind, PlaceOrder, Side


@dataclass(slots=True, eq=False)
class Order:
    """An order as the engine knows it. `remaining`, in units, is what is not traded yet."""

    entry: PlaceOrder
    #: The place in time among all orders of the engine.
    sequence: int
    remaining: int
    status: Status = Status.OPEN
    #: What was said when it was entered, and is said to whoever enters it again.
    answer: Placed | Refused | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """An incoming order took `quantity` of `maker` at the maker's `price`."""

    maker: Order
    price: int
    quantity: int


class Level:
    """The orders at one price, the oldest first, and their total."""

    __slots__ = ("orders", "price", "total")

    def __init__(self, price: int) -> None:
        self.price = price
        self.total = 0
        # A plain dict would find its first key ever more slowly as keys before it are deleted.
        self.orders: OrderedDict[str, Order] = OrderedDict()

    def oldest(self) -> Order:
        return next(iter(self.orders.values()))


class HalfBook:
    """The levels of one side.

    Their keys are sorted so that the best is the last: prices of buyers, negative prices of
    sellers. The best is found, and taken away, in constant time; a level in between by bisection.
    """

    def __init__(self, side: Side) -> None:
        self._sign = 1 if side is Side.BUY else -1
        self._keys: list[int] = []
        self._levels: dict[int, Level] = {}

    def best(self) -> Level | None:
        return self._levels[self._keys[-1]] if self._keys else None

    def add(self, order: Order) -> None:
        """Put `order` behind all others at its price."""
        key = order.entry.price * self._sign
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level(order.entry.price)
            insort(self._keys, key)
        level.orders[order.entry.id] = order
        level.total += order.remaining

    def reduce(self, order: Order, quantity: int) -> None:
        """Take `quantity` away from a resting `order`; one with nothing left goes."""
        key = order.entry.price * self._sign
        level = self._levels[key]
        level.total -= quantity
        order.remaining -= quantity
        if not order.remaining:
            del level.orders[order.entry.id]
            if not level.orders:
                self._drop(key)

    def remove(self, order: Order) -> None:
        """Take a resting `order` away; it keeps what remains of it."""
        key = order.entry.price * self._sign
        level = self._levels[key]
        level.total -= order.remaining
        del level.orders[order.entry.id]
        if not level.orders:
            self._drop(key)

    def levels(self) -> Iterator[Level]:
        """Yield the levels, the best first."""
        return (self._levels[key] for key in reversed(self._keys))

    def _drop(self, key: int) -> None:
        del self._levels[key]
        if self._keys[-1] == key:
            self._keys.pop()
        else:
            del self._keys[bisect_left(self._keys, key)]


class Book:
    """Buyers and sellers of one symbol. Between calls no buyer's price reaches a seller's."""

    def __init__(self) -> None:
        self.bids = HalfBook(Side.BUY)
        self.asks = HalfBook(Side.SELL)

    def side(self, side: Side) -> HalfBook:
        return self.bids if side is Side.BUY else self.asks

    def match(self, taker: Order) -> list[Match]:
        """Trade `taker` with the best of the other side for as long as its price allows.

        The best price comes first, and at one price the oldest order; each trade is at the price
        of the order that rested.
        """
        others = self.asks if taker.entry.side is Side.BUY else self.bids
        matches = []
        while taker.remaining:
            level = others.best()
            if level is None or not _accepts(taker.entry, level.price):
                break
            maker, price = level.oldest(), level.price
            quantity = min(taker.remaining, maker.remaining)
            others.reduce(maker, quantity)
            taker.remaining -= quantity
            matches.append(Match(maker, price, quantity))
        return matches

    def add(self, order: Order) -> None:
        self.side(order.entry.side).add(order)

    def remove(self, order: Order) -> None:
        self.side(order.entry.side).remove(order)

    def depth(self, side: Side, levels: int) -> list[tuple[int, int, int]]:
        """Return price, total quantity and number of orders of the best `levels`."""
        best = itertools.islice(self.side(side).levels(), levels)
        return [(level.price, level.total, len(level.orders)) for level in best]


def _accepts(order: PlaceOrder, price: int) -> bool:
    if order.kind is Kind.MARKET:
        return True
    return price <= order.price if order.side is Side.BUY else price >= order.price
