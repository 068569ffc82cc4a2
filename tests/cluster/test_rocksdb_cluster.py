"""A cluster whose logs are in RocksDB."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rocksdict", reason="needs raftify[rocksdb]")

from raftify.storage import StableStorage
from raftify.storage.rocksdb import RocksDbStorage
from tests.cluster.local_cluster import LocalCluster, make_config


class RocksDbCluster(LocalCluster):
    def storage(self, log_dir: Path) -> StableStorage:
        return RocksDbStorage.create(log_dir, make_config(**self.settings))


async def test_nodes_on_rocksdb_write_purge_restart_and_take_in_others(tmp_path: Path) -> None:
    async with RocksDbCluster(tmp_path, snapshot_keep_entries=5) as cluster:
        founder = await cluster.grow_to(2)
        for number in range(30):
            await founder.raft.propose(b"entry %d" % number)
        await founder.raft.make_snapshot()
        assert founder.raft.metrics().purged > 20
        late = await cluster.join(founder)
        await late.applied(founder.raft.metrics().applied)
        assert late.machine.encode() == founder.machine.encode()
        await cluster.stop(founder)
        await cluster.leader()
        again = cluster.restart(founder)
        assert await late.raft.propose(b"after") == b"after:1"
        # Who proposed may learn of the commit after who led.
        for node in (late, again):
            await node.raft.read_index()
        assert again.machine.encode() == late.machine.encode()
        assert again.machine.twice() == []
