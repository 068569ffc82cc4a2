"""What the bytes in the LMDB environment mean: keys, records, checksums, format version.

Two databases. `log` maps the index of a run's first entry (8 bytes, big-endian, so that LMDB's
order is the log's) to a run of consecutive entries:

    crc32 of the key and the rest | crc32 of the run before | count | size of each entry | entries

all numbers little-endian, 4 bytes. One batch is one run (or some, if it is large): py-lmdb gives up
the interpreter lock at every single call, and beside a busy event loop getting it back costs more
than everything else together (measured: 100 us per entry with one record each, 2 us with runs).

`meta` has a record for everything else, each the crc32 of key and value, then the value.

A checksum does not tell an old record from a new one, as a disk may return it that lost a write.
So each record is vouched for by another: a run by the next one, which has its checksum; the last
run by `state`, and so is every other record of `meta`, by the sum of their checksums; `state` by
the number of the transaction that wrote it, since each transaction writes it. What nobody vouches
for is the disk as a whole: if all of it goes back to an earlier time, nothing in it tells.
"""

from __future__ import annotations

import json
import struct
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from raftify.core.types import Entry, HardState
from raftify.errors import MalformedMessage, StorageDamaged
from raftify.storage.base import StoreIdentity
from raftify.storage.log_state import LogState
from raftify.wire.codec import decode_entry

#: Raised whenever an older version of this package could not read, or would spoil, the store.
FORMAT_VERSION: Final = 2

LOG_DB: Final = b"log"
META_DB: Final = b"meta"

FORMAT_KEY: Final = b"format"
IDENTITY_KEY: Final = b"identity"
STATE_KEY: Final = b"state"
MEMBERSHIP_KEY: Final = b"membership"
SNAPSHOT_KEY: Final = b"snapshot"
INCARNATION_PREFIX: Final = b"incarnation/"

#: A run ends before it outgrows this, unless it is one entry: to read one, its run must be read.
RUN_BYTES: Final = 64 << 10

_KEY = struct.Struct(">Q")
#: crc32, crc32 of the run before, count.
_RUN_HEADER = struct.Struct("<III")
_CRC = struct.Struct("<I")
#: How much of a record is its checksum; the value follows.
CRC_BYTES: Final = _CRC.size
_VERSION = struct.Struct("<I")
#: before_index, before_term, last_index, term, vote, commit, runs, transaction, chain, records.
_STATE = struct.Struct("<8Q2I")

pack_key = _KEY.pack
#: Sorts after every key of `log`.
END_KEY: Final = b"\xff" * (_KEY.size + 1)


def unpack_key(key: bytes, where: object) -> int:
    """Return the index that `key` stands for; `where` is named if it cannot be one."""
    if len(key) != _KEY.size:
        raise StorageDamaged(
            f"{where}: the log holds a key of {len(key)} bytes instead of {_KEY.size}"
        )
    index: int = _KEY.unpack(key)[0]
    return index


class Seal(NamedTuple):
    """What the record `state` vouches for: that the others are those of its own time."""

    #: Checksum of the last run, or of what it was when the log became empty.
    chain: int = 0
    #: Checksums of all records of `meta` but `state` and `format`, added up to 32 bits.
    records: int = 0


class StateRecord(NamedTuple):
    """What is in the record `state`. Of `state`, membership and snapshot are not set."""

    state: LogState
    #: How many runs there are.
    runs: int
    seal: Seal
    #: Number of the transaction that wrote it.
    txn_id: int


def pack_runs(
    first_index: int, encoded: Sequence[bytes], sizes: Sequence[int], chain: int
) -> list[tuple[bytes, bytes]]:
    """Return keys and values for entries from `first_index` on.

    `sizes` are those of `encoded`, `chain` the checksum of the run before.
    """
    if sum(sizes) <= RUN_BYTES:
        return [(pack_key(first_index), pack_run(first_index, encoded, sizes, chain))]
    sums = list(accumulate(sizes))
    runs = []
    start = 0
    while start < len(sums):
        before = sums[start - 1] if start else 0
        end = max(bisect_right(sums, before + RUN_BYTES, start), start + 1)
        run = pack_run(first_index + start, encoded[start:end], sizes[start:end], chain)
        runs.append((pack_key(first_index + start), run))
        chain = checksum_of(run)
        start = end
    return runs


def pack_run(first_index: int, encoded: Sequence[bytes], sizes: Sequence[int], chain: int) -> bytes:
    """Return the value of one run; see `pack_runs`."""
    table = struct.pack(f"<II{len(sizes)}I", chain, len(sizes), *sizes)
    body = b"".join((table, *encoded))
    return _CRC.pack(zlib.crc32(body, zlib.crc32(pack_key(first_index)))) + body


def checksum_of(value: bytes) -> int:
    """Return the checksum that a run or a record of `meta` has, right or wrong."""
    crc32: int = _CRC.unpack_from(value)[0]
    return crc32


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive entries as they were read: encoded, from `first_index` on."""

    first_index: int
    encoded: Sequence[bytes]
    #: Its checksum, and what it says is that of the run before it.
    crc32: int = 0
    chain: int = 0

    @property
    def end(self) -> int:
        """Index after the last entry."""
        return self.first_index + len(self.encoded)

    def entry(self, index: int, where: object) -> Entry:
        """Return the entry at `index`, decoded; `where` is named if it cannot be."""
        try:
            entry = decode_entry(self.encoded[index - self.first_index])
        except MalformedMessage as error:
            raise _damaged(where, index, f"it cannot be read: {error}") from error
        if entry.index != index:
            raise _damaged(where, index, f"it says that its index is {entry.index}")
        return entry


def unpack_run(first_index: int, value: bytes, where: object) -> Run:
    """Return the run that `value` holds.

    Raises:
        StorageDamaged: checksum or sizes are wrong; the message names `where` and the index.
    """
    if len(value) < _RUN_HEADER.size:
        raise _damaged(where, first_index, f"the record has {len(value)} bytes")
    crc32, chain, count = _RUN_HEADER.unpack_from(value)
    body = memoryview(value)[_CRC.size :]
    if zlib.crc32(body, zlib.crc32(pack_key(first_index))) != crc32:
        raise _damaged(where, first_index, "the checksum is wrong")
    if count == 0 or len(value) < _RUN_HEADER.size + 4 * count:
        raise _damaged(where, first_index, f"the record cannot hold {count} entries")
    sizes = struct.unpack_from(f"<{count}I", value, _RUN_HEADER.size)
    start = _RUN_HEADER.size + 4 * count
    ends = list(accumulate(sizes, initial=start))
    if ends[-1] != len(value):
        raise _damaged(where, first_index, f"the record has {len(value)} bytes, not {ends[-1]}")
    encoded = [value[a:b] for a, b in pairwise(ends)]
    return Run(first_index, encoded, crc32, chain)


def pack_record(key: bytes, value: bytes) -> bytes:
    """Return `value` with a checksum that also covers `key`."""
    return _CRC.pack(zlib.crc32(value, zlib.crc32(key))) + value


def unpack_record(key: bytes, record: bytes, where: object) -> bytes:
    """Return the value in `record`, or raise StorageDamaged."""
    value = record[_CRC.size :]
    if record[: _CRC.size] != _CRC.pack(zlib.crc32(value, zlib.crc32(key))):
        name = key.decode("ascii", "replace")
        raise StorageDamaged(f"{where}: the checksum of the record {name!r} is wrong")
    return value


def encode_version(version: int) -> bytes:
    return _VERSION.pack(version)


def decode_version(data: bytes) -> int:
    version: int = _VERSION.unpack(data)[0]
    return version


def encode_state(record: StateRecord) -> bytes:
    """Return bounds and hard state, and what they vouch for."""
    state, seal = record.state, record.seal
    hard_state = state.hard_state
    return _STATE.pack(
        state.before_index,
        state.before_term,
        state.last_index,
        hard_state.term,
        hard_state.vote,
        hard_state.commit,
        record.runs,
        record.txn_id,
        seal.chain,
        seal.records,
    )


def decode_state(data: bytes) -> StateRecord:
    """Return what `encode_state` was given."""
    before_index, before_term, last_index, term, vote, commit, runs, txn_id, chain, added_up = (
        _STATE.unpack(data)
    )
    state = LogState(before_index, before_term, last_index, HardState(term, vote, commit))
    return StateRecord(state, runs, Seal(chain, added_up), txn_id)


def encode_identity(identity: StoreIdentity) -> bytes:
    return json.dumps([identity.cluster_id, identity.node_id, identity.incarnation]).encode()


def decode_identity(data: bytes) -> StoreIdentity:
    cluster_id, node_id, incarnation = json.loads(data)
    return StoreIdentity(cluster_id, node_id, incarnation)


def incarnation_key(node_id: int) -> bytes:
    return INCARNATION_PREFIX + str(node_id).encode()


def _damaged(where: object, index: int, what: str) -> StorageDamaged:
    return StorageDamaged(
        f"{where}: the entry at index {index} is damaged: {what}. Do not go on with this copy: "
        "give the node an empty directory and a new id, or restore a backup"
    )
