"""What a check may cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

#: Steps between two looks at the clock.
STEPS_PER_LOOK = 1024


class OutOfBudget(Exception):
    """Too many steps, or too late."""


@dataclass
class Budget:
    """What a check may cost.

    Args:
        steps: how many times the model may be asked.
        until: when to stop, by `time.monotonic`; None for never.
    """

    steps: int
    until: float | None = None
    used: int = 0

    def spend(self) -> None:
        """Take one step.

        Raises:
            OutOfBudget: there is none left, or it is too late.
        """
        if self.used >= self.steps:
            raise OutOfBudget
        self.used += 1
        if (
            self.until is not None
            and self.used % STEPS_PER_LOOK == 0
            and time.monotonic() > self.until
        ):
            raise OutOfBudget
