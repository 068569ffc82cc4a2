"""Entries that were purged from the log, kept in files for whoever wants the whole history.

`FIRST-LAST.entries` holds the entries from index FIRST to LAST: a line that says whose log it is,
with a checksum, then each entry behind its size and the crc32 of its bytes, 4 bytes each. A file
gets its name once it is whole and durable, and is never changed.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from raftify.core.types import Entry
from raftify.errors import (
    MalformedMessage,
    NotALogDirectory,
    StorageDamaged,
    StorageForeign,
)
from raftify.storage.base import StoreIdentity
from raftify.storage.disk_folder import DiskFolder, from_os_error
from raftify.storage.medium import Folder
from raftify.wire.codec import decode_entry, encode_entry

SUFFIX: Final = ".entries"
_UNFINISHED: Final = ".tmp"
_FORMAT: Final = "raftify archive 1"
_FRAME: Final = struct.Struct("<II")
#: Longest first line of a file.
_HEADER_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of an archive, with the entries from `first_index` to `last_index`."""

    first_index: int
    last_index: int
    folder: Folder = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """Name of the file."""
        return f"{self.first_index:020}-{self.last_index:020}{SUFFIX}"

    @property
    def path(self) -> Path:
        """Names the file in messages."""
        return self.folder.path / self.name

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.folder.size(self.name)

    def read(self) -> BinaryIO:
        """Return the whole file, at most as large as what is archived at a time; raises OSError."""
        with closing(self.folder.open(self.name)) as file:
            return io.BytesIO(file.readall())


class LogArchive:
    """Appends to an archive. One at a time, on one thread at a time."""

    def __init__(self, folder: Folder, identity: StoreIdentity, max_bytes: int) -> None:
        """Open the archive in `folder`, made new if there is none.

        Args:
            identity: whose log it is of.
            max_bytes: the oldest files are removed when all take more; 0: none ever is.

        Raises:
            StorageForeign: it is that of another node.
            StorageError: it cannot be read or made.
        """
        self._folder = folder
        self._identity = identity
        self._max_bytes = max_bytes
        try:
            folder.make()
            for left in folder.names():
                if left.endswith(_UNFINISHED):
                    folder.remove(left)
            self._segments = find_segments(folder)
        except OSError as error:
            raise from_os_error(error, folder.path, "open the archive in") from error
        if self._segments:
            self._check_owner(self._segments[-1])

    def _check_owner(self, segment: Segment) -> None:
        owner = read_owner(segment)
        if owner != self._identity:
            raise StorageForeign(
                f"the archive in {self._folder.path} is of node {owner.node_id} of cluster "
                f"{owner.cluster_id!r}, with another store: set compacted_log_dir to a directory "
                "of this node's own"
            )

    @property
    def last_index(self) -> int:
        """The last index that is archived; 0 if none is."""
        return self._segments[-1].last_index if self._segments else 0

    def append(self, entries: Sequence[Entry]) -> None:
        """Make `entries`, contiguous, durable; those that are archived already are left out.

        Raises:
            StorageFull: there is no room. Nothing was kept of them.
            StorageError: it cannot be written.
        """
        entries = [entry for entry in entries if entry.index > self.last_index]
        if not entries:
            return
        segment = Segment(entries[0].index, entries[-1].index, self._folder)
        try:
            self._write(segment.name + _UNFINISHED, entries)
            self._folder.rename(segment.name + _UNFINISHED, segment.name)
        except OSError as error:
            raise from_os_error(error, segment.path, "write") from error
        self._folder.sync()
        self._segments.append(segment)
        self._remove_oldest()

    def _write(self, name: str, entries: Sequence[Entry]) -> None:
        """Write a file and sync it; it is removed if that fails."""
        self._folder.remove(name)
        file = self._folder.create(name)
        try:
            file.write(_make_header(self._identity))
            for entry in entries:
                data = entry.encoded or encode_entry(entry)
                file.write(_FRAME.pack(len(data), zlib.crc32(data)) + data)
            file.sync()
            file.close()
        except OSError:
            # Closing writes what is buffered, which fails again on a full disk.
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                self._folder.remove(name)
            raise

    def _remove_oldest(self) -> None:
        """Make room within the limit; the newest file always stays."""
        if not self._max_bytes:
            return
        try:
            sizes = [segment.size_bytes for segment in self._segments]
            total = sum(sizes)
            while len(self._segments) > 1 and total > self._max_bytes:
                self._folder.remove(self._segments[0].name)
                del self._segments[0]
                total -= sizes.pop(0)
        except OSError as error:
            raise from_os_error(error, self._folder.path, "remove old files of") from error


class ArchiveReader:
    """Reads an archive, also while its node appends to it."""

    def __init__(self, directory: str | Path | Folder) -> None:
        """Look into `directory`.

        Raises:
            NotALogDirectory: there is no archive.
        """
        folder = DiskFolder(Path(directory)) if isinstance(directory, str | Path) else directory
        try:
            self.segments: Sequence[Segment] = find_segments(folder)
        except OSError as error:
            raise from_os_error(error, folder.path, "open the archive in") from error
        if not self.segments:
            raise NotALogDirectory(f"there is no archive of log entries in {folder.path}")

    @property
    def first_index(self) -> int:
        """The first index that is archived."""
        return self.segments[0].first_index

    @property
    def last_index(self) -> int:
        """The last index that is archived."""
        return self.segments[-1].last_index

    def owner(self) -> StoreIdentity:
        """Return whose log it is of."""
        return read_owner(self.segments[-1])

    def entries(self, low: int, high: int) -> Iterator[Entry]:
        """Yield the entries of `[low, high)` that are archived, in order.

        There may be holes: a node that was sent a snapshot never had what it covers.

        Raises:
            StorageDamaged: a file is not as it was written; what was yielded before is right.
        """
        for segment in self.segments:
            if segment.last_index >= low and segment.first_index < high:
                for entry in _read(segment):
                    if low <= entry.index < high:
                        yield entry


def find_segments(folder: Folder) -> list[Segment]:
    """Return the files of the archive in `folder`, in order; what else is there does not count.

    Raises OSError.
    """
    found = []
    for name in folder.names():
        first, _, last = name.removesuffix(SUFFIX).partition("-")
        if name.endswith(SUFFIX) and first.isdigit() and last.isdigit():
            found.append(Segment(int(first), int(last), folder))
    return sorted(found)


def read_owner(segment: Segment) -> StoreIdentity:
    """Return whose log a file is of; raise StorageError."""
    try:
        return _read_header(segment.read(), segment)
    except OSError as error:
        raise from_os_error(error, segment.path, "read") from error


def _make_header(owner: StoreIdentity) -> bytes:
    """Return the first line of a file: a checksum in hexadecimal, a blank, and JSON."""
    told = json.dumps([_FORMAT, owner.cluster_id, owner.node_id, owner.incarnation]).encode()
    return b"%08x %s\n" % (zlib.crc32(told), told)


def _read_header(file: BinaryIO, segment: Segment) -> StoreIdentity:
    checksum, _, told = file.readline(_HEADER_BYTES).rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(told):
        raise _damaged(segment, "the checksum of its first line is wrong")
    kind, *owner = json.loads(told)
    if kind != _FORMAT:
        raise _damaged(segment, f"it is {kind!r} instead of {_FORMAT!r}")
    return StoreIdentity(*owner)


def _read(segment: Segment) -> Iterator[Entry]:
    """Yield all entries of a file, checked."""
    try:
        file = segment.read()
    except OSError as error:
        raise from_os_error(error, segment.path, "read") from error
    _read_header(file, segment)
    for index in range(segment.first_index, segment.last_index + 1):
        yield _read_entry(file, segment, index)
    if file.read(1):
        raise _damaged(segment, f"there is more behind index {segment.last_index}")


def _read_entry(file: BinaryIO, segment: Segment, index: int) -> Entry:
    frame = file.read(_FRAME.size)
    if len(frame) != _FRAME.size:
        raise _damaged(segment, f"it ends before index {index}")
    size, crc32 = _FRAME.unpack(frame)
    data = file.read(size)
    if len(data) != size or zlib.crc32(data) != crc32:
        raise _damaged(segment, f"the checksum of index {index} is wrong")
    try:
        entry = decode_entry(data)
    except MalformedMessage as error:
        raise _damaged(segment, f"index {index} cannot be read: {error}") from error
    if entry.index != index:
        raise _damaged(segment, f"index {entry.index} is where {index} should be")
    return entry


def _damaged(segment: Segment, what: str) -> StorageDamaged:
    return StorageDamaged(f"{segment.path} is damaged: {what}")
