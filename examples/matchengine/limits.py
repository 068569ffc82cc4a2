"""What the engine takes, and how much it remembers.

All nodes must have the same limits: they decide what a command does. They are therefore no settings
of a program; to change one, stop the cluster, have all nodes take a snapshot and purge before it,
and start the new program everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from examples.matchengine.amounts import SCALE, format_amount
from examples.matchengine.answers import Reason, Refused
from examples.matchengine.orders import Kind, PlaceOrder

ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,15}")


@dataclass(frozen=True, slots=True)
class Limits:
    #: In units; both fit 63 bits.
    max_price: int = 1_000_000_000 * SCALE
    max_quantity: int = 1_000_000_000 * SCALE
    max_symbols: int = 10_000
    #: In all books together. One market order can sweep them all, within half a second: that has
    #: to stay well below the time after which followers miss a leader.
    max_open_orders: int = 100_000
    #: Orders that are done and still known by their ids.
    finished_orders: int = 200_000
    trades_kept: int = 100_000
    #: Trades in the answer to one order; all of them are in the list of trades.
    fills_told: int = 100


def fault_of(order: PlaceOrder, limits: Limits) -> Refused | None:
    """Return why `order` would be refused by whatever book, or None."""
    if not ID.fullmatch(order.id):
        return refused_id()
    if not SYMBOL.fullmatch(order.symbol):
        return Refused(
            Reason.BAD_SYMBOL, "a symbol is 1 to 16 of A-Z, 0-9, . _ - and begins with no sign"
        )
    if not 1 <= order.quantity <= limits.max_quantity:
        most = format_amount(limits.max_quantity)
        return Refused(Reason.BAD_QUANTITY, f"a quantity is above 0 and at most {most}")
    if order.kind is Kind.MARKET:
        if order.price:
            return Refused(Reason.BAD_PRICE, "a market order has no price")
    elif not 1 <= order.price <= limits.max_price:
        most = format_amount(limits.max_price)
        return Refused(Reason.BAD_PRICE, f"a limit order's price is above 0 and at most {most}")
    return None


def refused_id() -> Refused:
    return Refused(Reason.BAD_ID, "an order id is 1 to 64 of A-Z, a-z, 0-9, . _ : -")
