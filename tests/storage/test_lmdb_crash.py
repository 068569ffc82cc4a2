"""A writer that is killed at any moment has kept all that it had reported, and nothing by halves.

Killing a process shows that writes are atomic and ordered; that they also outlive the machine
rests on LMDB's syncs, which `test_every_write_is_synced` counts.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from raftify.core.types import HardState
from raftify.storage import LmdbStorage, LogReader, MemStorage, WriteBatch
from tests.storage.crash_writer import describe, take_step
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot

#: RAFTIFY_SOAK multiplies how much is tried, for a run without hurry.
ROUNDS = 6 * int(os.environ.get("RAFTIFY_SOAK", "1"))


@pytest.mark.slow
def test_a_killed_writer_has_kept_what_it_reported(tmp_path: Path) -> None:
    """failures (b) 4, 21: a crash between any two of append, state, snapshot and compaction."""
    rng = random.Random(3)
    directory = tmp_path / "log"
    storage = LmdbStorage.create(directory)
    storage.initialize(IDENTITY, MEMBERS)
    storage.close()
    model = MemStorage.create()
    model.initialize(IDENTITY, MEMBERS)
    seed = 0
    for _ in range(ROUNDS):
        reported = _run_and_kill(directory, seed, steps=rng.randint(1, 120), rng=rng)
        for done in range(seed, reported + 1):
            take_step(model, done)
        seed = reported + 1
        storage = LmdbStorage.create(directory)
        found = describe(storage)
        if found != describe(model):
            # The step that was under way may be there, but then all of it.
            take_step(model, seed)
            seed += 1
        assert found == describe(model)
        names = {path.name for path in (directory / "snapshots").iterdir()}
        assert len(names) <= 1, "files of dead snapshots were left"
        storage.close()
        with LogReader.open(directory) as reader:
            assert list(reader.verify()) == []
    assert seed > ROUNDS


def _run_and_kill(directory: Path, seed: int, steps: int, rng: random.Random) -> int:
    """Let a writer take at least `steps` steps; return the seed of the last it reported."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.storage.crash_writer", str(directory), str(seed)],
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        output = b""
        while output.count(b"\n") < steps:
            part = os.read(writer.stdout.fileno(), rng.randint(1, 4096))
            assert part, "the writer ended by itself"
            output += part
        writer.kill()
        output += writer.stdout.read()
    return int(output[: output.rindex(b"\n")].split()[-1])


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


@pytest.mark.slow
@pytest.mark.skipif(not Path("/usr/bin/strace").exists(), reason="needs strace")
def test_every_write_is_synced(tmp_path: Path) -> None:
    """Without a machine to cut the power of: each write waits for the disk at least once."""
    script = (
        "from raftify.storage import *\n"
        "from tests.storage.making import *\n"
        f"s = LmdbStorage.create({str(tmp_path / 'log')!r})\n"
        "s.initialize(IDENTITY, MEMBERS)\n"
        "for i in range(2, 52): s.write(WriteBatch(entries=make_entries(i, i + 1)))\n"
    )
    trace = tmp_path / "trace"
    subprocess.run(
        [
            "strace",
            "-f",
            "-e",
            "trace=fsync,fdatasync,msync",
            "-o",
            trace,
            sys.executable,
            "-c",
            script,
        ],
        check=True,
        timeout=50,
    )
    assert trace.read_text().count("sync(") >= 50
