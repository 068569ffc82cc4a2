"""A made-up flow of orders, the same for the same seed, to measure and to test with."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from examples.matchengine.amounts import SCALE
from examples.matchengine.orders import CancelOrder, Command, Kind, PlaceOrder, Side

SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD", "XAU-USD")
#: Steps between two prices, and the price that the flow goes around.
TICK = SCALE // 100
MIDDLE = 40_000 * 100
#: How far from the middle limit orders go, in ticks.
SPREAD = 200


def order_flow(seed: int, prefix: str = "o") -> Iterator[Command]:
    """Yield commands without end: of ten, six limit orders, one market order, three cancellations.

    Ids begin with `prefix`. Cancelled is one of the last hundred orders, which may be done already.
    """
    random = Random(seed)
    number = 0
    while True:
        choice = random.randrange(10)
        if choice < 3 and number:
            yield CancelOrder(f"{prefix}-{random.randint(max(1, number - 99), number)}")
            continue
        number += 1
        yield _order(random, f"{prefix}-{number}", Kind.MARKET if choice == 3 else Kind.LIMIT)


def _order(random: Random, order_id: str, kind: Kind) -> PlaceOrder:
    side = random.choice((Side.BUY, Side.SELL))
    # Buyers mostly below the middle, sellers mostly above: the book has depth, and a third trade.
    away = random.randint(-SPREAD // 4, SPREAD)
    ticks = MIDDLE - away if side is Side.BUY else MIDDLE + away
    return PlaceOrder(
        id=order_id,
        symbol=random.choice(SYMBOLS),
        side=side,
        kind=kind,
        price=ticks * TICK if kind is Kind.LIMIT else 0,
        quantity=random.randint(1, 500) * TICK,
    )
