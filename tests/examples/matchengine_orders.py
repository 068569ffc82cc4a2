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


# Few ids, prices and symbols, so that commands repeat, cross and cancel each other; some are wrong.
_IDS = st.integers(1, 40).map("o{}".format)
_PLACES = st.builds(
    lambda i, s, side, kind, price, quantity: PlaceOrder(
        i, s, side, kind, price if kind is Kind.LIMIT else 0, quantity
    ),
    _IDS,
    st.sampled_from(["AB", "AB", "AB", "CD", "EF", "bad symbol"]),
    st.sampled_from(Side),
    st.sampled_from([Kind.LIMIT, Kind.LIMIT, Kind.LIMIT, Kind.MARKET]),
    st.integers(100, 106).map(lambda units: units * SCALE // 4),
    st.integers(0, 12),
)
COMMANDS: st.SearchStrategy[list[Command]] = st.lists(
    st.one_of(_PLACES, _PLACES, _PLACES, _IDS.map(CancelOrder)), min_size=1, max_size=80
)


async def answers_http(node: asyncio.subprocess.Process) -> None:
    """Wait until a node's program says that it answers."""
    assert node.stdout is not None
    async with asyncio.timeout(60):
        while b"answers HTTP" not in (line := await node.stdout.readline()):
            assert line, "the node ended before it answered"
