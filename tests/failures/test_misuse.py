"""What users get wrong is said in a typed error, at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from raftify.client import create_client
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import (
    ConfChangeRejected,
    ConfigError,
    JoinRejected,
    NodeStopped,
    RaftifyError,
    StorageError,
    StorageLocked,
    TransferRejected,
)
from raftify.raft import Raft
from raftify.storage.lmdb_storage import LmdbStorage
from raftify.storage.mem_storage import MemStorage
from tests.cluster.local_cluster import LocalCluster, make_config
from tests.cluster.machines import Tally
from tests.ports import free_address


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"tick_interval": 0}, "tick_interval"),
        ({"tick_interval": "0.1"}, "tick_interval"),
        ({"tick_interval": float("nan")}, "tick_interval"),
        ({"tick_interval": float("inf")}, "tick_interval"),
        ({"snapshot_entries": 1.5}, "snapshot_entries"),
        ({"inbox_limit": True}, "inbox_limit"),
        ({"inbox_limit": 0.5}, "inbox_limit"),
        ({"cluster_id": ""}, "cluster_id"),
        ({"initial_peers": {1: "a:1"}}, "initial_peers"),
        ({"raft_config": {"election_tick": 3}}, "raft_config"),
        ({"max_grpc_message_bytes": 1 << 20}, "max_grpc_message_bytes"),
    ],
)
def test_bad_settings(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        make_config(**settings)


async def bootstrap(**wrong: Any) -> Raft:
    right: dict[str, Any] = {
        "node_id": 1,
        "raft_addr": free_address(),
        "log_storage": MemStorage.create(),
        "fsm": Tally(),
        "config": make_config(),
    }
    return Raft.bootstrap(**{**right, **wrong})


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"node_id": 0}, "node id"),
        ({"node_id": "1"}, "node id"),
        ({"node_id": -1}, "node id"),
        ({"raft_addr": "nowhere"}, "address"),
        ({"raft_addr": 7}, "address"),
        ({"log_storage": "./logs"}, "log_storage"),
        ({"fsm": object()}, "fsm"),
        ({"fsm": Tally}, "fsm"),
        ({"config": {"tick_interval": 1}}, "config"),
        ({"logger": "stderr"}, "logger"),
    ],
)
async def test_bad_arguments_of_bootstrap(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        await bootstrap(**wrong)


async def test_a_closed_store_is_refused(tmp_path: Path) -> None:
    storage = LmdbStorage.create(tmp_path, make_config())
    storage.close()
    with pytest.raises(StorageError, match="closed"):
        await bootstrap(log_storage=storage)


async def test_a_store_serves_one_node_at_a_time(tmp_path: Path) -> None:
    """Two nodes on one object would each write its own truth."""
    storage = LmdbStorage.create(tmp_path, make_config())
    raft = await bootstrap(log_storage=storage)
    with pytest.raises(StorageLocked):
        LmdbStorage.create(tmp_path, make_config())
    with pytest.raises(StorageLocked, match="has a node already"):
        await bootstrap(log_storage=storage)
    task = asyncio.create_task(raft.run())
    await raft.wait_for_leader()
    with pytest.raises(StorageLocked, match="has a node already"):
        await bootstrap(log_storage=storage)
    assert await raft.propose(b"x") == b"x:1"
    await raft.quit()
    await task
    again = await bootstrap(log_storage=LmdbStorage.create(tmp_path, make_config()))
    await again.quit()


async def test_calls_before_and_after_the_life_of_a_node() -> None:
    raft = await bootstrap()
    assert raft.get_leader_id() == 0
    with pytest.raises(RaftifyError):
        await raft.propose(b"x", timeout=0.05)
    with pytest.raises(RaftifyError):
        await raft.make_snapshot(timeout=0.05)
    await raft.quit()
    await raft.run()
    for call in (
        raft.propose(b"x"),
        raft.read_index(),
        raft.campaign(),
        raft.make_snapshot(),
        raft.leave(),
        raft.transfer_leader(1),
        raft.join_cluster([]),
        raft.wait_for_leader(),
    ):
        with pytest.raises((NodeStopped, JoinRejected)):
            await call


async def test_another_event_loop_is_said_so() -> None:
    """A node belongs to the loop it runs on; a call from elsewhere would wake nobody."""
    raft = await bootstrap()
    task = asyncio.create_task(raft.run())
    await raft.wait_for_leader()
    with pytest.raises(ConfigError, match="event loop"):
        await asyncio.to_thread(lambda: asyncio.run(_propose(raft)))
    assert await raft.propose(b"y") == b"y:1"
    await raft.quit()
    await task


async def _propose(raft: Raft) -> bytes:
    return await raft.propose(b"x", timeout=1)


async def test_impossible_requests(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        raft = (await cluster.found()).raft
        add = ConfChangeSingle(ConfChangeType.ADD_NODE, 7)
        with pytest.raises(ConfChangeRejected, match="no address"):
            await raft.change_config(ConfChangeV2(changes=(add,)))
        with pytest.raises(ConfChangeRejected, match="is that of node 1"):
            await raft.change_config(ConfChangeV2(changes=(add,)), {7: cluster.nodes[1].address})
        with pytest.raises(ConfigError):
            await raft.change_config("add 7")  # type: ignore[arg-type]  # bad input on purpose
        with pytest.raises(ConfigError, match="bytes"):
            await raft.propose(None)  # type: ignore[arg-type]  # likewise
        with pytest.raises(TransferRejected, match="no voter"):
            await raft.transfer_leader(9)
        with pytest.raises(ConfigError, match="address"):
            await raft.change_config(ConfChangeV2(changes=(add,)), {7: "nowhere"})
        with pytest.raises(JoinRejected, match="is the address of node 1"):
            await Raft.request_id(cluster.nodes[1].address, cluster.nodes[1].address)
        assert await raft.propose(b"x") == b"x:1"


@pytest.mark.parametrize("wrong", [5, b"logs", ["logs"]])
def test_a_directory_that_is_no_path(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="log_dir"):
        LmdbStorage.create(wrong)


def test_a_store_with_a_config_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no Config"):
        LmdbStorage.create(tmp_path, {"cluster_id": "x"})  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("wrong", [None, 5, [5], []])
def test_a_client_of_no_address(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        create_client(wrong)
