"""State machines that show what a cluster must never do: lose an entry, or apply one twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import Self

from raftify.state_machine import AbstractStateMachine


class Tally(AbstractStateMachine):
    """Counts how often each entry was applied, and in which order they came first."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.order: list[str] = []
        self.restored = 0

    async def apply(self, data: bytes) -> bytes:
        text = data.decode()
        if text == "poison":
            raise ValueError("this entry cannot be applied")
        if not self.counts[text]:
            self.order.append(text)
        self.counts[text] += 1
        return f"{text}:{self.counts[text]}".encode()

    async def snapshot(self) -> bytes:
        return self.encode()

    async def restore(self, data: bytes) -> None:
        other = self.decode(data)
        self.counts, self.order = other.counts, other.order
        self.restored += 1

    def encode(self) -> bytes:
        return json.dumps([self.order, self.counts]).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = cls()
        order, counts = json.loads(data)
        machine.order, machine.counts = list(order), Counter(counts)
        return machine

    def twice(self) -> list[str]:
        """Return what was applied more than once."""
        return [text for text, count in self.counts.items() if count > 1]


class PlainTally(Tally):
    """The same with plain functions, which run on a thread."""

    def apply(self, data: bytes) -> bytes:  # type: ignore[override]  # plain or async, both are fine
        text = data.decode()
        if not self.counts[text]:
            self.order.append(text)
        self.counts[text] += 1
        return f"{text}:{self.counts[text]}".encode()

    def snapshot(self) -> bytes:  # type: ignore[override]  # likewise
        return self.encode()

    def restore(self, data: bytes) -> None:  # type: ignore[override]  # likewise
        other = self.decode(data)
        self.counts, self.order = other.counts, other.order
        self.restored += 1
