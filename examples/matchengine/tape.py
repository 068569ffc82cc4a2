"""The trades, numbered from 1 without gaps; the newest are kept."""

from __future__ import annotations

from dataclasses import dataclass

from examples.matchengine.orders import Side


@dataclass(frozen=True, slots=True)
class Trade:
    """`taker` came in and took from `maker`. Price and quantity are in units."""

    number: int
    symbol: str
    price: int
    quantity: int
    taker_side: Side
    taker_id: str
    maker_id: str


class Tape:
    """A list that forgets its beginning, `kept` at a time, so that adding stays cheap."""

    def __init__(self, kept: int, last: int = 0) -> None:
        self._kept = kept
        #: The number of the newest trade; 0 before the first.
        self.last = last
        self._trades: list[Trade] = []

    @property
    def first(self) -> int:
        """The number of the oldest trade that is kept; `last + 1` if there is none."""
        return self.last - min(len(self._trades), self._kept) + 1

    def add(self, trade: Trade) -> None:
        self.last = trade.number
        self._trades.append(trade)
        if len(self._trades) >= 2 * self._kept:
            del self._trades[: -self._kept]

    def since(self, after: int, limit: int) -> list[Trade]:
        """Return up to `limit` kept trades with numbers above `after`, oldest first."""
        oldest = self.last - len(self._trades) + 1
        start = max(after + 1, self.first) - oldest
        return self._trades[start : start + limit]
