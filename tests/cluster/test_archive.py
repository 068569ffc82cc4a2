"""A node keeps what it purges, if told to; and keeps its log if it cannot."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from raftify.cli.main import EXIT_FINE, EXIT_USAGE, main
from raftify.errors import StorageForeign, StorageFull
from raftify.storage.log_archive import ArchiveReader, LogArchive
from tests.cluster.local_cluster import LocalCluster
from tests.ports import free_address

SETTINGS: dict[str, Any] = {
    "save_compacted_logs": True,
    "snapshot_keep_entries": 0,
    "purge_batch_entries": 7,
}


async def test_everything_that_is_purged_is_in_the_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "archive"
    async with LocalCluster(tmp_path, **SETTINGS, compacted_log_dir=archive) as cluster:
        node = await cluster.found()
        for number in range(30):
            await node.raft.propose(b"entry %d" % number)
        await node.raft.make_snapshot()
        purged = node.raft.metrics().purged
        assert purged >= 31
        found = [*ArchiveReader(archive).entries(0, 1000)]
        assert [entry.index for entry in found] == list(range(2, purged + 1))
        data = [entry.data for entry in found if entry.data]
        assert data == [b"entry %d" % number for number in range(30)]
    capsys.readouterr()
    assert main(["describe", "logs", "--archive", str(archive), "--tail", "3"]) == EXIT_FINE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[1:4]] == ["27", "28", "29"]
    assert lines[-1] == f"3 shown; the archive holds entries 2 to {purged}"


async def test_what_cannot_be_archived_stays_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: LogArchive, entries: object) -> None:
        raise StorageFull("cannot write: no room, as the test wants it")

    archive = tmp_path / "archive"
    async with LocalCluster(tmp_path, **SETTINGS, compacted_log_dir=archive) as cluster:
        node = await cluster.found()
        for number in range(20):
            await node.raft.propose(b"entry %d" % number)
        with monkeypatch.context() as full, caplog.at_level(logging.ERROR):
            full.setattr(LogArchive, "append", refuse)
            before = node.raft.metrics().purged
            await node.raft.make_snapshot()
            assert node.raft.metrics().purged == before
        assert "cannot be archived" in caplog.text
        assert await node.raft.propose(b"goes on") == b"goes on:1"
        await node.raft.make_snapshot()
        assert node.raft.metrics().purged > 20
        found = [entry.data for entry in ArchiveReader(archive).entries(0, 1000) if entry.data]
        assert found == [*(b"entry %d" % number for number in range(20)), b"goes on"]


async def test_two_nodes_cannot_share_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    async with LocalCluster(tmp_path, **SETTINGS, compacted_log_dir=archive) as cluster:
        node = await cluster.found()
        await node.raft.propose(b"entry")
        await node.raft.make_snapshot()
        with pytest.raises(StorageForeign, match="compacted_log_dir"):
            cluster.start(9, free_address())


def test_the_cli_says_where_no_archive_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["describe", "logs", "--archive", str(tmp_path)]) == EXIT_USAGE
    assert "no archive" in capsys.readouterr().err
    assert main(["describe", "logs"]) == EXIT_USAGE
    assert "PATH" in capsys.readouterr().err
