"""What is told of the state, as JSON values with decimal texts. Nothing here changes anything."""

from __future__ import annotations

from typing import Any, Final

from examples.matchengine.amounts import format_amount
from examples.matchengine.answers import Status
from examples.matchengine.engine import Engine
from examples.matchengine.orders import Kind, Side
from examples.matchengine.tape import Trade

MOST_LEVELS: Final = 1_000
MOST_TRADES: Final = 1_000


class NotThere(Exception):
    """There is no such thing (any more); the message says which."""


def order_view(engine: Engine, order_id: str) -> dict[str, Any]:
    """Raise NotThere if the order is not known (any more)."""
    order = engine.orders.get(order_id)
    if order is None or order.status is Status.REFUSED:
        raise NotThere(f"there is no order {order_id!r:.80}, or it was done long ago")
    entry = order.entry
    return {
        "id": entry.id,
        "symbol": entry.symbol,
        "side": entry.side.name.lower(),
        "type": entry.kind.name.lower(),
        "price": format_amount(entry.price) if entry.kind is Kind.LIMIT else None,
        "quantity": format_amount(entry.quantity),
        "remaining": format_amount(order.remaining),
        "sequence": order.sequence,
        "status": order.status.name.lower(),
    }


def book_view(engine: Engine, symbol: str, depth: int) -> dict[str, Any]:
    """Return the best `depth` levels of both sides, the best first; raise NotThere if none was."""
    book = engine.books.get(symbol)
    if book is None:
        raise NotThere(f"nothing was ever ordered of {symbol!r:.40}")
    sides = {}
    for name, side in (("bids", Side.BUY), ("asks", Side.SELL)):
        sides[name] = [
            {"price": format_amount(price), "quantity": format_amount(total), "orders": count}
            for price, total, count in book.depth(side, depth)
        ]
    return {"symbol": symbol, "sequence": engine.sequence, **sides}


def trades_view(engine: Engine, after: int, limit: int, symbol: str | None) -> dict[str, Any]:
    """Return a page of trades after number `after`; `next` is the `after` of the next page.

    It looks at `limit` trades and leaves out those of other symbols, so a page may be empty
    though more follow: go on until `next` is `last`. `first` is the oldest number that is kept.
    """
    page = engine.tape.since(after, limit)
    return {
        "first": engine.tape.first,
        "last": engine.tape.last,
        "next": page[-1].number if page else min(after, engine.tape.last),
        "trades": [trade_view(trade) for trade in page if symbol is None or trade.symbol == symbol],
    }


def symbols_view(engine: Engine) -> dict[str, Any]:
    return {"symbols": sorted(engine.books)}


def trade_view(trade: Trade) -> dict[str, Any]:
    return {
        "number": trade.number,
        "symbol": trade.symbol,
        "price": format_amount(trade.price),
        "quantity": format_amount(trade.quantity),
        "taker_side": trade.taker_side.name.lower(),
        "taker": trade.taker_id,
        "maker": trade.maker_id,
    }
