"""Questions about the state, as HTTP parameters and clients put them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from examples.matchengine.engine import Engine
from examples.matchengine.views import (
    MOST_LEVELS,
    MOST_TRADES,
    NotThere,
    book_view,
    order_view,
    symbols_view,
    trades_view,
)

#: What each question may have besides what it is about.
_OPTIONS: Mapping[str, frozenset[str]] = {
    "order": frozenset(),
    "book": frozenset({"depth"}),
    "trades": frozenset({"after", "limit", "symbol"}),
    "symbols": frozenset(),
}
MOST_NUMBER = 1 << 63


def ask(engine: Engine, kind: str, about: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Answer a question: "order" about an id, "book" about a symbol, "trades", "symbols".

    Raises:
        NotThere: what it is about does not exist.
        ValueError: the question is wrong; the message says how.
    """
    known = _OPTIONS.get(kind)
    if known is None:
        raise ValueError(f"ask for one of {', '.join(_OPTIONS)}, not for {kind!r:.40}")
    unknown = sorted(set(options) - known)
    if unknown:
        raise ValueError(f"{kind} does not know {unknown!r:.80}; it knows {sorted(known)}")
    if kind == "order":
        return order_view(engine, about)
    if kind == "book":
        return book_view(engine, about, number_of(options, "depth", 20, 1, MOST_LEVELS))
    if kind == "trades":
        after = number_of(options, "after", 0, 0, MOST_NUMBER)
        limit = number_of(options, "limit", 100, 1, MOST_TRADES)
        return trades_view(engine, after, limit, options.get("symbol"))
    return symbols_view(engine)


def encode_question(kind: str, about: str, options: Mapping[str, str]) -> bytes:
    return json.dumps([kind, about, options]).encode()


def answer_question(engine: Engine, data: bytes) -> bytes:
    """Answer what `encode_question` wrote; {"missing": why} if what it is about does not exist.

    Raises:
        ValueError: the question is wrong.
    """
    question = json.loads(data)
    try:
        kind, about, options = question
        well_formed = all(isinstance(text, str) for text in (kind, about, *options.values()))
    except (TypeError, ValueError, AttributeError):
        well_formed = False
    if not well_formed:
        raise ValueError('a question is ["book", "BTC-USD", {"depth": "5"}], all of it text')
    try:
        found = ask(engine, kind, about, options)
    except NotThere as error:
        found = {"missing": str(error)}
    return json.dumps(found).encode()


def number_of(options: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise ValueError(f"{name} is a number from {least} to {most}, not {text!r:.40}")
