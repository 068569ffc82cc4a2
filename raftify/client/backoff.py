"""How long a client waits before it asks again."""

from __future__ import annotations

import random
from typing import Final

#: The first wait in seconds: about a round trip, for a leader that is just taking office.
FIRST_DELAY: Final = 0.02
#: The longest, in seconds: below the shortest usual election, so that a new leader is soon found.
LONGEST_DELAY: Final = 0.5


class Backoff:
    """Growing waits with jitter, so that many clients of a lost leader do not return as one."""

    __slots__ = ("_delay", "_random")

    def __init__(self, source: random.Random) -> None:
        self._random = source
        self._delay = FIRST_DELAY

    def next_delay(self) -> float:
        """Return the next wait in seconds: half of it certain, the other half random."""
        delay, self._delay = self._delay, min(2 * self._delay, LONGEST_DELAY)
        return delay * (0.5 + 0.5 * self._random.random())
