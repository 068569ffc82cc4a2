"""One process at a time writes to a log directory, and one store in it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Final

from raftify.errors import StorageError, StorageLocked

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # The byte lies far behind the process id, which others must be able to read.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def _is_free(_descriptor: int) -> bool:
        return False  # whoever may not write cannot find out

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_free(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


#: What the system says when another has the lock; anything else means that it cannot lock.
_TAKEN: Final = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})


class DirectoryLock:
    """Holds the lock file of a directory until released; the system does so if the process dies.

    The file itself stays: removing it would let two processes lock two files of the same name.
    """

    def __init__(self, path: Path) -> None:
        """Lock `path`, which is created if need be.

        Raises:
            StorageLocked: it is locked already, by this process or another.
            StorageError: it cannot be opened, or the file system has no locks.
        """
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"cannot open the lock file {path}: {error.strerror}") from error
        self._held = True
        _held_here.add(self)
        try:
            _lock(self._descriptor)
        except OSError as error:
            refusal = self._refusal(path, error)
            self.release()
            raise refusal from error
        # Only for the message that others get: a full disk must not matter here.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode())

    def _refusal(self, path: Path, error: OSError) -> StorageError:
        if error.errno not in _TAKEN:
            return StorageError(
                f"cannot lock {path}: {error.strerror or error}. The log directory must be on a "
                "file system with locks"
            )
        owner = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
        return StorageLocked(
            f"{path.parent} is open already, in {_describe(owner)}: stop that node first, or "
            "give this one a directory of its own"
        )

    def release(self) -> None:
        """Let others have it. Harmless the second time."""
        if self._held:
            self._held = False
            _held_here.discard(self)
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


def may_be_held(path: Path) -> bool:
    """Say whether somebody may hold the lock file `path`; needs no right to write.

    True also where that cannot be found out.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not _is_free(descriptor)
    finally:
        os.close(descriptor)


_held_here: Final[set[DirectoryLock]] = set()


def _leave_to_parent() -> None:
    """Close the inherited descriptors: each would hold its lock after the parent's death."""
    for lock in [*_held_here]:
        lock.release()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_to_parent)


def _describe(owner: str) -> str:
    if owner == str(os.getpid()):
        return "this process"
    return f"process {owner}" if owner.isdigit() else "another process"
