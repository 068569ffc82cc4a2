"""What was called, and what came of it, in a few words that are the same in every run of a seed."""

from __future__ import annotations

from typing import Any, Final

from raftify.testing.simulation.trace import fingerprint

#: Of longer bytes the beginning is shown, and a hash of all.
_MOST_BYTES: Final = 24
_MOST_ITEMS: Final = 4


def in_words(value: Any) -> str:
    """Return `value` for a trace: plain values as they are, of others what they are."""
    match value:
        case bytes() if len(value) > _MOST_BYTES:
            return f"{value[:_MOST_BYTES]!r}... ({len(value)} bytes, {fingerprint(value)})"
        case None | bool() | int() | float() | str() | bytes():
            return repr(value)
        case list() | tuple():
            more = [f"{len(value)} in all"] if len(value) > _MOST_ITEMS else []
            return f"[{', '.join([in_words(item) for item in value[:_MOST_ITEMS]] + more)}]"
        case _:
            # No form that might hold an address, or a set in the order of its hashes.
            return type(value).__name__


def call_in_words(name: str, args: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Return the call of `name` as it would be written."""
    given = [in_words(arg) for arg in args]
    given += [f"{key}={in_words(value)}" for key, value in named.items()]
    return f"{name}({', '.join(given)})"


def content_of(value: Any) -> bytes:
    """Return all that is known of `value`, for a fingerprint."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, list | tuple):
        return fingerprint(*(content_of(item) for item in value)).encode()
    return in_words(value).encode()
