"""What a long log costs to open, and that many entries make few records."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from raftify.core.types import Entry, EntryType, HardState
from raftify.storage import LmdbStorage, LogReader, WriteBatch
from raftify.storage import lmdb_schema as schema
from raftify.wire.codec import encode_entry
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot
from tests.storage.raw import append_raw, count_runs, get_raw, pack_state, put_raw

_OPEN = """
import re, sys, time
from pathlib import Path
from raftify.storage import LmdbStorage
start = time.process_time()
storage = LmdbStorage.create(sys.argv[1])
seconds = time.process_time() - start
assert storage.last_index() == 1_000_001
assert storage.term(1_000_001) == 1
status = Path("/proc/self/status").read_text()
print(seconds, int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to measure memory")
def test_a_million_entries_are_opened_in_no_time(tmp_path: Path) -> None:
    """Neither time nor memory grows with the log; generous bounds, for slow machines.

    The time is the processor's, so that a busy machine makes no difference.

    Each entry is a run of its own, the worst case, as single writes make them; but here they are
    put past the store all at once, to be done today.
    """
    storage = LmdbStorage.create(tmp_path)
    storage.initialize(IDENTITY, MEMBERS)
    storage.close()
    # Opening looks at the last run, and else only at the pages: they are as large with its copies.
    encoded = encode_entry(Entry(EntryType.NORMAL, 1, 1_000_001, b"x" * 100))
    run = schema.pack_run(1_000_001, [encoded], [len(encoded)], 0)
    keys = map(schema.pack_key, range(2, 1_000_002))
    append_raw(tmp_path, schema.LOG_DB, ((key, run) for key in keys))
    before = get_raw(tmp_path, schema.META_DB, schema.STATE_KEY)
    state = schema.decode_state(before[schema.CRC_BYTES :])
    state = state._replace(
        state=replace(state.state, last_index=1_000_001),
        runs=1_000_000,
        seal=state.seal._replace(chain=schema.checksum_of(run)),
        # Two transactions later: of that which appended, and of this one.
        txn_id=state.txn_id + 2,
    )
    put_raw(tmp_path, schema.META_DB, schema.STATE_KEY, pack_state(state))
    assert count_runs(tmp_path) == 1_000_000
    done = subprocess.run(
        [sys.executable, "-c", _OPEN, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    seconds, rss = (float(word) for word in done.stdout.split())
    assert seconds < 2.0
    assert rss < 150e6


def test_entries_are_packed_into_runs_of_bounded_size(tmp_path: Path) -> None:
    storage = LmdbStorage.create(tmp_path)
    storage.initialize(IDENTITY, MEMBERS)
    entries = [
        *make_entries(2, 1002, size=100),
        *make_entries(1002, 1004, size=3 * schema.RUN_BYTES),
        *make_entries(1004, 1010),
    ]
    storage.write(WriteBatch(entries=entries))
    assert storage.entries(2, 1010) == entries
    storage.close()
    storage = LmdbStorage.create(tmp_path)
    assert storage.entries(2, 1010) == entries
    for index in (2, 3, 600, 1001, 1002, 1003, 1004, 1009):
        assert storage.entries(index, 1010, 0) == [entries[index - 2]]
    storage.write(WriteBatch(entries=make_entries(700, 800, term=2)))
    assert storage.entries(2, 800) == [*entries[:698], *make_entries(700, 800, term=2)]
    storage.close()
    sizes = [len(encode_entry(entry)) for entry in entries]
    runs = schema.pack_runs(2, [encode_entry(entry) for entry in entries], sizes, 7)
    assert len(runs) == 5
    unpacked = [schema.unpack_run(schema.unpack_key(key, ""), value, "") for key, value in runs]
    assert [run.chain for run in unpacked] == [7, *(run.crc32 for run in unpacked[:-1])]
    assert all(len(value) < 4 * schema.RUN_BYTES for _, value in runs)


def test_discarded_entries_are_deleted_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction deletes no more at once than a heartbeat can wait for; writes do the rest."""
    storage = LmdbStorage.create(tmp_path)
    storage.initialize(IDENTITY, MEMBERS)
    monkeypatch.setattr(schema, "RUN_BYTES", 0)
    storage.write(WriteBatch(entries=make_entries(2, 2002), hard_state=HardState(1, 1, 1900)))
    storage.save_snapshot(make_snapshot(storage, 1900))
    storage.compact(1901)
    assert storage.first_index() == 1901
    left = [_runs_after_reopening(tmp_path, storage)]
    for index in range(2002, 2022):
        storage = LmdbStorage.create(tmp_path)
        storage.write(WriteBatch(entries=make_entries(index, index + 1)))
        left.append(_runs_after_reopening(tmp_path, storage))
    assert left[0] == 2000 - 1024
    assert left[1] == left[0] - 64 + 1
    assert left[-1] == 2021 - 1900
    with LogReader.open(tmp_path) as reader:
        assert list(reader.entries()) == make_entries(1901, 2022)


def _runs_after_reopening(directory: Path, storage: LmdbStorage) -> int:
    storage.close()
    return count_runs(directory)
