"""A log in RocksDB as a reader has it open, while its node may be writing it.

RocksDB lets a second process read without a lock, but the binding writes a file into whatever
directory it opens. So what it opens is a directory of links to the files of the log, elsewhere:
nothing is written into the log's own, which may be one that this program may not write.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from raftify.errors import StorageDamaged, StorageError
from raftify.storage import lmdb_records as records
from raftify.storage.log_view import LogView, Meanwhile, patiently
from raftify.storage.medium import Environment
from raftify.storage.rocksdb.environment import RocksEnvironment

#: Names the manifest, and is replaced when that changes: copied, so that the two belong together.
_CURRENT: Final = "CURRENT"
_MANIFEST: Final = "MANIFEST-"
#: What else RocksDB reads; the rest are locks, diaries and the binding's settings.
_READ: Final = (".sst", ".log", ".blob")


class RocksView(LogView):
    """Sees the log as it was when it was opened or last refreshed, whatever the node does."""

    is_noted = True

    def __init__(self, place: Path) -> None:
        """Open the database in the directory `place`; see `LogReader.open`."""
        self._place = place
        self._environment, self._links = patiently(self._open)

    @property
    def environment(self) -> Environment:
        return self._environment

    def refresh(self) -> None:
        environment, links = patiently(self._open)
        self.close()
        self._environment, self._links = environment, links

    def check_pages(self) -> None:
        """Do nothing: RocksDB checks each block as the entries are read."""

    def close(self) -> None:
        self._environment.close()
        self._links.cleanup()

    def _open(self) -> tuple[RocksEnvironment, TemporaryDirectory[str]]:
        """Open what is there now.

        Raises:
            Meanwhile: the node removed a file while the files were being linked and opened.
            StorageDamaged, StorageError: it is not whole.
        """
        links, opened = _new_directory(), None
        try:
            names = self._link(Path(links.name))
            opened = RocksEnvironment(self._place, readonly_at=Path(links.name))
            with opened.reading() as transaction:
                records.read_contents(opened, transaction)
        except StorageError as error:
            _close(opened, links)
            # What the node removes or adds between the links and the opening looks like damage.
            if isinstance(error, StorageDamaged) or self._names() == names:
                raise
            raise Meanwhile from error
        except FileNotFoundError as error:
            _close(opened, links)
            if not (self._place / _CURRENT).exists():
                raise StorageDamaged(
                    f"{self._place} is no database: it has no {_CURRENT}. Restore a backup, or "
                    "give the node an empty directory and a new id"
                ) from error
            raise Meanwhile from error
        except OSError as error:
            _close(opened, links)
            raise StorageError(f"cannot read {self._place}: {error.strerror or error}") from error
        except BaseException:
            _close(opened, links)
            raise
        return opened, links

    def _link(self, links: Path) -> list[str]:
        """Fill `links`, and return the names of what was there."""
        names = self._names()
        shutil.copyfile(self._place / _CURRENT, links / _CURRENT)
        for name in names:
            _link(self._place.absolute() / name, links / name)
        return names

    def _names(self) -> list[str]:
        return sorted(
            file.name
            for file in self._place.iterdir()
            if file.suffix in _READ or file.name.startswith(_MANIFEST)
        )


def _new_directory() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="raftify-", ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(
            "a log in RocksDB is read by links to its files in a temporary directory, and none can "
            f"be made ({error.strerror or error}): set TMPDIR to one that can be written"
        ) from error


def _close(environment: RocksEnvironment | None, links: TemporaryDirectory[str]) -> None:
    if environment is not None:
        environment.close()
    links.cleanup()


def _link(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:
        # Not everybody may make links everywhere.
        shutil.copyfile(file, link)
