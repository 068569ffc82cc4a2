"""The matching engine once more, as slowly and plainly as it can be said: one list, scanned."""

from __future__ import annotations

from dataclasses import dataclass

from examples.matchengine.orders import CancelOrder, Command, Kind, PlaceOrder, Side


@dataclass
class Resting:
    order: PlaceOrder
    remaining: int


class NaiveEngine:
    """Takes well-formed commands only. Never forgets, has no limits."""

    def __init__(self) -> None:
        #: Open orders of all symbols, the oldest first.
        self.open: list[Resting] = []
        #: (symbol, taker, maker, price, quantity), in order.
        self.trades: list[tuple[str, str, str, int, int]] = []
        self.seen: set[str] = set()

    def execute(self, command: Command) -> None:
        if isinstance(command, CancelOrder):
            self.open = [o for o in self.open if o.order.id != command.id]
        elif command.id not in self.seen:
            self.seen.add(command.id)
            self._place(command)

    def _place(self, order: PlaceOrder) -> None:
        left = order.quantity
        while left:
            maker = self._best_for(order)
            if maker is None:
                break
            traded = min(left, maker.remaining)
            left -= traded
            maker.remaining -= traded
            self.trades.append((order.symbol, order.id, maker.order.id, maker.order.price, traded))
            self.open = [o for o in self.open if o.remaining]
        if left and order.kind is Kind.LIMIT:
            self.open.append(Resting(order, left))

    def _best_for(self, order: PlaceOrder) -> Resting | None:
        best = None
        for one in self.open:
            if one.order.symbol != order.symbol or one.order.side is order.side:
                continue
            if order.side is Side.BUY:
                good = order.kind is Kind.MARKET or one.order.price <= order.price
                better = best is None or one.order.price < best.order.price
            else:
                good = order.kind is Kind.MARKET or one.order.price >= order.price
                better = best is None or one.order.price > best.order.price
            if good and better:
                best = one
        return best
