"""Snapshot files of a log directory: written beside, renamed into place, checked when read.

`<file_id>.snapshot` is a finished one, `<file_id>.<random>.tmp` one being written. Only the file
that the log names counts; everything else found at start is what a crash left.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

from raftify.errors import SnapshotOutOfDate, StorageDamaged, StorageError
from raftify.records import SnapshotDescriptor
from raftify.storage.disk_folder import from_os_error
from raftify.storage.medium import Folder
from raftify.storage.unclaimed import UnclaimedFiles

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FINISHED_SUFFIX: Final = ".snapshot"
UNFINISHED_SUFFIX: Final = ".tmp"

_READ_BYTES: Final = 1 << 20
#: Makes up the id of a file: as many random bytes in hexadecimal.
MakeId: TypeAlias = Callable[[int], str]


class SnapshotFiles:
    """The snapshot files in one directory. Sinks may be used on any thread."""

    def __init__(self, folder: Folder, make_id: MakeId = secrets.token_hex) -> None:
        self._folder = folder
        self._make_id = make_id
        self._unclaimed = UnclaimedFiles()
        self._latest = SnapshotDescriptor()

    def open(self, latest: SnapshotDescriptor) -> None:
        """Begin with `latest` as the file that the log names; remove everything else.

        Raises:
            StorageDamaged: it is gone or has another size.
        """
        self._latest = latest
        self._folder.make()
        if latest.file_id:
            self._check_size(latest)
        for name in self._folder.names():
            is_ours = name.endswith((FINISHED_SUFFIX, UNFINISHED_SUFFIX))
            if is_ours and name != name_of(latest.file_id):
                self._folder.remove(name)

    def path_of(self, file_id: str) -> Path:
        """Return where the finished file of that id lies."""
        return self._folder.path / name_of(file_id)

    def create_sink(self, file_id: str) -> FileSink:
        """Return a new file to write to; its id is made up if `file_id` is empty."""
        file_id = file_id or self._make_id(16)
        if not (file_id.isascii() and file_id.isalnum()):
            raise StorageError(f"{file_id!r} cannot be the id of a snapshot file")
        name = f"{file_id}.{self._make_id(4)}{UNFINISHED_SUFFIX}"
        return FileSink(self, file_id, self._folder, name)

    def put_in_place(self, file_id: str, temporary: str, size_bytes: int, crc32: int) -> None:
        """Give a finished file its name. One that is in use is never replaced by another."""
        if file_id == self._latest.file_id:
            latest = self._latest
            if (size_bytes, crc32) != (latest.size_bytes, latest.crc32):
                raise StorageError(
                    f"snapshot file {file_id} is in use, and other bytes came under its id"
                )
            self._folder.remove(temporary)
            return

        def rename() -> None:
            self._folder.rename(temporary, name_of(file_id))
            self._folder.sync()

        self._unclaimed.add(file_id, size_bytes, crc32, rename)

    def check(self, descriptor: SnapshotDescriptor) -> None:
        """Raise StorageDamaged unless the file is what `descriptor` says."""
        if not descriptor.file_id or descriptor == self._latest:
            return
        self._check_size(descriptor)
        known = self._unclaimed.checksum_of(descriptor.file_id)
        if known is None:
            check_file(self._folder, descriptor)
        elif known != (descriptor.size_bytes, descriptor.crc32):
            raise StorageDamaged(
                f"{self.path_of(descriptor.file_id)} was written with {known[0]} bytes and "
                f"checksum {known[1]:08x}, but is described with {descriptor.size_bytes} and "
                f"{descriptor.crc32:08x}"
            )

    def adopt(self, descriptor: SnapshotDescriptor) -> None:
        """Note that the log names this file now, and remove the one before."""
        before, self._latest = self._latest, descriptor
        self._unclaimed.claim(descriptor.file_id, self._remove)
        if before.file_id and before.file_id != descriptor.file_id:
            self._remove(before.file_id)

    def open_for_reading(self, descriptor: SnapshotDescriptor) -> BinaryIO:
        """Open the file; see StableStorage.open_snapshot."""
        if not descriptor.file_id:
            return io.BytesIO()
        path = self.path_of(descriptor.file_id)
        try:
            return io.BufferedReader(CheckedFile(self._folder, descriptor), _READ_BYTES)
        except FileNotFoundError as error:
            if descriptor.file_id == self._latest.file_id:
                raise StorageDamaged(f"snapshot file {path} is missing") from error
            raise SnapshotOutOfDate(
                f"snapshot file {path.name} is gone: a newer snapshot took its place"
            ) from error
        except OSError as error:
            raise from_os_error(error, path, "open") from error

    def _check_size(self, descriptor: SnapshotDescriptor) -> None:
        path = self.path_of(descriptor.file_id)
        try:
            size = self._folder.size(path.name)
        except OSError as error:
            raise _cannot_read(path, error) from error
        if size != descriptor.size_bytes:
            raise StorageDamaged(
                f"snapshot file {path} has {size} bytes, but was written with "
                f"{descriptor.size_bytes}"
            )

    def _remove(self, file_id: str) -> None:
        # What cannot be removed now is removed when the directory is opened the next time.
        with contextlib.suppress(OSError):
            self._folder.remove(name_of(file_id))


class FileSink:
    """A SnapshotSink into a temporary file that gets its name once it is whole and durable."""

    def __init__(self, files: SnapshotFiles, file_id: str, folder: Folder, name: str) -> None:
        self._files = files
        self._file_id = file_id
        self._folder = folder
        self._name = name
        self._size_bytes = 0
        self._crc32 = 0
        self._open = True
        with self._mending("create"):
            self._file = folder.create(name)

    def write(self, data: bytes, /) -> int:
        """Append `data`; see SnapshotSink."""
        self._check_open()
        with self._mending("write"):
            self._file.write(data)
        self._size_bytes += len(data)
        self._crc32 = zlib.crc32(data, self._crc32)
        return len(data)

    def finish(self) -> tuple[str, int, int]:
        """Make it durable and visible; see SnapshotSink."""
        self._check_open()
        with self._mending("write"):
            self._file.sync()
            self._file.close()
            self._files.put_in_place(self._file_id, self._name, self._size_bytes, self._crc32)
        self._open = False
        return self._file_id, self._size_bytes, self._crc32

    def abort(self) -> None:
        """Remove what was written; see SnapshotSink."""
        if not self._open:
            return
        self._open = False
        # Closing writes what is buffered, which fails again on a full disk.
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._folder.remove(self._name)

    def _check_open(self) -> None:
        if not self._open:
            raise StorageError(f"snapshot file {self._file_id} was finished or given up already")

    @contextlib.contextmanager
    def _mending(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (OSError, StorageError) as error:
            if doing != "create":
                self.abort()
            if isinstance(error, OSError):
                raise from_os_error(error, self._folder.path / self._name, doing) from error
            raise


class CheckedFile(io.RawIOBase):
    """A file that gives out no end, and nothing out of order, that the checksum does not vouch for.

    A snapshot with a flipped bit must not become the state of this node, or of a follower. Read in
    order it is checked on the way; before the first seek elsewhere it is read as a whole.

    A disk that fails meanwhile is told as a StorageError: whoever restores from the file must not
    be blamed for it.
    """

    def __init__(self, folder: Folder, descriptor: SnapshotDescriptor) -> None:
        super().__init__()
        name = name_of(descriptor.file_id)
        self._path = folder.path / name
        self._descriptor = descriptor
        self._file = folder.open(name)
        self._crc32 = 0
        # How far it was read without a gap; None once the whole file was found to be right.
        self._checked: int | None = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            count = self._file.readinto(buffer) or 0
        except OSError as error:
            raise from_os_error(error, self._path, "read") from error
        self._follow(memoryview(buffer).cast("B")[:count])
        return count

    def readall(self) -> bytes:
        try:
            data = self._file.readall()
        except OSError as error:
            raise from_os_error(error, self._path, "read") from error
        self._follow(memoryview(data))
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to `offset`; raise StorageDamaged if that meant to read on without a checksum."""
        position = self._file.seek(offset, whence)
        if self._checked in (None, position):
            return position
        if position == 0:
            self._checked, self._crc32 = 0, 0
        else:
            self._check_whole()
            self._file.seek(position)
        return position

    def _check_whole(self) -> None:
        self._file.seek(0)
        self._checked, self._crc32 = 0, 0
        buffer = bytearray(_READ_BYTES)
        while self.readinto(buffer):
            pass
        self._checked = None

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _follow(self, data: memoryview) -> None:
        if self._checked is None:
            return
        self._crc32 = zlib.crc32(data, self._crc32)
        self._checked += len(data)
        size = self._descriptor.size_bytes
        at_end = not data or self._checked >= size
        if at_end and (self._checked, self._crc32) != (size, self._descriptor.crc32):
            found = (self._checked, self._crc32)
            raise _mismatch(self._path, self._descriptor, found)


def name_of(file_id: str) -> str:
    """Return the name of the finished file of that id."""
    return file_id + FINISHED_SUFFIX


def check_file(folder: Folder, descriptor: SnapshotDescriptor) -> None:
    """Read the whole file; raise StorageDamaged unless it is what `descriptor` says.

    Raises StorageError if it cannot be read now.
    """
    try:
        with CheckedFile(folder, descriptor) as file:
            buffer = bytearray(_READ_BYTES)
            while file.readinto(buffer):
                pass
    except OSError as error:
        path = folder.path / name_of(descriptor.file_id)
        raise _cannot_read(path, error) from error


def _cannot_read(path: Path, error: OSError) -> StorageError:
    """Return what to raise: a file that is gone is damage, a disk that fails now may mend."""
    if isinstance(error, FileNotFoundError):
        return StorageDamaged(f"snapshot file {path} is missing")
    return from_os_error(error, path, "read")


def _mismatch(path: Path, descriptor: SnapshotDescriptor, found: tuple[int, int]) -> StorageDamaged:
    return StorageDamaged(
        f"snapshot file {path} has {found[0]} bytes with checksum {found[1]:08x}, but was written "
        f"with {descriptor.size_bytes} and {descriptor.crc32:08x}: get the state from another "
        "member, or restore the file from a backup"
    )
