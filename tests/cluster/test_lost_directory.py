"""A log directory that is deleted or replaced under a running node ends it, and says so."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from raftify.errors import StorageError
from raftify.node import place_watch
from raftify.storage.place import Place
from tests.cluster.local_cluster import LocalCluster

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows removes no file that is open"
)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_watch, "INTERVAL", 0.05)


async def test_a_deleted_directory_ends_the_node(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        founder = await cluster.grow_to(3)
        await cluster.settle()
        victim = cluster.nodes.pop(3)
        shutil.rmtree(victim.log_dir)
        with pytest.raises(StorageError, match="was deleted, moved or replaced while the node ran"):
            await asyncio.wait_for(victim.task, 20)
        assert "LOCK is gone" in victim.raft.metrics().failure
        # The others go on.
        assert await founder.raft.propose(b"x") == b"x:1"


async def test_a_backup_put_in_its_place_ends_the_node(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        shutil.copytree(node.log_dir, tmp_path / "backup")
        await node.raft.propose(b"since")
        node.log_dir.rename(tmp_path / "old")
        (tmp_path / "backup").rename(node.log_dir)
        with pytest.raises(StorageError, match="another one than this node opened"):
            await asyncio.wait_for(node.task, 20)
        del cluster.nodes[node.id]
        # The way out that the message names.
        node.log_dir.rename(tmp_path / "backup")
        (tmp_path / "old").rename(node.log_dir)
        again = cluster.restart(node)
        await again.raft.read_index(timeout=20)
        assert again.machine.order == ["since"]


async def test_a_directory_that_stays_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = asyncio.Queue[None]()
    loop = asyncio.get_running_loop()
    real = Place.check

    def check(place: Place) -> None:
        real(place)
        loop.call_soon_threadsafe(looks.put_nowait, None)

    monkeypatch.setattr(Place, "check", check)
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        for _ in range(3):
            await asyncio.wait_for(looks.get(), 20)
            await node.raft.propose(b"x")
        await node.raft.make_snapshot()
        await asyncio.wait_for(looks.get(), 20)
        assert not node.task.done()
