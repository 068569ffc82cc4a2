"""Whether the files that a store has open are still those that their names lead to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from raftify.errors import StorageError


@dataclass(frozen=True, slots=True)
class Place:
    """Files and directories by name, with the numbers that the system knew them by."""

    directory: Path
    known: tuple[tuple[Path, tuple[int, int]], ...]

    @classmethod
    def of(cls, directory: Path, *paths: Path) -> Self:
        """Remember what is at `paths` now; raises OSError."""
        # A name that does not depend on the working directory, which a program may change.
        whole = [path.absolute() for path in paths]
        return cls(directory, tuple((path, _number_of(path)) for path in whole))

    def check(self) -> None:
        """Raise StorageError unless all of it is where it was.

        A program that has a deleted file open reads and writes it as before, and its last word is
        lost when it ends. From any thread; it may have to wait for the disk.
        """
        for path, number in self.known:
            try:
                found = _number_of(path)
            except (FileNotFoundError, NotADirectoryError):
                raise self._lost(f"{path} is gone") from None
            except OSError:
                # A disk that fails shows in what is written to it.
                continue
            if found != number:
                raise self._lost(f"{path} is another one than this node opened")

    def _lost(self, how: str) -> StorageError:
        return StorageError(
            f"the log directory {self.directory} was deleted, moved or replaced while the node "
            f"ran: {how}. The node stops, since nothing that it writes from now on would outlive "
            "it. If the directory was moved, move it back and start again; if it is lost, remove "
            "the node from the cluster, and let it join with an empty directory and a new id"
        )


def _number_of(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
