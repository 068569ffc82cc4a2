"""One direction between two simulated hosts: what it does to what travels over it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random
from typing import Final

#: A narrow link takes nothing more while this many seconds of packets wait for it.
_MOST_WAITING: Final = 2.0


@dataclass(slots=True)
class Conditions:
    """What a link does to what travels over it, in one direction. Chances are from 0 to 1.

    Attributes:
        delay: the least time under way, in seconds.
        jitter: the mean of what comes on top, exponentially distributed.
        loss: chance that a packet is lost.
        duplicate: chance that a batch of messages arrives twice, or a snapshot does, whose sender
            did not hear of it.
        reorder: chance that a batch may be overtaken, or overtake.
        corrupt: chance that one bit of a packet is flipped.
        bytes_per_second: how much it carries; what comes faster waits, and is lost once too much
            waits. None: any amount.
    """

    delay: float = 0.0003
    jitter: float = 0.0003
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    bytes_per_second: float | None = None

    def __str__(self) -> str:
        """Return what is not as on a healthy network, in words."""
        healthy = Conditions()
        found = [
            f"{f.name} {getattr(self, f.name):g}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(healthy, f.name)
            and getattr(self, f.name) is not None
        ]
        return ", ".join(found) or "healthy"


class Link:
    """One direction between two hosts."""

    __slots__ = ("busy_until", "conditions", "cut", "last_arrival")

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        self.cut = False
        self.busy_until = 0.0
        self.last_arrival = 0.0

    def is_full(self, now: float) -> bool:
        """Whether so much waits to be carried that nothing more is taken."""
        return self.busy_until - now > _MOST_WAITING

    def travel(self, now: float, size: int, random: Random, *, ordered: bool = True) -> float:
        """Return for how many seconds a packet of `size` bytes that is sent now is under way."""
        conditions = self.conditions
        arrival = now + conditions.delay
        if conditions.jitter:
            arrival += random.expovariate(1.0) * conditions.jitter
        if conditions.bytes_per_second is not None:
            self.busy_until = max(self.busy_until, now) + size / conditions.bytes_per_second
            arrival = max(arrival, self.busy_until + conditions.delay)
        if conditions.reorder and random.random() < conditions.reorder:
            return arrival - now + random.expovariate(1.0) * (conditions.delay + conditions.jitter)
        if ordered:
            arrival = self.last_arrival = max(arrival, self.last_arrival)
        return arrival - now


def flip_bit(data: bytes, random: Random) -> bytes:
    """Return `data` with one bit changed."""
    at = random.randrange(8 * len(data))
    changed = bytearray(data)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)
