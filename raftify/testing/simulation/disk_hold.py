"""What a process may still do with a simulated disk: nothing once it is dead."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from raftify.errors import StorageError


class ProcessIsDead(StorageError):
    """The process that this came from crashed: its handles refuse everything."""


@dataclass(slots=True)
class DiskHealth:
    """What is wrong with a disk for now. Whoever mends it sets it back."""

    #: How many bytes can still be written until the disk is full; None for as many as one likes.
    room_bytes: int | None = None
    fail_reads: bool = False
    fail_writes: bool = False


#: Is told what a disk took, in words, and the bytes.
Taken = Callable[[str, Sequence[bytes]], None]


class Hold:
    """The hold that one process has of the disk, from opening to closing or crash; `taken` is told
    what the disk took of it."""

    def __init__(self, health: DiskHealth, random: Random, taken: Taken) -> None:
        self.alive = True
        self.taken = taken
        self._health = health
        self._random = random
        self._operations_left = -1
        self._crash: Callable[[], None] = self.check_alive

    def crash_after(self, operations: int, crash: Callable[[], None]) -> None:
        """Call `crash` in the write number `operations` from now; 0 is the next one."""
        self._operations_left = operations
        self._crash = crash

    @property
    def crash_is_set(self) -> bool:
        return self._operations_left >= 0

    def check_alive(self) -> None:
        if not self.alive:
            raise ProcessIsDead("this came from a process that crashed: open the disk again")

    def reading_fails(self) -> int:
        """Return the system's error number for a read now, or 0 if it does not fail."""
        self.check_alive()
        return errno.EIO if self._health.fail_reads else 0

    def writing_fails(self, size_bytes: int) -> int:
        """Return the system's error number for writing so much now, or 0 if it does not fail."""
        self.check_alive()
        health = self._health
        if health.fail_writes:
            return errno.EIO
        if health.room_bytes is not None:
            if size_bytes >= health.room_bytes:
                return errno.ENOSPC
            health.room_bytes -= size_bytes
        return 0

    def write(self, *, keep: Callable[[], None], drop: Callable[[], None]) -> None:
        """Let one write happen by `keep`; if the crash falls here, perhaps by `drop` not.

        Raises:
            ProcessIsDead: it fell here, or before.
        """
        self.check_alive()
        if self._operations_left != 0:
            self._operations_left -= 1
            return keep()
        (keep if self._random.random() < 0.5 else drop)()
        self._operations_left = -1
        self._crash()
        return self.check_alive()
