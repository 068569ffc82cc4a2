"""What a program's own formatters make of its bytes: words, or why there are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, cast

from raftify.errors import ConfigError
from raftify.state_machine import AbstractLogEntry

#: The class of a program's entries, or a function that makes something to print of their bytes.
EntryDecoder: TypeAlias = type[AbstractLogEntry] | Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Told:
    """What a formatter made of some bytes: words, or else why there are none."""

    words: str = ""
    fault: str = ""


def decoding(decoder: EntryDecoder) -> Callable[[bytes], object]:
    """Return the function behind `decoder`.

    Raises:
        ConfigError: it is no class of entries and cannot be called.
    """
    if isinstance(decoder, type) and issubclass(decoder, AbstractLogEntry):
        return decoder.decode
    if not callable(decoder):
        raise ConfigError(f"decoder is {decoder!r:.60}, no class and no function of bytes")
    return cast("Callable[[bytes], object]", decoder)


def tell(make: Callable[[], object]) -> Told:
    """Return what `make` makes, as text, or what it raises.

    A formatter is a stranger's code and meets bytes of any age: what it raises is told in the
    place of what it did not say.
    """
    try:
        return Told(words=printable(str(make())))
    except Exception as error:  # noqa: BLE001 - see above
        return Told(fault=printable(reason_of(error)))


def printable(text: str) -> str:
    """Return `text` on one line, with nothing in it that could steer a terminal."""
    line = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def reason_of(error: Exception) -> str:
    """Return an exception in words: its kind, and what it says."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
