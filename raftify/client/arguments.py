"""Arguments of calls, checked where they come in: what is wrong is said before anything begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raftify.core.types import Message, MessageType
from raftify.errors import ConfigError
from raftify.state_machine import AbstractLogEntry
from raftify.wire import codec

#: The longest that a call may be told to wait, in seconds: about 30 years.
MOST_SECONDS: Final = 1e9


def seconds(timeout: float | None, default: float) -> float:
    """Return the time to wait; raise ConfigError unless it is one."""
    if timeout is None:
        return default
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise ConfigError(f"timeout is a number of seconds, not {timeout!r:.60}")
    if not 0 < timeout <= MOST_SECONDS:
        raise ConfigError(
            f"timeout must be a number of seconds above 0, and at most {MOST_SECONDS:.0f}, not "
            f"{shown(timeout)}"
        )
    return timeout


def flag(name: str, value: object) -> bool:
    """Return `value`; raise ConfigError unless it is True or False ("no" would count as true)."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is True or False, not {value!r:.60}")
    return value


def text(name: str, value: object) -> str:
    """Return `value`; raise ConfigError unless it is a text that can be sent."""
    if not isinstance(value, str):
        raise ConfigError(f"{name} is a text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{name} has characters that no text has: {error}") from error
    return value


def whole(name: str, value: object, least: int = 0) -> int:
    """Return `value`; raise ConfigError unless it is a whole number from `least` upwards."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is a whole number from {least} upwards, not {shown(value)}")
    return value


def payload(data: object, what: str = "a proposal") -> bytes:
    """Return the bytes to propose, or to ask; what an entry's `encode` raises is raised as it is.

    Raises:
        ConfigError: `data` has none.
    """
    if type(data) is bytes:
        return data
    encoded: object = data.encode() if isinstance(data, AbstractLogEntry) else data
    if isinstance(encoded, bytes | bytearray | memoryview):
        return bytes(encoded)
    if encoded is not data:
        raise ConfigError(
            f"{type(data).__name__}.encode returned {type(encoded).__name__}, and bytes are wanted"
        )
    raise ConfigError(
        f"{what} is bytes or an AbstractLogEntry, not {type(data).__name__}: encode it first"
    )


def message(value: object) -> Message:
    """Return `value`; raise ConfigError unless it is a Message that can be sent."""
    if not isinstance(value, Message):
        raise ConfigError(f"a Message is wanted, not {type(value).__name__}")
    msg_type: object = value.msg_type
    if not isinstance(msg_type, MessageType):
        raise ConfigError(f"msg_type is a MessageType, not {shown(msg_type)}")
    try:
        codec.message_to_wire(value).SerializeToString()
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"the Message has a field of the wrong type or size: {error}") from error
    return value


def payloads(data: object) -> list[bytes]:
    """Return the bytes of several; raise ConfigError if one has none, or they are not several."""
    return [payload(one) for one in several("data", data)]


def several(name: str, values: object) -> list[object]:
    """Return `values` as a list; raise ConfigError unless they are a list, a set or the like."""
    if isinstance(values, str | bytes | bytearray | memoryview) or not isinstance(values, Iterable):
        raise ConfigError(f"{name} is a list or a set, not {type(values).__name__}")
    return list(values)


def shown(value: object) -> str:
    """Return `value` for a message; Python refuses to print numbers of very many digits."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    return f"{value!r:.60}"
