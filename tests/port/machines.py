"""A state machine that takes any bytes: attackers are clients, too."""

from __future__ import annotations

import json
from collections import Counter

from tests.cluster.machines import Tally

#: What is proposed to another cluster or node; here it must never be applied.
MEANT_FOR_OTHERS = b"meant for others"


class Sink(Tally):
    """Counts what it applies; each result has 4 KiB, so that results nobody reads would show.

    `counts` has only what was meant for others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def apply(self, data: bytes) -> bytes:
        self.number += 1
        if data == MEANT_FOR_OTHERS:
            self.counts[data.decode()] += 1
        return bytes(4096)

    async def snapshot(self) -> bytes:
        return json.dumps([self.number, self.counts]).encode()

    async def restore(self, data: bytes) -> None:
        self.number, counts = json.loads(data)
        self.counts = Counter(counts)
