"""A log directory that may be read and not written can be looked into, unless a node is at it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raftify.cli.main import EXIT_FINE, EXIT_USAGE, main
from raftify.storage.directory_lock import DirectoryLock
from raftify.storage.lmdb_directory import LOCK_FILE
from tests.cli.log_directories import make_sample

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="rights are other things there")

_NOBODY = 65534


@pytest.fixture
def directory() -> Iterator[Path]:
    """A sample log which only its owner may write, where every user may go."""
    with tempfile.TemporaryDirectory(prefix="raftify-read-only-") as made:
        Path(made).chmod(0o755)
        path = Path(made) / "log"
        make_sample(path)
        make_unwritable(path)
        yield path
        path.chmod(0o755)


def make_unwritable(path: Path) -> None:
    for file in (path, *path.rglob("*")):
        file.chmod(0o555 if file.is_dir() else 0o444)


@contextmanager
def without_rights() -> Iterator[None]:
    """Be no superuser, to whom everything may be written."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("what", ["logs", "metadata"])
def test_in_rocksdb_nothing_need_be_noted(capsys: Capture, what: str) -> None:
    rocksdb = pytest.importorskip("raftify.storage.rocksdb", reason="needs raftify[rocksdb]")
    with tempfile.TemporaryDirectory(prefix="raftify-read-only-") as made:
        Path(made).chmod(0o755)
        path = Path(made) / "log"
        make_sample(path, rocksdb.RocksDbStorage.create)
        make_unwritable(path)
        files = sorted(path.rglob("*"))
        with without_rights():
            code = main(["describe", what, str(path)])
        out, err = capsys.readouterr()
        assert (code, err) == (EXIT_FINE, "")
        assert "127.0.0.1:60062" in out
        assert sorted(path.rglob("*")) == files
        for directory in (path, *path.rglob("*/")):
            directory.chmod(0o755)


@pytest.mark.parametrize("what", ["logs", "metadata"])
def test_it_is_shown_with_a_note(directory: Path, capsys: Capture, what: str) -> None:
    files = sorted(directory.rglob("*"))
    with without_rights():
        code = main(["describe", what, str(directory)])
    out, err = capsys.readouterr()
    assert code == EXIT_FINE
    assert "127.0.0.1:60062" in out
    assert err == (
        f"note: {directory} cannot be written, so it is read without a lock: start no node on it "
        "until this has ended\n"
    )
    assert sorted(directory.rglob("*")) == files


def test_where_a_node_has_it_open_it_is_refused(directory: Path, capsys: Capture) -> None:
    (directory / LOCK_FILE).chmod(0o644)
    lock = DirectoryLock(directory / LOCK_FILE)  # as a running node holds it
    try:
        with without_rights():
            code = main(["describe", "logs", str(directory)])
    finally:
        lock.release()
    out, err = capsys.readouterr()
    assert (code, out) == (EXIT_USAGE, "")
    assert "is in use by a node" in err
    assert "log.mdb-lock" in err
    with without_rights():
        assert main(["describe", "logs", str(directory)]) == EXIT_FINE


def test_a_copy_without_a_table_of_readers_needs_no_note(directory: Path, capsys: Capture) -> None:
    directory.chmod(0o755)
    (directory / "log.mdb-lock").unlink()
    assert main(["describe", "logs", str(directory)]) == EXIT_FINE
    assert capsys.readouterr().err == ""
