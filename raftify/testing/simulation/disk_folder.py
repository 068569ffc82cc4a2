"""A simulated folder of files, which knows what a crash would leave of each.

What is written to a file is durable once the file was synced, a name once the folder was. What was
not is lost by a loss of power, wholly or in part: bytes at the end are missing or zero, and each
name that was given or taken away since is as before or as after, one by one.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from raftify.storage.disk_folder import from_os_error
from raftify.testing.simulation.disk_hold import Hold

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class StoredFile:
    """The bytes of one file, whatever its name."""

    __slots__ = ("data", "synced_bytes")

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced_bytes = 0

    def lose_power(self, random: Random) -> None:
        """Keep what was synced, and of the rest what chance leaves."""
        lost_from = random.randint(self.synced_bytes, len(self.data))
        if random.random() < 0.5:
            del self.data[lost_from:]
        else:
            # The size was noted, the bytes were not.
            self.data[lost_from:] = bytes(len(self.data) - lost_from)
        self.synced_bytes = len(self.data)


@dataclass(frozen=True, slots=True)
class _Renaming:
    """A file that is to be found under `name` instead of under `before`; an empty one is none."""

    before: str
    name: str
    file: StoredFile | None

    def carry_out(self, names: dict[str, StoredFile]) -> None:
        if self.before:
            names.pop(self.before, None)
        if self.name and self.file is not None:
            names[self.name] = self.file


class StoredFolder:
    """Names and files, as they are, and as they would be found after a loss of power."""

    def __init__(self) -> None:
        self.names: dict[str, StoredFile] = {}
        self._durable: dict[str, StoredFile] = {}
        self._unsynced: list[_Renaming] = []

    def change(self, change: _Renaming) -> None:
        change.carry_out(self.names)
        self._unsynced.append(change)

    def sync(self) -> None:
        """Make all names durable."""
        self._unsynced.clear()
        self._durable = dict(self.names)

    def image(self) -> Mapping[str, StoredFile]:
        """Return the durable names, which nobody changes: others take their place."""
        return self._durable

    def put_back(self, image: Mapping[str, StoredFile]) -> None:
        """Have the names of `image` again, durably."""
        self.names = dict(image)
        self.sync()

    def lose_power(self, random: Random) -> None:
        """Leave what was synced, and of the rest what chance leaves."""
        names = dict(self._durable)
        for change in self._unsynced:
            if random.random() < 0.5:
                change.carry_out(names)
        for file in names.values():
            file.lose_power(random)
        self.put_back(names)


class SimulatedFolder:
    """A Folder over `stored`, for one process."""

    def __init__(self, path: Path, stored: StoredFolder, hold: Hold) -> None:
        self.path = path
        self._stored = stored
        self._hold = hold

    def make(self) -> None:
        self._hold.check_alive()

    def names(self) -> list[str]:
        self._check_reading()
        return [*self._stored.names]

    def size(self, name: str) -> int:
        self._check_reading()
        return len(self._find(name).data)

    def create(self, name: str) -> SimulatedFile:
        self._check_writing(0)
        if name in self._stored.names:
            raise _os_error(errno.EEXIST)
        file = StoredFile()
        self._change(_Renaming("", name, file))
        return SimulatedFile(file, self._hold)

    def open(self, name: str) -> SimulatedReader:
        self._check_reading()
        return SimulatedReader(self._find(name), self._hold)

    def rename(self, name: str, new_name: str) -> None:
        self._check_writing(0)
        self._change(_Renaming(name, new_name, self._find(name)))

    def remove(self, name: str) -> None:
        # A full disk lets one remove.
        self._hold.check_alive()
        if name in self._stored.names:
            self._change(_Renaming(name, "", None))

    def sync(self) -> None:
        try:
            self._check_writing(0)
        except OSError as error:
            raise from_os_error(error, self.path, "sync the directory") from error

        def keep() -> None:
            self._stored.sync()
            self._hold.taken("names synced", [name.encode() for name in self._stored.names])

        self._hold.write(keep=keep, drop=_nothing)

    def _change(self, change: _Renaming) -> None:
        self._hold.write(keep=lambda: self._stored.change(change), drop=_nothing)

    def _find(self, name: str) -> StoredFile:
        try:
            return self._stored.names[name]
        except KeyError:
            raise _os_error(errno.ENOENT) from None

    def _check_reading(self) -> None:
        _check(self._hold.reading_fails())

    def _check_writing(self, size_bytes: int) -> None:
        _check(self._hold.writing_fails(size_bytes))


class SimulatedFile:
    """A NewFile."""

    def __init__(self, file: StoredFile, hold: Hold) -> None:
        self._file = file
        self._hold = hold

    def write(self, data: bytes, /) -> int:
        _check(self._hold.writing_fails(len(data)))
        self._hold.write(keep=lambda: self._file.data.extend(data), drop=_nothing)
        return len(data)

    def sync(self) -> None:
        _check(self._hold.writing_fails(0))

        def keep() -> None:
            size, synced = len(self._file.data), self._file.synced_bytes
            self._file.synced_bytes = size
            self._hold.taken(f"file of {size} bytes synced", [bytes(self._file.data[synced:])])

        self._hold.write(keep=keep, drop=_nothing)

    def close(self) -> None:
        """Do nothing: what was written stays unsynced."""


class SimulatedReader:
    """An OpenFile. Who has it open reads on when its name is gone."""

    def __init__(self, file: StoredFile, hold: Hold) -> None:
        self._bytes = io.BytesIO(file.data)
        self._hold = hold
        self.seek = self._bytes.seek
        self.tell = self._bytes.tell
        self.fileno = self._bytes.fileno
        self.close = self._bytes.close

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        _check(self._hold.reading_fails())
        return self._bytes.readinto(buffer)

    def readall(self) -> bytes:
        _check(self._hold.reading_fails())
        return self._bytes.read()


def _check(number: int) -> None:
    if number:
        raise _os_error(number)


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _nothing() -> None:
    pass
