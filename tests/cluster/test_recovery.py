"""A new cluster from an old snapshot: `Config.bootstrap_from_snapshot`."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from raftify import LmdbStorage, Peers, ReservedId
from raftify.config import Config
from raftify.errors import ConfigError, RaftifyError, StateMachineError
from raftify.node.founding import prepare_store
from raftify.peers import Address
from raftify.storage import MemStorage, StableStorage, WriteBatch
from tests.cluster.local_cluster import LocalCluster
from tests.ports import free_address

LOGGER = logging.getLogger("tests")


async def write_and_lose(tmp_path: Path) -> tuple[Path, bytes, Path]:
    """Let three nodes write, take a snapshot, write on; keep the snapshot, lose the rest.

    Returns the snapshot's file, the state in it, and the log directory of another old member.
    """
    async with LocalCluster(tmp_path / "old") as cluster:
        await cluster.static(3)
        leader = await cluster.leader()
        for number in range(20):
            await leader.raft.propose(b"entry %d" % number)
        state = leader.machine.encode()
        snapshot = await leader.raft.make_snapshot()
        assert snapshot is not None
        await leader.raft.propose(b"after the snapshot")
        (file,) = (leader.log_dir / "snapshots").glob("*.snapshot")
        kept = tmp_path / "kept" / file.name
        kept.parent.mkdir()
        shutil.copy(file, kept)
        other = next(node for node in cluster.nodes.values() if node is not leader)
    shutil.rmtree(leader.log_dir)
    return kept, state, other.log_dir


async def test_a_new_cluster_begins_with_the_state_of_the_old_one(tmp_path: Path) -> None:
    kept, state, _ = await write_and_lose(tmp_path)
    async with LocalCluster(tmp_path / "new") as cluster:
        node = cluster.start(7, free_address(), bootstrap_from_snapshot=kept)
        await node.raft.wait_for_leader()
        assert node.machine.encode() == state
        assert await node.raft.propose(b"entry 0") == b"entry 0:2"
        others = [await cluster.join(node) for _ in range(2)]
        await node.raft.propose(b"all of us")
        for other in others:
            await other.applied(node.raft.metrics().applied)
            assert other.machine.encode() == node.machine.encode()
        await cluster.stop(node)
        again = cluster.start(7, node.address, node.log_dir)
        await cluster.leader()
        await again.applied(others[0].raft.metrics().applied)
        assert again.machine.encode() == others[0].machine.encode()


async def test_an_old_member_has_no_part_in_the_new_cluster(tmp_path: Path) -> None:
    """It would send what the new cluster never had, or take what it lacks for its own."""
    kept, _, old_dir = await write_and_lose(tmp_path)
    async with LocalCluster(tmp_path / "new") as cluster:
        node = cluster.start(7, free_address(), bootstrap_from_snapshot=kept)
        await node.raft.wait_for_leader()
        old = LmdbStorage.create(old_dir)
        identity, origin = old.identity(), old.membership().origin
        old.close()
        assert identity is not None
        new_origin = node.raft._node.state.membership.origin
        assert new_origin not in ("", origin)


async def test_a_store_with_a_log_is_refused(tmp_path: Path) -> None:
    """Also the next start with the setting left in place: one day the disk would be empty."""
    kept, _, old_dir = await write_and_lose(tmp_path)
    async with LocalCluster(tmp_path / "new") as cluster:
        node = cluster.start(7, free_address(), bootstrap_from_snapshot=kept)
        await node.raft.wait_for_leader()
        await cluster.stop(node)
        with pytest.raises(ConfigError, match="has a log that it would forget"):
            cluster.start(7, node.address, node.log_dir, bootstrap_from_snapshot=kept)
        with pytest.raises(RaftifyError):
            cluster.start(7, node.address, old_dir, bootstrap_from_snapshot=kept)


async def test_a_file_that_is_no_snapshot_stops_the_node(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"[[], {}")
    async with LocalCluster(tmp_path / "new") as cluster:
        node = cluster.start(7, free_address(), bootstrap_from_snapshot=wrong)
        with pytest.raises(StateMachineError):
            await node.task
        del cluster.nodes[7]


def prepare(storage: StableStorage, path: Path, node_id: int = 7, **settings: object) -> None:
    config = Config(bootstrap_from_snapshot=path, **settings)  # type: ignore[arg-type]
    address = Address.parse("127.0.0.1:6007")
    prepare_store(storage, node_id=node_id, address=address, config=config, logger=LOGGER)


def test_the_file_is_found_in_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file, and no directory with"):
        prepare(MemStorage.create(), tmp_path)
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "one.snapshot").write_bytes(b"state")
    (tmp_path / "snapshots" / "two.0.tmp").write_bytes(b"unfinished")
    for place in (tmp_path, tmp_path / "snapshots", tmp_path / "snapshots" / "one.snapshot"):
        storage = MemStorage.create()
        prepare(storage, place)
        with storage.open_snapshot(storage.latest_snapshot()) as file:
            assert file.read() == b"state"
        assert storage.membership().conf_state.voters == (7,)
        assert (storage.first_index(), storage.last_index()) == (2, 1)
    (tmp_path / "snapshots" / "two.snapshot").write_bytes(b"state")
    with pytest.raises(ConfigError, match="2 snapshots; name the file"):
        prepare(MemStorage.create(), tmp_path)


def test_it_founds_a_cluster_of_one_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_bytes(b"state")
    with pytest.raises(ConfigError, match="neither with initial_peers"):
        prepare(MemStorage.create(), file, initial_peers=Peers({7: "127.0.0.1:6007"}))
    with pytest.raises(ConfigError, match="nor with a reserved id"):
        prepare(MemStorage.create(), file, ReservedId(7))


def test_a_crash_in_the_middle_leaves_what_can_be_repeated(tmp_path: Path) -> None:
    """Never a founder without the state: it would go on as if there had been none."""

    class DiesBeforeItWrites(MemStorage):
        dies = True

        def write(self, batch: WriteBatch) -> None:
            if self.dies:
                raise KeyboardInterrupt
            super().write(batch)

    file = tmp_path / "state"
    file.write_bytes(b"state")
    storage = DiesBeforeItWrites.create()
    with pytest.raises(KeyboardInterrupt):
        prepare(storage, file)
    assert not storage.membership().member_ids()
    storage.dies = False  # type: ignore[attr-defined]
    prepare(storage, file)
    identity = storage.identity()
    assert identity is not None
    assert storage.membership().origin == identity.incarnation
    with storage.open_snapshot(storage.latest_snapshot()) as kept:
        assert kept.read() == b"state"
