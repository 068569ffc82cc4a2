"""Reading and writing everything a store holds, within a transaction that the caller has begun."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from raftify.errors import (
    MalformedMessage,
    NotALogDirectory,
    StorageDamaged,
    StorageError,
    StorageTooNew,
)
from raftify.records import decode_membership, encode_membership
from raftify.storage import lmdb_schema as schema
from raftify.storage.base import StoreIdentity
from raftify.storage.log_state import LogState
from raftify.storage.medium import Environment, Transaction
from raftify.wire.codec import decode_snapshot, encode_snapshot

_NO_RUN: Final = schema.Run(0, ())


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything a store holds but the entries."""

    identity: StoreIdentity | None
    state: LogState
    incarnations: dict[int, str]
    txn_id: int
    seal: schema.Seal
    #: The run with the last entry; empty if the log is.
    last_run: schema.Run


def put_record(
    env: Environment, txn: Transaction, seal: schema.Seal, key: bytes, value: bytes | None
) -> schema.Seal:
    """Put one record of `meta`, or delete it without a value; return the seal then.

    `put_state` writes that, in the same transaction.
    """
    before = txn.get(key, db=env.meta_db)
    added_up = seal.records - (schema.checksum_of(before) if before is not None else 0)
    if value is None:
        txn.delete(key, db=env.meta_db)
    else:
        record = schema.pack_record(key, value)
        txn.put(key, record, db=env.meta_db)
        added_up += schema.checksum_of(record)
    return schema.Seal(seal.chain, added_up & 0xFFFFFFFF)


def get_record(env: Environment, txn: Transaction, key: bytes) -> bytes | None:
    """Return one record of `meta`, or None if there is none; raise StorageDamaged."""
    record = txn.get(key, db=env.meta_db)
    return None if record is None else schema.unpack_record(key, record, env.path)


def count_runs(env: Environment, txn: Transaction) -> int:
    """Return how many runs of entries there are."""
    count: int = txn.stat(env.log_db)["entries"]
    return count


def put_state(
    env: Environment, txn: Transaction, before: LogState, after: LogState, seal: schema.Seal
) -> schema.Seal:
    """Put what has changed from `before` to `after`; return the seal then.

    Every transaction ends with it: it counts the runs, and vouches for the rest.
    """
    if after.membership is not before.membership:
        value = encode_membership(after.membership)
        seal = put_record(env, txn, seal, schema.MEMBERSHIP_KEY, value)
    if after.snapshot is not before.snapshot:
        value = encode_snapshot(after.snapshot)
        seal = put_record(env, txn, seal, schema.SNAPSHOT_KEY, value)
    record = schema.StateRecord(after, count_runs(env, txn), seal, txn.id())
    value = schema.pack_record(schema.STATE_KEY, schema.encode_state(record))
    txn.put(schema.STATE_KEY, value, db=env.meta_db)
    return seal


def put_format(env: Environment) -> None:
    """Make an empty environment that of a new store.

    It has a `state` from the beginning, or a disk that went back to here for some of its pages
    would make a store that has voted look like a new one.
    """
    state = LogState()
    with env.writing() as txn:
        version = schema.encode_version(schema.FORMAT_VERSION)
        txn.put(schema.FORMAT_KEY, schema.pack_record(schema.FORMAT_KEY, version), db=env.meta_db)
        put_state(env, txn, state, state, schema.Seal())


def check_format(env: Environment, txn: Transaction) -> None:
    """Raise unless the store is one that we can read; see `read_contents`."""
    data = get_record(env, txn, schema.FORMAT_KEY)
    if data is None:
        if txn.get(schema.STATE_KEY, db=env.meta_db) is not None:
            raise StorageDamaged(f"{env.path}: the record 'format' is missing")
        raise NotALogDirectory(f"{env.path} is an LMDB file of something else")
    version = schema.decode_version(data)
    if version > schema.FORMAT_VERSION:
        raise StorageTooNew(
            f"{env.path} was written in format {version}; this version of raftify knows formats "
            f"up to {schema.FORMAT_VERSION}: install the newer one again"
        )
    if version < schema.FORMAT_VERSION:
        raise StorageError(
            f"{env.path} was written in format {version}, by raftify before its first release: "
            "give the node an empty directory and a new id"
        )


def read_contents(env: Environment, txn: Transaction) -> Contents:
    """Return what the store holds, checked: format, checksums, and that the log has no holes.

    Raises:
        StorageTooNew, NotALogDirectory, StorageDamaged
    """
    check_format(env, txn)
    try:
        found = _read_meta(env, txn)
        state_record = found.pop(schema.STATE_KEY, None)
        if state_record is None:
            raise StorageDamaged(f"{env.path}: the record 'state' is missing")
        state = schema.decode_state(_value(env, schema.STATE_KEY, state_record))
        _check_seal(env, state, found, txn.id())
        contents = _decode_contents(state, found)
    except (MalformedMessage, ValueError, TypeError, struct.error) as error:
        # The checksum was right, so another version or another program wrote it.
        raise StorageDamaged(f"{env.path}: a record cannot be read: {error}") from error
    return replace(contents, last_run=_check_bounds(env, txn, contents, state.runs))


def _read_meta(env: Environment, txn: Transaction) -> dict[bytes, bytes]:
    """Return all records but `format`, as they are."""
    with txn.cursor(env.meta_db) as cursor:
        found = dict(cursor) if cursor.first() else {}
    found.pop(schema.FORMAT_KEY, None)
    return found


def _check_seal(
    env: Environment, record: schema.StateRecord, others: dict[bytes, bytes], txn_id: int
) -> None:
    """Check that all records of `meta` are of one time."""
    if record.txn_id != txn_id:
        raise StorageDamaged(
            f"{env.path}: the record 'state' is of transaction {record.txn_id}, but the last one "
            f"was {txn_id}: the disk returned old data, or something else wrote to the file. "
            "Restore a backup, or give the node an empty directory and a new id"
        )
    # Each must be whole, and then all of them of the time of `state`.
    for key, value in others.items():
        _value(env, key, value)
    if sum(map(schema.checksum_of, others.values())) & 0xFFFFFFFF != record.seal.records:
        raise StorageDamaged(
            f"{env.path}: the records beside 'state' ({_names(others)}) are not those that it was "
            "written with: one is old, missing or misplaced. Restore a backup, or give the node "
            "an empty directory and a new id"
        )


def _names(keys: Iterable[bytes]) -> str:
    return ", ".join(repr(key.decode("ascii", "replace")) for key in keys)


def _value(env: Environment, key: bytes, record: bytes) -> bytes:
    return schema.unpack_record(key, record, env.path)


def _decode_contents(record: schema.StateRecord, found: dict[bytes, bytes]) -> Contents:
    values = {key: value[schema.CRC_BYTES :] for key, value in found.items()}
    identity = values.get(schema.IDENTITY_KEY)
    membership = values.get(schema.MEMBERSHIP_KEY)
    snapshot = values.get(schema.SNAPSHOT_KEY)
    state = record.state
    if membership is not None:
        state = replace(state, membership=decode_membership(membership))
    if snapshot is not None:
        state = replace(state, snapshot=decode_snapshot(snapshot))
    prefix = schema.INCARNATION_PREFIX
    return Contents(
        identity=None if identity is None else schema.decode_identity(identity),
        state=state,
        incarnations={
            int(key[len(prefix) :]): value.decode()
            for key, value in values.items()
            if key.startswith(prefix)
        },
        txn_id=record.txn_id,
        seal=record.seal,
        last_run=_NO_RUN,
    )


def _check_bounds(env: Environment, txn: Transaction, contents: Contents, runs: int) -> schema.Run:
    """Check that the log holds what it should, from its two ends and its count; return the last.

    Each run is checked when it is read; `verify` checks all.
    """
    state = contents.state
    found = count_runs(env, txn)
    if found != runs:
        raise StorageDamaged(f"{env.path} holds {found} runs of entries instead of {runs}")
    commit, last = state.hard_state.commit, state.last_index
    covered = max(state.before_index, state.snapshot.metadata.index)
    if not covered <= commit <= last:
        raise StorageDamaged(
            f"{env.path}: the log is discarded up to {state.before_index}, its snapshot ends at "
            f"{state.snapshot.metadata.index}, it is committed up to {commit} and ends at {last}; "
            "these contradict each other"
        )
    first, last_run = last + 1, schema.Run(last + 1, ())
    with txn.cursor(env.log_db) as cursor:
        if cursor.first():
            first = schema.unpack_key(cursor.key(), env.path)
            cursor.last()
            key, value = cursor.item()
            last_run = schema.unpack_run(schema.unpack_key(key, env.path), value, env.path)
    if last_run.end != last + 1 or first > state.before_index + 1:
        raise StorageDamaged(
            f"{env.path}: the log should hold the entries from {state.before_index + 1} to {last}, "
            f"but holds those from {first} to {last_run.end - 1}"
        )
    if found and last_run.crc32 != contents.seal.chain:
        raise not_of_one_time(env, last_run.first_index, "the record 'state'")
    return last_run


def read_state(env: Environment, txn: Transaction) -> schema.StateRecord:
    """Return the record `state`."""
    data = get_record(env, txn, schema.STATE_KEY)
    if data is None:
        raise StorageDamaged(f"{env.path}: the record 'state' is missing")
    return schema.decode_state(data)


def not_of_one_time(env: Environment, index: int, other: str) -> StorageDamaged:
    return StorageDamaged(
        f"{env.path}: the entry at index {index} and {other} are not of one time: the disk "
        "returned old data for one of them. Do not go on with this copy: give the node an empty "
        "directory and a new id, or restore a backup"
    )
