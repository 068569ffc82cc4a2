"""Orders as JSON. Numbers are taken as they are written: no price is ever a float."""

from __future__ import annotations

import json
from typing import Any, Final

from examples.matchengine.amounts import parse_amount
from examples.matchengine.orders import Kind, PlaceOrder, Side

#: Orders in one body.
MOST_ORDERS: Final = 1_000
MOST_BODY_BYTES: Final = 1 << 20

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_KINDS: Final = {"limit": Kind.LIMIT, "market": Kind.MARKET}
_FIELDS: Final = ("id", "symbol", "side", "type", "price", "quantity")


class BadOrder(Exception):
    """What was sent is no order; the message says what one is."""


def read_json(body: bytes) -> Any:
    """Return the JSON value in `body`, its numbers as text; raise BadOrder if there is none."""
    try:
        return json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
    except RecursionError:
        raise BadOrder("the body is nested too deeply") from None
    except ValueError as error:
        raise BadOrder(f"the body is no JSON: {error}") from None


def read_orders(value: Any) -> list[PlaceOrder]:
    """Return the orders of a list of them; raise BadOrder if one is none: then none is taken."""
    if not 1 <= len(value) <= MOST_ORDERS:
        raise BadOrder(f"send 1 to {MOST_ORDERS} orders at once, not {len(value)}")
    return [read_order(one) for one in value]


def read_order(value: Any) -> PlaceOrder:
    """Return the order that a JSON value stands for; raise BadOrder if it stands for none."""
    if not isinstance(value, dict):
        raise BadOrder(f"an order is an object with {', '.join(_FIELDS)}")
    unknown = sorted(value.keys() - set(_FIELDS))
    if unknown:
        raise BadOrder(f"an order has no {unknown!r:.80}; it has {', '.join(_FIELDS)}")
    kind = _KINDS[_choice(value, "type", _KINDS)]
    if kind is Kind.MARKET and value.get("price") is not None:
        raise BadOrder("a market order has no price: leave it out")
    return PlaceOrder(
        id=_text(value, "id"),
        symbol=_text(value, "symbol"),
        side=_SIDES[_choice(value, "side", _SIDES)],
        kind=kind,
        price=_amount(value, "price") if kind is Kind.LIMIT else 0,
        quantity=_amount(value, "quantity"),
    )


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not text.isascii() or len(text) > 255:
        raise BadOrder(f"{name} is a short text of ASCII characters, not {text!r:.40}")
    return text


def _choice(value: dict[str, Any], name: str, choices: dict[str, Any]) -> str:
    text = value.get(name)
    if not isinstance(text, str) or text not in choices:
        raise BadOrder(f"{name} is one of {', '.join(choices)}, not {text!r:.40}")
    return text


def _amount(value: dict[str, Any], name: str) -> int:
    text = value.get(name)
    if not isinstance(text, str):
        raise BadOrder(f'{name} is a decimal number, best as text: "400.25", not {text!r:.40}')
    try:
        return parse_amount(text)
    except ValueError as error:
        raise BadOrder(f"{name} is {error}") from None
