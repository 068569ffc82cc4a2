"""The parts of memstore that need no cluster: the state machine, and what an error looks like."""

from __future__ import annotations

import inspect
from http import HTTPStatus
from pathlib import Path

import pytest

from examples.memstore.static import read_cluster
from examples.memstore.store import HashStore, SetCommand
from examples.memstore.web import status_of
from raftify import InitialRole, errors
from raftify.errors import ConfigError, RaftifyError, Rejected


@pytest.mark.parametrize(
    "command",
    [SetCommand("", b""), SetCommand("k", b"v"), SetCommand("ключ/\0", bytes(range(256)))],
    ids=["empty", "plain", "odd"],
)
def test_a_command_survives_encoding(command: SetCommand) -> None:
    assert SetCommand.decode(command.encode()) == command


async def test_apply_stores_and_returns_the_value() -> None:
    store = HashStore()
    assert await store.apply(SetCommand("k", b"old").encode()) == b"old"
    assert await store.apply(SetCommand("k", b"new").encode()) == b"new"
    assert store.get("k") == b"new"


@pytest.mark.parametrize("data", [b"", b"abc", b"\0\0\0\x09k", b"\0\0\0\x01\xff"])
async def test_bytes_that_are_no_command_change_nothing_and_stop_no_node(data: bytes) -> None:
    store = HashStore({"k": b"v"})
    assert (await store.apply(data)).startswith(b"not a command")
    assert store.encode() == HashStore({"k": b"v"}).encode()


def test_a_snapshot_replaces_the_whole_store() -> None:
    store = HashStore({"stale": b"1"})
    store.restore(HashStore({"a": b"", "b": b"\0\xff"}).snapshot())
    assert store.get("stale") is None
    assert (store.get("a"), store.get("b")) == (b"", b"\0\xff")
    assert HashStore.decode(store.encode()).get("b") == b"\0\xff"


def make(kind: type[RaftifyError]) -> RaftifyError:
    return kind("why")


ALL_ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, RaftifyError)
]


@pytest.mark.parametrize("kind", ALL_ERRORS, ids=lambda kind: kind.__name__)
def test_a_status_says_whether_something_may_have_happened(kind: type[RaftifyError]) -> None:
    """504 and nothing else stands for an unknown outcome; a refusal never looks like a failure."""
    status = status_of(make(kind))
    assert (status is HTTPStatus.GATEWAY_TIMEOUT) == issubclass(kind, errors.OutcomeUnknown)
    if issubclass(kind, Rejected):
        assert status in {
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        }


def test_too_large_and_no_leader_have_the_statuses_that_clients_know() -> None:
    assert status_of(errors.ProposalTooLarge("")) is HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert status_of(errors.NoLeader("")) is HTTPStatus.SERVICE_UNAVAILABLE
    assert status_of(errors.ConfigError("")) is HTTPStatus.BAD_REQUEST


def test_the_example_cluster_file_can_be_read() -> None:
    path = Path(__file__).resolve().parents[2] / "examples" / "memstore" / "cluster.example.toml"
    cluster = read_cluster(path)
    assert list(cluster.peers) == [1, 2, 3]
    assert cluster.peers[1].initial_role is InitialRole.LEADER
    assert cluster.peers[3].address == "127.0.0.1:60063"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "lists no peers"),
        ("peers = 3", "lists no peers"),
        ("peers = [3]", "peer 1: write it as"),
        ("[[peers]]\nnode_id = 1", "needs node_id"),
        ("[[peers]]\nnode_id = 1\nraft_addr = 'a:1'\ninitial_role = 'king'", "initial_role is one"),
        ("[[peers]]\nnode_id = 1\nraft_addr = 'a:1'\nraft_adr = 'b:1'", "unknown .'raft_adr'"),
        ("[[peers]]\nnode_id = 1\nraft_addr = 'nowhere'", "cannot read the address"),
        ("peers = [", "cannot read the cluster file"),
    ],
)
def test_a_wrong_cluster_file_is_named_with_what_is_wrong(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        read_cluster(path)


def test_a_missing_cluster_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the cluster file .*none\.toml"):
        read_cluster(tmp_path / "none.toml")
