"""Garbage is collected at fixed steps of a run: finalizers run at the same place every time."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STEPS_PER_YOUNG = 1 << 16
_STEPS_PER_FULL = 1 << 20


@contextmanager
def collected_here() -> Iterator[Callable[[int], None]]:
    """Turn automatic collection off; yield what to call with the number of steps now and then."""
    was_enabled = gc.isenabled()
    gc.disable()

    def collect(steps: int) -> None:
        if not steps % _STEPS_PER_FULL:
            gc.collect()
        elif not steps % _STEPS_PER_YOUNG:
            gc.collect(1)

    try:
        yield collect
    finally:
        if was_enabled:
            gc.enable()
