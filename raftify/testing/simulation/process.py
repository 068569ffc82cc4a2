"""One process of a simulation: whose callbacks may run, and what its clock shows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

#: Which process the running code belongs to; None for the test itself. Tasks inherit it.
CURRENT: ContextVar[Process | None] = ContextVar("raftify_simulated_process", default=None)

#: Whether the running code belongs to a call from outside. Tasks inherit that, too.
IN_CALL: ContextVar[bool] = ContextVar("raftify_simulated_call", default=False)


class Process:
    """A group of callbacks that live and die together, as those of an operating-system process.

    Made by `SimulatedLoop.process`, which alone changes it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        #: Callbacks that it may still run before it dies; None for any number.
        self.fuse: int | None = None
        self.on_fuse: Callable[[], None] | None = None
        #: Callbacks that were due while it was paused.
        self.held: deque[asyncio.Handle] = deque()
        #: Set where the loop must look twice before it runs a callback: dead, paused, or a fuse.
        self.unusual = False
        self.rate = 1.0
        self._offset = 0.0
        self._floor = float("-inf")
        self.has_own_clock = False
        self.context: Context = copy_context()
        self.context.run(CURRENT.set, self)

    def __repr__(self) -> str:
        state = "dead" if not self.alive else "paused" if self.paused else "running"
        return f"<process {self.name}, {state}>"

    def run(self, call: Callable[..., T], *args: Any) -> T:
        """Call at once, as a part of this process: what it begins belongs to the process."""
        return self.context.copy().run(call, *args)

    # -- the clock --------------------------------------------------------------------------

    def local_time(self, now: float) -> float:
        """Return what its clock shows at the virtual time `now`."""
        if not self.has_own_clock:
            return now
        return max(self._offset + self.rate * now, self._floor)

    def virtual_time(self, local: float) -> float:
        """Return when, in virtual time, its clock will show `local`."""
        if not self.has_own_clock:
            return local
        return (local - self._offset) / self.rate

    def note_time(self, local: float) -> None:
        """Let the clock show at least `local`: rounding must not fire a timer before its time."""
        if self.has_own_clock and local > self._floor:
            self._floor = local

    def set_clock(self, now: float, *, rate: float, jump: float) -> None:
        """Go on from now at `rate` seconds a second, after a jump of `jump` seconds."""
        shown = self.local_time(now) + jump
        self.rate = rate
        self._offset = shown - rate * now
        self._floor = float("-inf")
        self.has_own_clock = True

    def defuse(self) -> None:
        """Let nothing happen after so many callbacks any more."""
        self.fuse = self.on_fuse = None
        self.look()

    def look(self) -> None:
        """Say anew whether the loop must look twice."""
        self.unusual = not self.alive or self.paused or self.fuse is not None
