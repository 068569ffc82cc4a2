"""Damage to the files of a log is a clear error, and never a silently shorter log."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from raftify.core.types import HardState
from raftify.errors import StorageDamaged
from raftify.records import SnapshotDescriptor
from raftify.storage import LmdbStorage, LogReader, WriteBatch
from raftify.storage.lmdb_pages import check_pages
from tests.storage import damage
from tests.storage.damage import PAGE, make_log, read_log
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot


@pytest.mark.parametrize("bytes_left", [0, 1, 100, PAGE - 1, PAGE, 2 * PAGE, 3 * PAGE, 0.5, -1])
def test_a_log_that_was_cut_off_is_damaged(tmp_path: Path, bytes_left: float) -> None:
    """camunda/camunda#6098, neo4j/neo4j#8726: a cut tail must not pass for the end of the log."""
    make_log(tmp_path)
    file = tmp_path / "log.mdb"
    size = file.stat().st_size
    if bytes_left == 0.5:
        bytes_left = size // 2
    os.truncate(file, int(bytes_left) if bytes_left >= 0 else size - 1)
    before = file.read_bytes()
    with pytest.raises(StorageDamaged, match=r"log\.mdb"):
        LogReader.open(tmp_path)
    with pytest.raises(StorageDamaged, match=r"log\.mdb"):
        LmdbStorage.create(tmp_path)
    assert file.read_bytes() == before


def test_a_log_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "log.mdb"
    file.write_bytes(random.Random(1).randbytes(100_000))
    with pytest.raises(StorageDamaged, match=r"log\.mdb"):
        LmdbStorage.create(tmp_path)
    assert file.read_bytes() == random.Random(1).randbytes(100_000)


def test_a_log_that_is_gone_beside_its_snapshots_is_not_made_anew(tmp_path: Path) -> None:
    """It would be a node that forgot its votes (databendlabs/openraft#2002)."""
    make_log(tmp_path)
    (tmp_path / "log.mdb").unlink()
    with pytest.raises(StorageDamaged, match="missing"):
        LmdbStorage.create(tmp_path)


@pytest.mark.parametrize("harm", ["flip", "cut", "grown", "gone"])
def test_a_damaged_snapshot_file_is_found(tmp_path: Path, harm: str) -> None:
    make_log(tmp_path)
    [file] = (tmp_path / "snapshots").iterdir()
    data = bytearray(file.read_bytes())
    if harm == "flip":
        data[40_000] ^= 4
    elif harm == "cut":
        del data[-1]
    else:
        data += b"x"
    file.write_bytes(data)
    if harm == "gone":
        file.unlink()
    with LogReader.open(tmp_path) as reader:
        [damage] = reader.verify()
        assert file.name in str(damage)
    with pytest.raises(StorageDamaged, match=file.name):
        read_log(tmp_path)
    if harm == "flip":
        storage = LmdbStorage.create(tmp_path)
        size = SnapshotDescriptor.decode(storage.latest_snapshot().data).size_bytes
        with (
            storage.open_snapshot(storage.latest_snapshot()) as opened,
            pytest.raises(StorageDamaged),
        ):
            opened.read(size)
        storage.close()


@pytest.mark.parametrize("offsets", [[4990], [4990, 10], [10], [-1], [1, 1], [5000, 0]], ids=str)
def test_a_seek_does_not_lead_around_the_checksum(tmp_path: Path, offsets: list[int]) -> None:
    """As readers of archives do: the index at the end first, then parts in any order."""
    storage = LmdbStorage.create(tmp_path)
    storage.initialize(IDENTITY, MEMBERS)
    storage.write(WriteBatch(entries=make_entries(2, 10), hard_state=HardState(1, 0, 9)))
    snapshot = make_snapshot(storage, 9, data=bytes(range(250)) * 20)
    storage.save_snapshot(snapshot)

    def read() -> bytes:
        with storage.open_snapshot(snapshot) as opened:
            for offset in offsets:
                opened.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            return opened.read()

    assert read() == (bytes(range(250)) * 20)[offsets[-1] :]
    [file] = (tmp_path / "snapshots").iterdir()
    data = bytearray(file.read_bytes())
    data[2500] ^= 1
    file.write_bytes(data)
    with pytest.raises(StorageDamaged, match=file.name):
        read()
    storage.close()


def test_pages_that_point_anywhere_are_damage(tmp_path: Path) -> None:
    """No value in a page's head, in its nodes or in the list of free pages brings another error."""
    make_log(tmp_path)
    file = tmp_path / "log.mdb"
    sound = file.read_bytes()
    check_pages(file, full=True)
    rng = random.Random(5)
    numbers = [0, 1, 2, 1 << 40, 1 << 52, 1 << 63, (1 << 64) - 1]
    found = 0
    for number in range(len(sound) // PAGE):
        page = sound[number * PAGE : (number + 1) * PAGE]
        lower, upper = struct.unpack_from("<HH", page, 12)
        nodes = []
        if page[10:12] in (b"\1\0", b"\2\0") and 16 < lower <= upper <= PAGE:
            nodes = [*struct.unpack_from(f"<{(lower - 16) // 2}H", page, 16)]
        words = [
            (at, "<H", value) for at in (10, 12, 14, 16) for value in (0, 1, 15, 17, 18, 65535)
        ]
        for node in rng.sample(nodes, min(3, len(nodes))):
            key_size = struct.unpack_from("<H", page, node + 6)[0]
            words += [(node + at, "<H", value) for at in (0, 2, 4, 6) for value in (0, 1, 65535)]
            if node + 16 + key_size <= PAGE:
                words += [(node + 8 + key_size, "<Q", value) for value in numbers]
        for at, form, value in words:
            changed = struct.pack(form, value)
            start = number * PAGE + at
            with file.open("r+b", buffering=0) as raw:
                raw.seek(start)
                raw.write(changed)
                try:
                    check_pages(file, full=True)
                except StorageDamaged:
                    found += 1
                raw.seek(start)
                raw.write(sound[start : start + len(changed)])
    assert file.read_bytes() == sound
    assert found > 100


@pytest.mark.parametrize("kind", damage.KINDS)
def test_no_damage_goes_unnoticed(tmp_path: Path, kind: str) -> None:
    """In a process of its own: what LMDB trusts and should not would end it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.damage", str(tmp_path), kind, "0", "60"],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    noticed = int(done.stdout)
    # Some of it hits bytes that nobody uses: free pages, the rest of a page, the lock files.
    assert noticed == 0 if kind == "lock files" else noticed >= 15


def test_no_zeroed_page_goes_unnoticed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.damage", str(tmp_path), "every page", "0", "0"],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 50


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/d/log.mdb: the entry at index 7 is damaged", True),
        ("/d/log.mdb: the entry at index 9 is damaged", False),
        ("/d/log.mdb: page 7 is damaged", False),
        ("/d/log.mdb: something is damaged", False),
        ("/d: the entry at index 7 is damaged", False),
    ],
)
def test_an_error_must_name_the_file_and_the_record_that_was_hit(text: str, named: bool) -> None:
    harm = damage.Harm("record at index 6", Path("/d/log.mdb"), range(6, 9))
    assert harm.is_named_by(StorageDamaged(text)) is named
