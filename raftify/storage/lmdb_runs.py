"""Reading and changing the entries of a store, within a transaction that the caller has begun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from raftify.core.types import Entry
from raftify.errors import StorageDamaged
from raftify.storage import lmdb_records as records
from raftify.storage import lmdb_schema as schema
from raftify.storage.log_state import LogChange, LogState
from raftify.storage.medium import Environment, Transaction
from raftify.wire.codec import encode_entry

#: How much is read in one transaction, at most one run more, in bytes.
READ_BYTES: Final = 1 << 20


def read_runs(
    env: Environment, txn: Transaction, low: int, high: int, max_bytes: int
) -> list[schema.Run]:
    """Return the runs that hold `[low, high)`, from the one with `low` on, up to `max_bytes`.

    At least one is returned, and none after the first that is damaged or not vouched for.

    Raises:
        StorageDamaged: the run that `low` belongs to is damaged, missing, or not the one that was
            last written there.
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
            if schema.unpack_key(item[0], env.path) >= high:
                break
            values.append(item)
            size += len(item[1])
            there = cursor.next()
        # One more: each is vouched for by the next.
        if there:
            values.append(cursor.item())
    runs = list(_unpacked(env, values))
    if not runs or not runs[0].first_index <= low < runs[0].end:
        raise _gap(env, low)
    if not there:
        record = records.read_state(env, txn)
        runs.append(schema.Run(record.state.last_index + 1, (), chain=record.seal.chain))
    return _vouched_for(env, runs)


def _unpacked(env: Environment, values: Sequence[tuple[bytes, bytes]]) -> Iterator[schema.Run]:
    """Yield the runs up to the first damaged one; raise if that is one of the first two.

    The second vouches for the first.
    """
    for number, (key, value) in enumerate(values):
        try:
            run = schema.unpack_run(schema.unpack_key(key, env.path), value, env.path)
        except StorageDamaged:
            if number < 2:
                raise
            return
        yield run


def _vouched_for(env: Environment, runs: Sequence[schema.Run]) -> list[schema.Run]:
    """Return the first of `runs`, each of which the next one vouches for; never the last.

    Raises:
        StorageDamaged: there is none.
    """
    found: list[schema.Run] = []
    for run, following in pairwise(runs):
        if (following.first_index, following.chain) != (run.end, run.crc32):
            if not found and following.first_index > run.end:
                raise _gap(env, run.end)
            if not found:
                raise records.not_of_one_time(
                    env, run.first_index, f"what comes at index {run.end}"
                )
            break
        found.append(run)
    return found


def next_run(env: Environment, txn: Transaction, index: int) -> int | None:
    """Return the index at which the first run after `index` begins, or None if there is none."""
    with txn.cursor(env.log_db) as cursor:
        there = cursor.set_range(schema.pack_key(index + 1))
        return schema.unpack_key(cursor.key(), env.path) if there else None


def _gap(env: Environment, index: int) -> StorageDamaged:
    return StorageDamaged(
        f"{env.path}: the entry at index {index} is missing. Restore a backup, or give the node "
        "an empty directory and a new id"
    )


def change_log(
    env: Environment, txn: Transaction, change: LogChange, seal: schema.Seal
) -> tuple[list[int], schema.Seal]:
    """Carry out everything in `change` but its state.

    Returns the wire sizes of its entries, and the seal then, which `put_state` writes.
    """
    chain = seal.chain
    if change.discard_all:
        txn.drop(env.log_db, delete=False)
        chain = 0
    elif change.discard_from is not None:
        chain = _discard_from(env, txn, change.discard_from)
    sizes: list[int] = []
    if change.entries:
        encoded = encode_entries(change.entries)
        sizes = list(map(len, encoded))
        for key, value in schema.pack_runs(change.entries[0].index, encoded, sizes, chain):
            txn.put(key, value, append=True, db=env.log_db)
            chain = schema.checksum_of(value)
    return sizes, schema.Seal(chain, seal.records)


def encode_entries(entries: Sequence[Entry]) -> list[bytes]:
    """Return the wire forms, most of which were made before."""
    return [entry.encoded or encode_entry(entry) for entry in entries]


def _discard_from(env: Environment, txn: Transaction, index: int) -> int:
    """Delete the entries from `index` on; the run around it keeps its head.

    Returns the checksum of what is the last run then.
    """
    [run] = read_runs(env, txn, index, index + 1, 0)
    with txn.cursor(env.log_db) as cursor:
        there = cursor.set_key(schema.pack_key(run.first_index))
        while there:
            there = cursor.delete() and bool(cursor.key())
    kept = run.encoded[: index - run.first_index]
    if not kept:
        return run.chain
    value = schema.pack_run(run.first_index, kept, list(map(len, kept)), run.chain)
    txn.put(schema.pack_key(run.first_index), value, append=True, db=env.log_db)
    return schema.checksum_of(value)


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
