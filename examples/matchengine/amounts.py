"""Prices and quantities: whole numbers of 0.00000001 inside, decimal text outside, never floats."""

from __future__ import annotations

import re
from typing import Final

DECIMALS: Final = 8
#: Units in one.
SCALE: Final = 10**DECIMALS

_TEXT = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,8}))?")


def parse_amount(text: str) -> int:
    """Return the units in `text`, as "400" or "400.25".

    Raises:
        ValueError: it is no such number; the message says what is.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(
            f"up to 10 digits, and up to {DECIMALS} behind a point, as 400.25, not {text!r:.40}"
        )
    whole, fraction = found.group(1), found.group(2) or ""
    return int(whole) * SCALE + int(fraction.ljust(DECIMALS, "0"))


def format_amount(units: int) -> str:
    """Return `units`, which are not negative, as the shortest decimal text."""
    whole, rest = divmod(units, SCALE)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{DECIMALS}d}".rstrip("0")
