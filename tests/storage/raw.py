"""Access to the LMDB file of a closed store past all checks, as a bug or another version has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import lmdb

from raftify.storage import lmdb_schema as schema
from raftify.storage.medium import Database


def put_raw(directory: Path, database: bytes, key: bytes, value: bytes | None) -> None:
    """Put `value` under `key`, or delete what is there.

    The record `state`, unless it is the one, says that it is of this transaction, too: without
    that, any change would be noticed by the transaction's number alone.
    """
    with lmdb.open(str(directory / "log.mdb"), subdir=False, max_dbs=4) as env:
        handle = env.open_db(database)
        with env.begin(write=True) as txn:
            if value is None:
                assert txn.delete(key, db=handle)
            else:
                txn.put(key, value, db=handle)
            if key != schema.STATE_KEY:
                _renumber_state(txn, env.open_db(schema.META_DB, txn=txn))


def _renumber_state(txn: lmdb.Transaction[bytes], meta: Database) -> None:
    record = txn.get(schema.STATE_KEY, db=meta)
    if record is not None:
        state = schema.decode_state(record[schema.CRC_BYTES :])
        txn.put(schema.STATE_KEY, pack_state(state._replace(txn_id=txn.id())), db=meta)


def pack_state(state: schema.StateRecord) -> bytes:
    """Return the whole record `state`."""
    return schema.pack_record(schema.STATE_KEY, schema.encode_state(state))


def append_raw(directory: Path, database: bytes, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Put many records, in the order of their keys and behind all others, in one transaction."""
    path = str(directory / "log.mdb")
    with lmdb.open(path, map_size=1 << 30, subdir=False, max_dbs=4) as env:
        handle = env.open_db(database)
        with env.begin(write=True, db=handle) as txn, txn.cursor() as cursor:
            cursor.putmulti(items, append=True)


def get_raw(directory: Path, database: bytes, key: bytes) -> bytes:
    """Return what is under `key`."""
    with lmdb.open(str(directory / "log.mdb"), subdir=False, max_dbs=4) as env:
        handle = env.open_db(database)
        with env.begin() as txn:
            value = txn.get(key, db=handle)
    assert value is not None
    return value


def count_runs(directory: Path) -> int:
    """Return how many runs of entries are in the file."""
    with lmdb.open(str(directory / "log.mdb"), subdir=False, max_dbs=4) as env:
        handle = env.open_db(schema.LOG_DB)
        with env.begin() as txn:
            return txn.stat(handle)["entries"]


def records_of(directory: Path) -> dict[int, bytes]:
    """Return every run of entries as it is stored, by the index that it begins with."""
    path = str(directory / "log.mdb")
    with lmdb.open(path, subdir=False, max_dbs=4, readonly=True, lock=False) as env:
        handle = env.open_db(schema.LOG_DB, create=False)
        with env.begin(db=handle) as txn, txn.cursor() as cursor:
            return {schema.unpack_key(key, path): value for key, value in cursor}
