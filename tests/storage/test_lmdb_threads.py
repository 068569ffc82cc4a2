"""A store is read on one thread while another writes to it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftify.config import Config
from raftify.core.types import HardState
from raftify.errors import StorageError
from raftify.storage import LmdbStorage, WriteBatch, record_storage
from raftify.storage.medium import Transaction
from tests.storage.making import IDENTITY, MEMBERS, make_entries


@pytest.fixture
def storage(tmp_path: Path) -> LmdbStorage:
    """A store whose reads of anything before index 50 go to the disk."""
    storage = LmdbStorage.create(tmp_path, Config(entry_cache_bytes=0))
    storage.initialize(IDENTITY, MEMBERS)
    storage.write(WriteBatch(entries=make_entries(2, 50), hard_state=HardState(1, 0, 40)))
    storage.write(WriteBatch(entries=make_entries(50, 60)))
    storage.term(55)
    return storage


def test_a_read_between_a_commit_and_its_showing_waits(
    storage: LmdbStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer may lose the processor right there; it waits without using it up."""
    committed, may_show = threading.Event(), threading.Event()
    last_txn_id = storage._env.last_txn_id

    def late() -> int:
        committed.set()
        assert may_show.wait(10)
        return last_txn_id()

    monkeypatch.setattr(storage._env, "last_txn_id", late)
    writer = threading.Thread(target=storage.write, args=[WriteBatch(entries=make_entries(60, 70))])
    looks: list[threading.Thread] = []
    looked = threading.Event()
    reading = storage._env.reading

    @contextlib.contextmanager
    def counted() -> Iterator[Transaction]:
        with reading() as txn:
            yield txn
        looks.append(threading.current_thread())
        looked.set()

    found: list[int] = []
    reader = threading.Thread(target=lambda: found.append(storage.term(10)))
    writer.start()
    assert committed.wait(10)
    monkeypatch.setattr(storage._env, "reading", counted)
    reader.start()
    assert looked.wait(10)
    # Long enough for many looks, had the reader not gone to sleep.
    reader.join(0.2)
    assert reader.is_alive()
    may_show.set()
    writer.join()
    reader.join()
    assert found == [1]
    assert looks.count(reader) == 2
    storage.close()


def test_a_commit_of_somebody_else_is_reported_in_the_end(
    storage: LmdbStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_storage, "_SHOWN_WITHIN", 0.01)
    with storage._env.writing() as txn:
        txn.put(b"foreign", b"value", db=storage._env.meta_db)
    with pytest.raises(StorageError, match="behind the back"):
        storage.term(10)
    storage.close()


def test_names_that_cannot_be_made_durable_are_an_error(
    storage: LmdbStorage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A snapshot's name may be gone after a crash if the directory was not synced."""
    really_open = os.open

    def out_of_descriptors(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(path) == tmp_path / "snapshots":
            raise OSError(24, "Too many open files")
        return really_open(path, flags, mode)

    sink = storage.create_snapshot_sink()
    sink.write(b"state")
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", out_of_descriptors)
        with pytest.raises(StorageError, match=r"cannot sync the directory .*Too many open files"):
            sink.finish()
    storage.close()
