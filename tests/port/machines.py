"""A state machine that takes any bytes: attackers are clients, too."""

from __future__ import annotations

from tests.cluster.machines import Tally


class Sink(Tally):
    """Counts what it applies; each result has 4 KiB, so that results nobody reads would show."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def apply(self, data: bytes) -> bytes:
        self.number += 1
        return bytes(4096)

    async def snapshot(self) -> bytes:
        return b"%d" % self.number

    async def restore(self, data: bytes) -> None:
        self.number = int(data)
