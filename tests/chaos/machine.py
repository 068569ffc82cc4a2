"""Registers by key, which remember how often each numbered write of each client was applied."""

from __future__ import annotations

import base64
import json
from typing import Self

from raftify.state_machine import AbstractStateMachine

#: What a counter holds at most; more than one is a doubled write already.
MANY = 255


class Write:
    """How writes travel: `put` sets a key, `cas` does so if the key holds `expected`.

    `client` and `number` name the write for ever; an empty client is not remembered.
    """

    @staticmethod
    def put(key: str, value: str, *, client: str = "", number: int = 0) -> bytes:
        return json.dumps(["put", client, number, key, value]).encode()

    @staticmethod
    def cas(key: str, expected: str | None, value: str, *, client: str, number: int) -> bytes:
        return json.dumps(["cas", client, number, key, value, expected]).encode()


class Registers(AbstractStateMachine):
    """`values` by key, and for each client one counter for each of its writes, by number."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.times: dict[str, bytearray] = {}

    def __repr__(self) -> str:
        return f"Registers({len(self.values)} keys)"

    async def apply(self, data: bytes) -> bytes:
        kind, client, number, key, value, *rest = json.loads(data)
        if client:
            self._count(client, number)
        if kind == "cas" and self.values.get(key) != rest[0]:
            return b"false"
        self.values[key] = value
        return b"true"

    def _count(self, client: str, number: int) -> None:
        times = self.times.setdefault(client, bytearray())
        if number >= len(times):
            times.extend(bytes(number + 1 - len(times)))
        times[number] = min(times[number] + 1, MANY)

    async def snapshot(self) -> bytes:
        return self.encode()

    async def restore(self, data: bytes) -> None:
        other = self.decode(data)
        self.values, self.times = other.values, other.times

    def encode(self) -> bytes:
        times = {client: base64.b64encode(t).decode() for client, t in self.times.items()}
        return json.dumps([self.values, times]).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = cls()
        machine.values, times = json.loads(data)
        machine.times = {c: bytearray(base64.b64decode(text)) for c, text in times.items()}
        return machine
