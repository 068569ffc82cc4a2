"""A transaction over RocksDB shows what a sorted dict would, whatever was changed within it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

pytest.importorskip("rocksdict", reason="needs raftify[rocksdb]")

from raftify.storage.medium import Transaction
from raftify.storage.rocksdb.environment import RocksEnvironment

KEYS = st.binary(min_size=1, max_size=2)
CHANGES = st.one_of(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=3)),
    st.tuples(st.just("delete"), KEYS, st.just(b"")),
    st.tuples(st.just("drop"), st.just(b""), st.just(b"")),
)


def change(
    environment: RocksEnvironment,
    txn: Transaction,
    model: dict[bytes, bytes],
    what: tuple[str, bytes, bytes],
) -> None:
    """Make one change, here and there."""
    kind, key, value = what
    if kind == "put":
        txn.put(key, value, db=environment.log_db)
        model[key] = value
    elif kind == "delete":
        assert txn.delete(key, db=environment.log_db) == (key in model)
        model.pop(key, None)
    else:
        txn.drop(environment.log_db, delete=False)
        model.clear()


def check(
    environment: RocksEnvironment, txn: Transaction, model: dict[bytes, bytes], key: bytes
) -> None:
    """Compare every way to look at the records, from `key` on and before it."""
    log = environment.log_db
    expected = sorted(model.items())
    assert txn.stat(log)["entries"] == len(model)
    assert txn.get(key, db=log) == model.get(key)
    with txn.cursor(log) as cursor:
        assert cursor.first() == bool(expected)
        assert list(cursor) == expected
        behind = [item for item in expected if item[0] >= key]
        assert cursor.set_range(key) == bool(behind)
        assert list(cursor) == behind
        assert cursor.set_key(key) == (key in model)
        assert cursor.last() == bool(expected)
        backwards = []
        there = bool(expected)
        while there:
            backwards.append(cursor.item())
            there = cursor.prev()
        assert backwards == expected[::-1]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.lists(CHANGES, max_size=8), st.booleans(), KEYS), max_size=6))
def test_it_shows_what_a_sorted_dict_would(
    transactions: list[tuple[list[tuple[str, bytes, bytes]], bool, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        environment = RocksEnvironment(Path(directory) / "db", create=True)
        kept: dict[bytes, bytes] = {}
        for number, (changes, commits, key) in enumerate(transactions):
            model = dict(kept)
            try:
                with environment.writing() as txn:
                    txn.put(b"beside", b"", db=environment.meta_db)
                    for what in changes:
                        change(environment, txn, model, what)
                        check(environment, txn, model, key)
                    if not commits:
                        raise KeyError(number)
                kept = model
            except KeyError:
                assert not commits
            with environment.reading() as txn:
                assert txn.id() == environment.last_txn_id()
                check(environment, txn, kept, key)
        environment.close()


def test_a_cursor_that_deletes_moves_on(tmp_path: Path) -> None:
    environment = RocksEnvironment(tmp_path / "db", create=True)
    log = environment.log_db
    with environment.writing() as txn:
        for number in range(5):
            txn.put(bytes([number]), b"v", db=log)
    with environment.writing() as txn, txn.cursor(log) as cursor:
        assert cursor.set_range(b"\2")
        assert cursor.delete()
        assert cursor.key() == b"\3"
        assert cursor.delete()
        assert cursor.delete()
        assert cursor.key() == b""
    with environment.reading() as reading:
        assert reading.stat(log) == {"entries": 2}
    environment.close()


def test_a_reader_sees_one_state_and_cannot_write(tmp_path: Path) -> None:
    environment = RocksEnvironment(tmp_path / "db", create=True)
    with environment.reading() as reader:
        with environment.writing() as txn:
            txn.put(b"k", b"v", db=environment.log_db)
        assert reader.get(b"k", db=environment.log_db) is None
        assert reader.id() == 0
        for write in (
            lambda: reader.put(b"k", b"v", db=environment.log_db),
            lambda: reader.delete(b"k", db=environment.log_db),
            lambda: reader.drop(environment.log_db),
        ):
            with pytest.raises(TypeError, match="only reads"):
                write()
    environment.close()
