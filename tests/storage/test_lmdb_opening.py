"""Who may open a log directory, and what is found there."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from raftify.config import Config
from raftify.core.types import HardState
from raftify.errors import (
    NotALogDirectory,
    StorageDamaged,
    StorageError,
    StorageLocked,
    StorageTooNew,
)
from raftify.storage import LmdbStorage, LogReader, WriteBatch, directory_lock
from raftify.storage import lmdb_schema as schema
from tests.storage.making import IDENTITY, MEMBERS, make_entries
from tests.storage.raw import get_raw, pack_state, put_raw


def make_store(directory: Path) -> LmdbStorage:
    storage = LmdbStorage.create(directory)
    storage.initialize(IDENTITY, MEMBERS)
    storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
    return storage


def put_record(directory: Path, key: bytes, record: bytes) -> None:
    put_raw(directory, schema.META_DB, key, record)


def test_the_directory_of_the_configuration_is_used_by_default(tmp_path: Path) -> None:
    config = Config(log_dir=tmp_path / "a" / "b")
    LmdbStorage.create(config=config).close()
    assert (tmp_path / "a" / "b" / "log.mdb").is_file()


def test_one_store_at_a_time_has_a_directory(tmp_path: Path) -> None:
    storage = make_store(tmp_path)
    with pytest.raises(StorageLocked, match="in this process"):
        LmdbStorage.create(tmp_path)
    with pytest.raises(StorageLocked, match="in this process"):
        LogReader.open(tmp_path)
    storage.close()
    LmdbStorage.create(tmp_path).close()


def test_another_process_keeps_us_out_until_it_ends(tmp_path: Path) -> None:
    script = (
        "import sys; from raftify.storage import LmdbStorage\n"
        "s = LmdbStorage.create(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StorageLocked, match=f"in process {other.pid}"):
            LmdbStorage.create(tmp_path)
        other.kill()
        other.wait()
    LmdbStorage.create(tmp_path).close()


_FORK_AND_DIE = """
import os, signal, sys
from raftify.storage import LmdbStorage
storage = LmdbStorage.create(sys.argv[1])
if os.fork() == 0:
    print(os.getpid(), flush=True)
    os.kill(os.getppid(), signal.SIGKILL)
signal.pause()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_of_a_node_does_not_keep_its_directory(tmp_path: Path) -> None:
    """A lock belongs to the open file, and a forked child inherits that."""
    script = [sys.executable, "-c", _FORK_AND_DIE, str(tmp_path)]
    with subprocess.Popen(script, stdout=subprocess.PIPE) as node:
        assert node.stdout is not None
        child = int(node.stdout.readline())
        try:
            node.wait()
            LmdbStorage.create(tmp_path).close()
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK, errno.EIO])
def test_a_file_system_without_locks_is_not_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(directory_lock, "_lock", fail)
        with pytest.raises(StorageError, match=os.strerror(number)) as caught:
            LmdbStorage.create(tmp_path)
    assert not isinstance(caught.value, StorageLocked)
    LmdbStorage.create(tmp_path).close()


def test_a_store_of_another_version_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path).close()
    for change, error in ((1, StorageTooNew), (-1, StorageError)):
        number = schema.FORMAT_VERSION + change
        version = schema.encode_version(number)
        put_record(tmp_path, schema.FORMAT_KEY, schema.pack_record(schema.FORMAT_KEY, version))
        for open_it in (LmdbStorage.create, LogReader.open):
            with pytest.raises(error, match=f"format {number}"):
                open_it(tmp_path)


@pytest.mark.parametrize(
    ("key", "what"),
    [
        (schema.FORMAT_KEY, "record 'format' is missing"),
        (schema.STATE_KEY, "record 'state' is missing"),
        (schema.MEMBERSHIP_KEY, "beside 'state'"),
        (schema.IDENTITY_KEY, "beside 'state'"),
    ],
)
def test_a_missing_record_is_damage(tmp_path: Path, key: bytes, what: str) -> None:
    make_store(tmp_path).close()
    put_raw(tmp_path, schema.META_DB, key, None)
    with pytest.raises(StorageDamaged, match=what):
        LmdbStorage.create(tmp_path)


@pytest.mark.parametrize(
    "key", [schema.IDENTITY_KEY, schema.STATE_KEY, schema.MEMBERSHIP_KEY, schema.SNAPSHOT_KEY]
)
def test_every_record_is_checked(tmp_path: Path, key: bytes) -> None:
    make_store(tmp_path).close()
    for record in (b"", b"abc", schema.pack_record(b"other", b"x"), schema.pack_record(key, b"\7")):
        put_record(tmp_path, key, record)
        with pytest.raises(StorageDamaged):
            LmdbStorage.create(tmp_path)


def test_a_commit_beyond_the_end_of_the_log_is_damage(tmp_path: Path) -> None:
    """etcd-io/etcd#5664: found at boot, before the core stumbles over it."""
    make_store(tmp_path).close()
    state = schema.decode_state(get_raw(tmp_path, schema.META_DB, schema.STATE_KEY)[4:])
    state.state.hard_state.commit = 99
    put_record(tmp_path, schema.STATE_KEY, pack_state(state._replace(txn_id=state.txn_id + 1)))
    with pytest.raises(StorageDamaged, match="committed up to 99 and ends at 19"):
        LmdbStorage.create(tmp_path)


@pytest.mark.parametrize("what", ["nothing", "empty directory", "file", "other", "foreign"])
def test_a_reader_wants_the_directory_of_a_log(tmp_path: Path, what: str) -> None:
    path = tmp_path / "there"
    if what == "file":
        path.write_bytes(b"text")
    elif what != "nothing":
        path.mkdir()
    if what == "other":
        (path / "data.mdb").write_bytes(b"text")
    elif what == "foreign":
        with lmdb.open(str(path / "log.mdb"), subdir=False) as env, env.begin(write=True) as txn:
            txn.put(b"key", b"value")
    before = sorted(os.walk(tmp_path))
    with pytest.raises(NotALogDirectory, match="there"):
        LogReader.open(path)
    assert sorted(os.walk(tmp_path)) == before


def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(StorageError, match="file"):
        LmdbStorage.create(tmp_path / "file")


def test_a_lmdb_file_of_something_else_is_not_taken_over(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "log.mdb"), subdir=False) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"value")
    with pytest.raises(NotALogDirectory, match="something else"):
        LmdbStorage.create(tmp_path)


def test_a_map_that_the_machine_cannot_have_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="lmdb_map_size"):
        LmdbStorage.create(tmp_path, Config(lmdb_map_size=1 << 60))
