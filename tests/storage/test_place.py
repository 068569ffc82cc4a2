"""A log directory that is taken away from under its store is noticed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from raftify.errors import StorageError
from raftify.storage.base import StableStorage
from raftify.storage.lmdb_storage import LmdbStorage
from raftify.storage.mem_storage import MemStorage
from tests.storage.making import IDENTITY, MEMBERS

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows removes no file that is open"
)


def _lmdb(path: Path) -> StableStorage:
    return LmdbStorage.create(path)


def _rocksdb(path: Path) -> StableStorage:
    from raftify.storage.rocksdb.storage import RocksDbStorage  # noqa: PLC0415 - an extra

    return RocksDbStorage.create(path)


@pytest.fixture(params=[_lmdb, _rocksdb], ids=["lmdb", "rocksdb"])
def create(request: pytest.FixtureRequest) -> Callable[[Path], StableStorage]:
    make: Callable[[Path], StableStorage] = request.param
    if make is _rocksdb and importlib.util.find_spec("rocksdict") is None:
        pytest.skip("without the extra rocksdb")
    return make


@pytest.fixture
def check(create: Callable[[Path], StableStorage], tmp_path: Path) -> Iterator[Callable[[], None]]:
    storage = create(tmp_path / "log")
    storage.initialize(IDENTITY, MEMBERS)
    found = storage.place_check()
    assert found is not None
    yield found
    # RocksDB writes a last word, which it cannot where nothing is.
    with suppress(StorageError):
        storage.close()


def test_nothing_is_said_while_all_is_well(check: Callable[[], None], tmp_path: Path) -> None:
    check()
    (tmp_path / "log" / "snapshots" / "more").touch()
    check()


def test_it_holds_in_another_working_directory(
    create: Callable[[Path], StableStorage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = create(Path("log"))
    check = storage.place_check()
    assert check is not None
    monkeypatch.chdir("/")
    check()
    storage.close()


def test_a_deleted_directory(check: Callable[[], None], tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "log")
    with pytest.raises(StorageError, match=r"was deleted, moved or replaced .*LOCK is gone"):
        check()


def test_a_moved_directory(check: Callable[[], None], tmp_path: Path) -> None:
    (tmp_path / "log").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="move it back"):
        check()
    (tmp_path / "elsewhere").rename(tmp_path / "log")
    check()


def test_a_copy_in_its_place(check: Callable[[], None], tmp_path: Path) -> None:
    """As of a backup that is restored under a running node."""
    shutil.copytree(tmp_path / "log", tmp_path / "copy")
    (tmp_path / "log").rename(tmp_path / "old")
    (tmp_path / "copy").rename(tmp_path / "log")
    with pytest.raises(StorageError, match="another one than this node opened"):
        check()


def test_a_log_put_into_the_directory(tmp_path: Path) -> None:
    storage = _lmdb(tmp_path)
    check = storage.place_check()
    assert check is not None
    shutil.copy(tmp_path / "log.mdb", tmp_path / "copy")
    (tmp_path / "copy").replace(tmp_path / "log.mdb")
    with pytest.raises(StorageError, match=r"log\.mdb is another one"):
        check()
    storage.close()


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read all")
def test_a_directory_that_cannot_be_looked_into_is_not_gone(
    check: Callable[[], None], tmp_path: Path
) -> None:
    (tmp_path / "log").chmod(0)
    try:
        check()
    finally:
        (tmp_path / "log").chmod(0o755)


def test_memory_cannot_be_taken_away() -> None:
    assert MemStorage.create().place_check() is None
