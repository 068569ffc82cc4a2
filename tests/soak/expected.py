"""What a register may hold, by what its clients were told: so that an hour of load can be judged.

Every write has a value of its own. A value may be read if its write had begun, and no other write
both began behind that one's answer and was acknowledged before the read began.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

#: The value of a key that was never written.
NOTHING = None


@dataclass
class _Write:
    ended: float = inf


class Expected:
    """The values that each key may have. Times are those of one clock, in seconds."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self._writes: dict[str, dict[str | None, _Write]] = defaultdict(
            lambda: {NOTHING: _Write(-inf)}
        )
        self._reads: dict[str, list[set[str | None]]] = defaultdict(list)

    def begin(self, key: str, value: str) -> None:
        """A write sets out; as long as nobody says what became of it, it may come into effect."""
        self._writes[key][value] = _Write()
        for read in self._reads[key]:
            read.add(value)

    def acknowledge(self, key: str, value: str, began: float, ended: float) -> None:
        """The write is in effect: those that had been so when it began are no more."""
        writes = self._writes[key]
        for other in [o for o, write in writes.items() if write.ended < began]:
            del writes[other]
        if value in writes:
            writes[value].ended = ended

    @contextmanager
    def reading(self, key: str) -> Iterator[Read]:
        """Yield a read that begins now."""
        read = Read(self, key, set(self._writes[key]))
        self._reads[key].append(read.may_be)
        try:
            yield read
        finally:
            # Not `remove`, which would take an equal one for it.
            self._reads[key] = [other for other in self._reads[key] if other is not read.may_be]

    def known(self) -> list[str]:
        """Return all keys that were ever written or read."""
        return list(self._writes)


@dataclass
class Read:
    """One read that is under way."""

    expected: Expected
    key: str
    may_be: set[str | None]

    def found(self, value: str | None) -> None:
        """Note what it found, if that may not be."""
        if value not in self.may_be:
            told = sorted(str(v)[:20] for v in self.may_be)
            self.expected.wrong.append(f"{self.key} held {str(value)[:20]}, not one of {told}")
