"""Short ways to write orders, commands that meet each other often, and waiting for a node."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st

from examples.matchengine.amounts import SCALE, parse_amount
from examples.matchengine.orders import CancelOrder, Command, Kind, PlaceOrder, Side


def limit(order_id: str, side: Side, price: str, quantity: str, symbol: str = "AB") -> PlaceOrder:
    return PlaceOrder(
        order_id, symbol, side, Kind.LIMIT, parse_amount(price), parse_amount(quantity)
    )


def buy(order_id: str, price: str, quantity: str, symbol: str = "AB") -> PlaceOrder:
    return limit(order_id, Side.BUY, price, quantity, symbol)


def sell(order_id: str, price: str, quantity: str, symbol: str = "AB") -> PlaceOrder:
    return limit(order_id, Side.SELL, price, quantity, symbol)


def market(order_id: str, side: Side, quantity: str, symbol: str = "AB") -> PlaceOrder:
    return PlaceOrder(order_id, symbol, side, Kind.MARKET, 0, parse_amount(quantity))


_SYMBOLS = ("AB", "AB", "AB", "CD", "EF", "bad symbol")
_KINDS = (Kind.LIMIT, Kind.LIMIT, Kind.LIMIT, Kind.MARKET)


def _command(number: int) -> Command:
    """Return the command that `number` stands for.

    Few ids, prices and symbols, so that commands repeat, cross and cancel each other; some are
    wrong. One number is drawn much faster than seven fields, and histories have to be long.
    """
    number, action = divmod(number, 4)
    number, order_number = divmod(number, 40)
    if action == 0:
        return CancelOrder(f"o{order_number}")
    number, symbol = divmod(number, len(_SYMBOLS))
    number, side = divmod(number, 2)
    number, kind = divmod(number, len(_KINDS))
    number, price = divmod(number, 5)
    return PlaceOrder(
        f"o{order_number}",
        _SYMBOLS[symbol],
        (Side.BUY, Side.SELL)[side],
        _KINDS[kind],
        (100 + price) * SCALE // 4 if _KINDS[kind] is Kind.LIMIT else 0,
        number,
    )


#: Quantities are from 0, which is refused, to 11.
_NUMBERS = st.integers(0, 4 * 40 * len(_SYMBOLS) * 2 * len(_KINDS) * 5 * 12 - 1)
#: Without a least size the usual history would have six commands only.
COMMANDS: st.SearchStrategy[list[Command]] = st.lists(_NUMBERS, min_size=30, max_size=100).map(
    lambda numbers: [_command(number) for number in numbers]
)


async def answers_http(node: asyncio.subprocess.Process) -> None:
    """Wait until a node's program says that it answers."""
    assert node.stdout is not None
    async with asyncio.timeout(60):
        while b"answers HTTP" not in (line := await node.stdout.readline()):
            assert line, "the node ended before it answered"
