"""One process at a time writes to a log directory, and one store in it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from raftify.errors import StorageError, StorageLocked

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # The byte lies far behind the process id, which others must be able to read.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class DirectoryLock:
    """Holds the lock file of a directory until released; the system does so if the process dies.

    The file itself stays: removing it would let two processes lock two files of the same name.
    """

    def __init__(self, path: Path) -> None:
        """Lock `path`, which is created if need be.

        Raises:
            StorageLocked: it is locked already, by this process or another.
        """
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"cannot open the lock file {path}: {error.strerror}") from error
        try:
            _lock(self._descriptor)
        except OSError as error:
            owner = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StorageLocked(
                f"{path.parent} is open already, in {_describe(owner)}: stop that node first, or "
                "give this one a directory of its own"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())
        self._held = True

    def release(self) -> None:
        """Let others have it. Harmless the second time."""
        if self._held:
            self._held = False
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


def _describe(owner: str) -> str:
    if owner == str(os.getpid()):
        return "this process"
    return f"process {owner}" if owner.isdigit() else "another process"
