"""Reading and writing everything a store holds, within a transaction that the caller has begun."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from raftify.core.types import Entry
from raftify.errors import MalformedMessage, NotALogDirectory, StorageDamaged, StorageTooNew
from raftify.records import decode_membership, encode_membership
from raftify.storage import lmdb_schema as schema
from raftify.storage.base import StoreIdentity
from raftify.storage.log_state import LogChange, LogState
from raftify.storage.medium import Environment, Transaction
from raftify.wire.codec import decode_snapshot, encode_entry, encode_snapshot

#: How much is read in one transaction, at most one run more, in bytes.
READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything a store holds but the entries."""

    identity: StoreIdentity | None
    state: LogState
    incarnations: dict[int, str]
    txn_id: int
    #: The run with the last entry; empty if the log is.
    last_run: schema.Run


def put_record(env: Environment, txn: Transaction, key: bytes, value: bytes) -> None:
    """Put one record of `meta`."""
    txn.put(key, schema.pack_record(key, value), db=env.meta_db)


def get_record(env: Environment, txn: Transaction, key: bytes) -> bytes | None:
    """Return one record of `meta`, or None if there is none; raise StorageDamaged."""
    record = txn.get(key, db=env.meta_db)
    return None if record is None else schema.unpack_record(key, record, env.path)


def count_runs(env: Environment, txn: Transaction) -> int:
    """Return how many runs of entries there are."""
    count: int = txn.stat(env.log_db)["entries"]
    return count


def put_state(env: Environment, txn: Transaction, before: LogState, after: LogState) -> None:
    """Put what has changed from `before` to `after`. It comes last: it counts the runs."""
    put_record(env, txn, schema.STATE_KEY, schema.encode_state(after, count_runs(env, txn)))
    if after.membership is not before.membership:
        put_record(env, txn, schema.MEMBERSHIP_KEY, encode_membership(after.membership))
    if after.snapshot is not before.snapshot:
        put_record(env, txn, schema.SNAPSHOT_KEY, encode_snapshot(after.snapshot))


def put_format(env: Environment) -> None:
    """Make an empty environment that of a new store."""
    with env.writing() as txn:
        version = schema.encode_version(schema.FORMAT_VERSION)
        put_record(env, txn, schema.FORMAT_KEY, version)


def check_format(env: Environment, txn: Transaction) -> None:
    """Raise NotALogDirectory or StorageTooNew unless the store is one that we can read."""
    data = get_record(env, txn, schema.FORMAT_KEY)
    if data is None:
        raise NotALogDirectory(f"{env.path} is an LMDB file of something else")
    version = schema.decode_version(data)
    if version > schema.FORMAT_VERSION:
        raise StorageTooNew(
            f"{env.path} was written in format {version}; this version of raftify knows formats "
            f"up to {schema.FORMAT_VERSION}: install the newer one again"
        )


def read_contents(env: Environment, txn: Transaction) -> Contents:
    """Return what the store holds, checked: format, checksums, and that the log has no holes.

    Raises:
        StorageTooNew, NotALogDirectory, StorageDamaged
    """
    check_format(env, txn)
    try:
        contents, runs = _decode_contents(env, txn)
    except (MalformedMessage, ValueError, TypeError, struct.error) as error:
        # The checksum was right, so another version or another program wrote it.
        raise StorageDamaged(f"{env.path}: a record cannot be read: {error}") from error
    last_run = _check_bounds(env, txn, contents.state, runs)
    return replace(contents, last_run=last_run)


def _decode_contents(env: Environment, txn: Transaction) -> tuple[Contents, int]:
    identity = get_record(env, txn, schema.IDENTITY_KEY)
    bounds = get_record(env, txn, schema.STATE_KEY)
    membership = get_record(env, txn, schema.MEMBERSHIP_KEY)
    snapshot = get_record(env, txn, schema.SNAPSHOT_KEY)
    state, runs = (LogState(), 0) if bounds is None else schema.decode_state(bounds)
    if membership is not None:
        state = replace(state, membership=decode_membership(membership))
    if snapshot is not None:
        state = replace(state, snapshot=decode_snapshot(snapshot))
    contents = Contents(
        identity=None if identity is None else schema.decode_identity(identity),
        state=state,
        incarnations=_read_incarnations(env, txn),
        txn_id=txn.id(),
        last_run=schema.Run(state.last_index + 1, ()),
    )
    return contents, runs


def _read_incarnations(env: Environment, txn: Transaction) -> dict[int, str]:
    prefix = schema.INCARNATION_PREFIX
    found = {}
    with txn.cursor(env.meta_db) as cursor:
        if cursor.set_range(prefix):
            for key, record in cursor:
                if not key.startswith(prefix):
                    break
                value = schema.unpack_record(key, record, env.path)
                found[int(key[len(prefix) :])] = value.decode()
    return found


def _check_bounds(env: Environment, txn: Transaction, state: LogState, runs: int) -> schema.Run:
    """Check that the log holds what it should, from its two ends and its count; return the last.

    Each run is checked when it is read; `verify` checks all.
    """
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
            first = schema.unpack_key(cursor.key())
            cursor.last()
            key, value = cursor.item()
            last_run = schema.unpack_run(schema.unpack_key(key), value, env.path)
    if last_run.end != last + 1 or first > state.before_index + 1:
        raise StorageDamaged(
            f"{env.path}: the log should hold the entries from {state.before_index + 1} to {last}, "
            f"but holds those from {first} to {last_run.end - 1}"
        )
    return last_run


def read_runs(
    env: Environment, txn: Transaction, low: int, high: int, max_bytes: int
) -> list[schema.Run]:
    """Return the runs that hold `[low, high)`, from the one with `low` on, up to `max_bytes`.

    At least one is returned, and none after the first damaged one.

    Raises:
        StorageDamaged: the run that `low` belongs to is damaged or missing.
    """
    values: list[tuple[bytes, bytes]] = []
    size = 0
    with txn.cursor(env.log_db) as cursor:
        key = schema.pack_key(low)
        # The run that holds `low` is the last one that does not begin after it.
        there = cursor.set_range(key)
        if not there:
            there = cursor.last()
        elif cursor.key() != key:
            there = cursor.prev()
        while there and (not values or size <= max_bytes):
            item = cursor.item()
            if schema.unpack_key(item[0]) >= high:
                break
            values.append(item)
            size += len(item[1])
            there = cursor.next()
    runs: list[schema.Run] = []
    for key, value in values:
        try:
            run = schema.unpack_run(schema.unpack_key(key), value, env.path)
        except StorageDamaged:
            if not runs:
                raise
            break
        if runs and run.first_index != runs[-1].end:
            break
        runs.append(run)
    if not runs or not runs[0].first_index <= low < runs[0].end:
        raise _gap(env, low)
    return runs


def next_run(env: Environment, txn: Transaction, index: int) -> int | None:
    """Return the index at which the first run after `index` begins, or None if there is none."""
    with txn.cursor(env.log_db) as cursor:
        there = cursor.set_range(schema.pack_key(index + 1))
        return schema.unpack_key(cursor.key()) if there else None


def read_bounds(env: Environment, txn: Transaction) -> LogState:
    """Return the bounds of the log and the hard state, and nothing else."""
    data = get_record(env, txn, schema.STATE_KEY)
    return LogState() if data is None else schema.decode_state(data)[0]


def _gap(env: Environment, index: int) -> StorageDamaged:
    return StorageDamaged(
        f"{env.path}: the entry at index {index} is missing. Restore a backup, or give the node "
        "an empty directory and a new id"
    )


def change_log(env: Environment, txn: Transaction, change: LogChange) -> list[int]:
    """Carry out everything in `change` but its state; return the wire sizes of its entries."""
    if change.discard_all:
        txn.drop(env.log_db, delete=False)
    elif change.discard_from is not None:
        _discard_from(env, txn, change.discard_from)
    entries = change.entries
    if not entries:
        return []
    encoded = encode_entries(entries)
    sizes = list(map(len, encoded))
    for key, value in schema.pack_runs(entries[0].index, encoded, sizes):
        txn.put(key, value, append=True, db=env.log_db)
    return sizes


def encode_entries(entries: Sequence[Entry]) -> list[bytes]:
    """Return the wire forms, most of which were made before."""
    return [entry.encoded or encode_entry(entry) for entry in entries]


def _discard_from(env: Environment, txn: Transaction, index: int) -> None:
    """Delete the entries from `index` on; the run around it keeps its head."""
    [run] = read_runs(env, txn, index, index + 1, 0)
    with txn.cursor(env.log_db) as cursor:
        there = cursor.set_key(schema.pack_key(run.first_index))
        while there:
            there = cursor.delete() and bool(cursor.key())
    kept = run.encoded[: index - run.first_index]
    if kept:
        value = schema.pack_run(kept, list(map(len, kept)))
        txn.put(schema.pack_key(run.first_index), value, append=True, db=env.log_db)


def collect_garbage(env: Environment, txn: Transaction, state: LogState, *, max_runs: int) -> bool:
    """Delete runs of which nothing belongs to the log any more, oldest first.

    Returns whether that may have left some: `max_runs` were deleted.
    """
    first_kept = schema.pack_key(state.before_index + 1)
    with txn.cursor(env.log_db) as cursor:
        if cursor.set_range(first_kept):
            if cursor.key() != first_kept and not cursor.prev():
                return False
            end = cursor.key()
        elif state.before_index < state.last_index and cursor.last():
            end = cursor.key()
        else:
            end = schema.END_KEY
        there = cursor.first()
        for _ in range(max_runs):
            if not there or cursor.key() >= end:
                return False
            # Deleting moves the cursor to the next record; after the last one its key is empty.
            there = cursor.delete() and bool(cursor.key())
    return True
