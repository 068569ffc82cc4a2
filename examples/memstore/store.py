"""The hash store: the state machine that memstore replicates, and the entry that changes it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from raftify import AbstractLogEntry, AbstractStateMachine

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class SetCommand(AbstractLogEntry):
    """Set `key` to `value`. Encoded as the key's length, the key in UTF-8, the value."""

    key: str
    value: bytes

    def encode(self) -> bytes:
        key = self.key.encode()
        return _LENGTH.pack(len(key)) + key + self.value

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raise ValueError if `data` is no command."""
        if len(data) < _LENGTH.size:
            raise ValueError("a command begins with the length of its key")
        (key_length,) = _LENGTH.unpack_from(data)
        key_end = _LENGTH.size + key_length
        if len(data) < key_end:
            raise ValueError("a command ends within its key")
        return cls(key=data[_LENGTH.size : key_end].decode(), value=data[key_end:])


class HashStore(AbstractStateMachine):
    """A dictionary that every node holds.

    `apply` is a coroutine that never waits: that spares each entry a trip to another thread.
    """

    def __init__(self, entries: Mapping[str, bytes] | None = None) -> None:
        self._values: dict[str, bytes] = dict(entries or {})

    def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    def __repr__(self) -> str:
        return f"HashStore({len(self._values)} keys)"

    async def apply(self, data: bytes) -> bytes:
        """Carry out one command; return the value now stored."""
        try:
            command = SetCommand.decode(data)
        except ValueError as error:
            # Anyone may propose any bytes. An exception here would stop every node of the cluster,
            # and again at each restart; an answer that is the same everywhere does no harm.
            return f"not a command: {error}".encode()
        self._values[command.key] = command.value
        return command.value

    def snapshot(self) -> bytes:
        return self.encode()

    def restore(self, data: bytes) -> None:
        self._values = dict(_pairs(data))

    def encode(self) -> bytes:
        """Return each pair as one command, preceded by its length."""
        parts: list[bytes] = []
        for key, value in self._values.items():
            command = SetCommand(key, value).encode()
            parts += (_LENGTH.pack(len(command)), command)
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls(dict(_pairs(data)))


def _pairs(data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 0
    while position < len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        command = SetCommand.decode(data[position : position + length])
        position += length
        yield command.key, command.value
