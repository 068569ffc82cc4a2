"""Purged entries are kept whole in an archive, within its limit, and damage is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from raftify.errors import NotALogDirectory, StorageDamaged, StorageForeign, StorageFull
from raftify.storage import disk_folder
from raftify.storage.base import StoreIdentity
from raftify.storage.disk_folder import DiskFile, DiskFolder
from raftify.storage.log_archive import ArchiveReader, LogArchive
from tests.storage.making import IDENTITY, make_entries


def open_archive(directory: Path, max_bytes: int = 0) -> LogArchive:
    return LogArchive(DiskFolder(directory), IDENTITY, max_bytes)


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    archive = open_archive(tmp_path / "new" / "archive")
    archive.append(make_entries(2, 10))
    archive.append(make_entries(10, 12, term=3))
    reader = ArchiveReader(tmp_path / "new" / "archive")
    assert (reader.first_index, reader.last_index, reader.owner()) == (2, 11, IDENTITY)
    everything = [*make_entries(2, 10), *make_entries(10, 12, term=3)]
    assert [*reader.entries(0, 100)] == everything
    assert [*reader.entries(9, 11)] == everything[7:9]
    assert [*reader.entries(11, 11)] == []


def test_the_names_of_new_directories_are_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the archive is in the log no more: a lost directory would be a lost history."""
    synced: list[Path] = []
    monkeypatch.setattr(disk_folder, "sync_directory", synced.append)
    open_archive(tmp_path / "new" / "archive")
    assert synced == [tmp_path / "new", tmp_path]


def test_what_is_archived_already_is_left_out(tmp_path: Path) -> None:
    """A crash between archiving and purging brings the same entries again."""
    open_archive(tmp_path).append(make_entries(2, 10))
    archive = open_archive(tmp_path)
    archive.append(make_entries(2, 10))
    archive.append(make_entries(5, 13))
    assert [*ArchiveReader(tmp_path).entries(0, 100)] == make_entries(2, 13)
    assert len([*tmp_path.iterdir()]) == 2


def test_a_hole_is_passed_over(tmp_path: Path) -> None:
    """What a received snapshot covers never was in the log."""
    archive = open_archive(tmp_path)
    archive.append(make_entries(2, 5))
    archive.append(make_entries(50, 55))
    found = [entry.index for entry in ArchiveReader(tmp_path).entries(3, 52)]
    assert found == [3, 4, 50, 51]


def test_the_oldest_go_when_the_limit_is_passed(tmp_path: Path) -> None:
    archive = open_archive(tmp_path, max_bytes=3000)
    for low in range(2, 100, 10):
        archive.append(make_entries(low, low + 10, size=80))
        assert archive.last_index == low + 9
    reader = ArchiveReader(tmp_path)
    assert 0 < sum(segment.size_bytes for segment in reader.segments) <= 3000
    assert reader.last_index == 101
    assert [*reader.entries(0, 999)] == make_entries(reader.first_index, 102, size=80)
    archive.append(make_entries(102, 103, size=10_000))
    assert ArchiveReader(tmp_path).first_index == 102, "the newest always stays"


def test_half_a_file_does_not_count(tmp_path: Path) -> None:
    open_archive(tmp_path).append(make_entries(2, 10))
    (left,) = tmp_path.iterdir()
    (tmp_path / f"{10:020}-{20:020}.entries.tmp").write_bytes(left.read_bytes()[:50])
    assert ArchiveReader(tmp_path).last_index == 9
    assert open_archive(tmp_path).last_index == 9
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("at", [0, 30, 60, 65, 80, 120, -1])
def test_a_flipped_bit_is_found(tmp_path: Path, at: int) -> None:
    open_archive(tmp_path).append(make_entries(2, 10))
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[at] ^= 4
    file.write_bytes(data)
    with pytest.raises(StorageDamaged, match="is damaged"):
        list(ArchiveReader(tmp_path).entries(0, 100))


@pytest.mark.parametrize("size", [10, 200, -1])
def test_a_file_cut_short_is_found(tmp_path: Path, size: int) -> None:
    open_archive(tmp_path).append(make_entries(2, 10))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(StorageDamaged, match="is damaged"):
        list(ArchiveReader(tmp_path).entries(0, 100))


def test_another_nodes_archive_is_refused(tmp_path: Path) -> None:
    open_archive(tmp_path).append(make_entries(2, 10))
    for other in (
        StoreIdentity("stores", 2, "incarnation-1"),
        StoreIdentity("stores", 1, "wiped"),
        StoreIdentity("other", 1, "incarnation-1"),
    ):
        with pytest.raises(StorageForeign, match="compacted_log_dir"):
            LogArchive(DiskFolder(tmp_path), other, 0)


def test_no_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotALogDirectory, match="no archive"):
        ArchiveReader(tmp_path)


def test_a_full_disk_keeps_nothing_and_the_next_attempt_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullFile(DiskFile):
        def sync(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = open_archive(tmp_path)
    archive.append(make_entries(2, 10))
    with monkeypatch.context() as full:
        full.setattr(DiskFolder, "create", lambda self, name: FullFile(self.path / name))
        with pytest.raises(StorageFull):
            archive.append(make_entries(10, 20))
    assert len([*tmp_path.iterdir()]) == 1
    archive.append(make_entries(10, 20))
    assert [*ArchiveReader(tmp_path).entries(0, 100)] == make_entries(2, 20)
