"""Which finished snapshot files nobody has claimed, so that a refused one does not lie for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

#: How many other snapshots may become the latest before a finished one that did not is given up.
#: One that was received waits for the core and for the write queue, a matter of milliseconds.
_PATIENCE: Final = 8


class UnclaimedFiles:
    """Finished snapshots that are not the latest one (yet). Sinks on any thread add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims = 0
        self._finished: dict[str, tuple[int, int, int]] = {}

    def add(
        self, file_id: str, size_bytes: int, crc32: int, put_in_place: Callable[[], None]
    ) -> None:
        """Note a finished file, and put it in place without a claim coming in between."""
        with self._lock:
            put_in_place()
            self._finished[file_id] = (self._claims, size_bytes, crc32)

    def checksum_of(self, file_id: str) -> tuple[int, int] | None:
        """Return size in bytes and crc32 of a file that was finished in this process, or None."""
        with self._lock:
            known = self._finished.get(file_id)
        return known[1:] if known is not None else None

    def claim(self, file_id: str, remove: Callable[[str], None]) -> None:
        """Note that `file_id` is the latest now (empty if that has no file).

        Calls `remove` for every file that has waited for too long.
        """
        with self._lock:
            self._claims += 1
            self._finished.pop(file_id, None)
            overdue = [
                other
                for other, (claims, _, _) in self._finished.items()
                if self._claims - claims > _PATIENCE
            ]
            for other in overdue:
                del self._finished[other]
                remove(other)
