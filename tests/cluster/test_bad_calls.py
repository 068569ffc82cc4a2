"""Every public call gets the wrong type, the empty, the oversized and the hostile; it says so in a
typed error, within its deadline, and the node serves on. The table of calls is in `bad_calls`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from raftify import (
    Address,
    Config,
    LmdbStorage,
    MemStorage,
    Peers,
    Raft,
    RaftServiceClient,
    create_client,
)
from raftify.config import TlsConfig
from raftify.core.config import RaftConfig
from raftify.errors import ConfigError
from raftify.storage import LogReader
from raftify.waiting import Wait
from tests.cluster import bad_calls
from tests.cluster.bad_calls import (
    CLIENT,
    LOG_READER,
    MAKERS,
    RAFT,
    WAIT,
    faults_of,
    parameters,
    public_calls,
)
from tests.cluster.bad_values import MOST_PROPOSAL, Anything
from tests.cluster.local_cluster import make_config
from tests.cluster.machines import Tally
from tests.ports import free_address

pytestmark = pytest.mark.timeout(300)


class Asked(Tally):
    """Answers questions, and badly."""

    def query(self, data: bytes) -> bytes:
        if data == b"raise":
            raise ValueError("no")
        return "no bytes" if data == b"text" else b"answer"  # type: ignore[return-value]  # that is the test


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[Raft[Asked], Raft[Asked]]]:
    """Run a leader and a follower over gRPC."""
    addresses = {1: free_address(), 2: free_address()}
    config = make_config(
        initial_peers=Peers(addresses), max_proposal_bytes=MOST_PROPOSAL, request_timeout=2.0
    )
    one, two = (
        Raft.bootstrap(i, addresses[i], MemStorage.create(), Asked(), config) for i in addresses
    )
    async with one, two:
        leader_id = await one.wait_for_leader(timeout=30)
        await two.wait(30).leader(leader_id)
        yield (one, two) if leader_id == 1 else (two, one)


async def all_faults(owner: Any, table: bad_calls.Table) -> list[str]:
    return [
        fault
        for name, kinds in table.items()
        for fault in await faults_of(getattr(owner, name), name, kinds)
    ]


@pytest.mark.parametrize(
    ("kind", "table"),
    [(Raft, RAFT), (Wait, WAIT), (RaftServiceClient, CLIENT), (LogReader, LOG_READER)],
)
def test_the_table_has_every_call_and_every_argument(kind: type, table: bad_calls.Table) -> None:
    calls = public_calls(kind)
    assert {name: sorted(arguments) for name, arguments in table.items()} == {
        name: sorted(arguments) for name, arguments in calls.items()
    }


@pytest.mark.parametrize("which", [0, 1], ids=["leader", "follower"])
async def test_calls_of_a_node(which: int) -> None:
    async with two_nodes() as nodes:
        raft = nodes[which]
        members = raft.get_peers()
        assert "\n".join(await all_faults(raft, RAFT)) == ""
        assert "\n".join(await all_faults(raft.wait(0.2), WAIT)) == ""
        assert await raft.propose(b"still", timeout=30) == b"still:1"
        await raft.read_index()
        assert list(raft.get_peers().values()) == list(members.values())
        assert set(raft.state_machine().counts) == {"still"}


async def test_calls_of_a_client() -> None:
    async with two_nodes() as (leader, _):
        address = leader.get_peers()[leader.get_id()].address
        async with create_client(address) as client:
            assert "\n".join(await all_faults(client, CLIENT)) == ""
            assert await client.propose(b"still", timeout=30) == b"still:1"
        assert set(leader.state_machine().counts) == {"still"}


async def test_calls_of_a_reader(tmp_path: Path) -> None:
    LmdbStorage.create(tmp_path / "log").close()
    with LmdbStorage.open_readonly(tmp_path / "log") as reader:
        assert "\n".join(await all_faults(reader, LOG_READER)) == ""
        assert list(reader.entries()) == []


@pytest.mark.parametrize("name", MAKERS)
async def test_what_is_made_without_a_node(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rocksdb = pytest.importorskip("raftify.storage.rocksdb", reason="needs raftify[rocksdb]")
    known: dict[str, Callable[..., Any]] = {
        "create_client": create_client,
        "Peers": Peers,
        "Address.parse": Address.parse,
        "Config.load": Config.load,
        "LmdbStorage.create": LmdbStorage.create,
        "LmdbStorage.open_readonly": LmdbStorage.open_readonly,
        "RocksDbStorage.create": rocksdb.RocksDbStorage.create,
    }
    assert sorted(parameters(known[name])) == sorted(MAKERS[name])
    assert "\n".join(await faults_of(known[name], name, MAKERS[name])) == ""


WRONG: list[Any] = [None, "", "x", -1, 0, 10**400, float("nan"), b"\x00", [], {}, Anything(), True]


@pytest.mark.parametrize("kind", [Config, RaftConfig, TlsConfig])
def test_settings(kind: type) -> None:
    """A setting is taken or named in a ConfigError; nothing else comes of it."""
    for name in kind.__dataclass_fields__:  # type: ignore[attr-defined]
        refused = 0
        for value in WRONG:
            try:
                if kind is RaftConfig:
                    RaftConfig(**{"id": 1, name: value}).validate()
                elif kind is TlsConfig:
                    Config(tls=TlsConfig(**{name: value}))
                else:
                    Config(**{name: value})
            except ConfigError as error:
                # Without its files, a TlsConfig has faults enough to name.
                assert name in str(error) or kind is TlsConfig  # noqa: PT017 - some values are fine
                refused += 1
        assert refused >= len(WRONG) // 2, f"{name}: only {refused} were refused"
