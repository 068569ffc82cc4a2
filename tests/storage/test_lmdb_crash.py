"""A writer that dies at a chosen system call has kept all that it had reported, and no halves.

That writers killed at any moment have, the storage suite shows (`test_contract.py`). That they also
outlive a power cut is shown by images of the file without the pages that were not synced yet, and
rests on the order of LMDB's writes and syncs, which
`test_pages_are_synced_before_the_meta_page_counts` looks at.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from raftify.core.types import HardState
from raftify.storage import LmdbStorage, WriteBatch
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot

#: RAFTIFY_SOAK multiplies how much is tried, for a run without hurry.
SOAK = int(os.environ.get("RAFTIFY_SOAK", "1"))


@pytest.mark.slow
def test_a_writer_that_dies_at_a_system_call_leaves_the_state_before_or_after(
    tmp_path: Path,
) -> None:
    """failures (b) 4: between any two of pages, sync, meta page, and a snapshot's file and name."""
    died = _tally("kill_points", tmp_path, seeds=3 * SOAK)
    if died == {"impossible": 1}:
        pytest.skip("this machine cannot end a process at a system call of its own")
    assert died.keys() >= {"pages", "sync", "meta page", "snapshot sync", "snapshot name"}
    # Where a call fails instead, the writer is told so; a disk that fails is not a damaged log.
    assert min(died["StorageError"], died["StorageFull"]) >= 3
    assert not died.keys() & {"StorageDamaged", "something else"}


@pytest.mark.slow
def test_a_power_cut_that_drops_unsynced_pages_leaves_the_state_before_or_after(
    tmp_path: Path,
) -> None:
    """failures (a) 2: and a disk that lied about a sync, or returns an old page, is found out."""
    found = _tally("page_images", tmp_path, seeds=2 * SOAK)
    assert found["lied: damaged"] > 100
    assert found["old: damaged"] > 10
    for kind in ("unsynced", "torn", "synced"):
        assert found[f"{kind}: right"] > 100
        assert f"{kind}: damaged" not in found


def _tally(program: str, directory: Path, seeds: int) -> dict[str, int]:
    """Run a program of this folder over seeds; return what it counted."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.storage.{program}", str(directory), "0", str(seeds)],
        capture_output=True,
        text=True,
        timeout=55 * SOAK,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = (line.rpartition(": ") for line in done.stdout.splitlines())
    return {what: int(count) for what, _, count in counts}


def test_leftovers_of_a_crash_are_removed(tmp_path: Path) -> None:
    storage = LmdbStorage.create(tmp_path)
    storage.initialize(IDENTITY, MEMBERS)
    storage.write(WriteBatch(entries=make_entries(2, 20), hard_state=HardState(1, 1, 15)))
    storage.save_snapshot(make_snapshot(storage, 12, file_id="kept"))
    make_snapshot(storage, 13, file_id="neverSaved")
    storage.close()
    (tmp_path / "snapshots" / "halfway.0123.tmp").write_bytes(b"half")
    (tmp_path / "log.mdb.new").write_bytes(b"half a new log")
    LmdbStorage.create(tmp_path).close()
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == ["kept.snapshot"]


def test_a_crash_while_a_store_is_made_leaves_none(tmp_path: Path) -> None:
    (tmp_path / "log.mdb.new").write_bytes(b"half a new log")
    storage = LmdbStorage.create(tmp_path)
    assert storage.identity() is None
    storage.close()


_WRITES = """
import sys
from raftify.storage import LmdbStorage, WriteBatch
from tests.storage.making import IDENTITY, MEMBERS, make_entries
storage = LmdbStorage.create(sys.argv[1])
storage.initialize(IDENTITY, MEMBERS)
print("begin", file=sys.stderr, flush=True)
for i in range(2, 52):
    storage.write(WriteBatch(entries=make_entries(i, i + 1, size=100 * i)))
"""
#: How long a meta page's part is that LMDB writes.
_META_BYTES = "120"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/usr/bin/strace").exists(), reason="needs strace")
def test_pages_are_synced_before_the_meta_page_counts(tmp_path: Path) -> None:
    """Without a machine to cut the power of: each write syncs its pages, then the page that makes
    them count, by a descriptor that waits for the disk. `page_images` relies on the order."""
    trace = tmp_path / "trace"
    calls = "openat,pwrite64,writev,pwritev,fsync,fdatasync,msync,write"
    command = ["strace", "-f", "-e", f"trace={calls}", "-o", str(trace), sys.executable, "-c"]
    subprocess.run([*command, _WRITES, str(tmp_path / "log")], check=True, timeout=50)
    before, _, after = trace.read_text().partition('"begin')
    synced_at_once = {
        line.rpartition("= ")[2]
        for line in before.splitlines()
        if "log.mdb" in line and "O_DSYNC" in line
    }
    assert synced_at_once
    letters = ""
    for line in after.splitlines():
        call, _, arguments = line.split(maxsplit=1)[-1].partition("(")
        is_meta = call == "pwrite64" and f", {_META_BYTES}, " in arguments
        if is_meta:
            assert arguments.partition(",")[0] in synced_at_once
            letters += "m"
        elif call in ("writev", "pwritev", "pwrite64"):
            letters += "p"
        elif call in ("fdatasync", "fsync", "msync"):
            letters += "s"
    assert re.fullmatch("(p+sm){50}", letters), letters
