"""A directory on the real disk: its files made, read, named and synced, its errors told as ours."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Final

from raftify.errors import StorageError, StorageFull
from raftify.storage.medium import OpenFile

_WRITE_BYTES: Final = 1 << 20
#: EFBIG and EDQUOT are limits of the process and of the user: as full as a disk can be.
FULL_ERRORS: Final = frozenset(
    code for code in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", None)) if code
)


def from_os_error(error: OSError, path: Path, doing: str) -> StorageError:
    """Return what to raise for `error`, which came up while `doing` something with `path`."""
    if error.errno in FULL_ERRORS:
        return StorageFull(f"cannot {doing} {path}: {error.strerror}; make room, nothing was lost")
    return StorageError(f"cannot {doing} {path}: {error.strerror or error}")


def sync_directory(path: Path) -> None:
    """Make the names in directory `path` durable; raise StorageError if that fails.

    Windows has no such call.
    """
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise from_os_error(error, path, "sync the directory") from error


def make_directories(path: Path) -> None:
    """Make the directory and those above it, durably; raise StorageError or OSError."""
    path = path.absolute()
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for directory in missing:
        sync_directory(directory.parent)


class DiskFolder:
    """A Folder on the real disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make it and sync the name, with those above it; see Folder."""
        make_directories(self.path)

    def names(self) -> list[str]:
        return [path.name for path in self.path.iterdir()]

    def size(self, name: str) -> int:
        return (self.path / name).stat().st_size

    def create(self, name: str) -> DiskFile:
        return DiskFile(self.path / name)

    def open(self, name: str) -> OpenFile:
        return (self.path / name).open("rb", buffering=0)

    def rename(self, name: str, new_name: str) -> None:
        (self.path / name).replace(self.path / new_name)

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def sync(self) -> None:
        sync_directory(self.path)


class DiskFile:
    """A NewFile on the real disk."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=_WRITE_BYTES)
        self.write = self._file.write

    def sync(self) -> None:
        """Write what is buffered, and wait for the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
