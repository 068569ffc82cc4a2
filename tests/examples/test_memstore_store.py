"""The parts of memstore that need no cluster: the state machine, and its file of peers."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.children import TOP
from examples.memstore.static import load
from examples.memstore.store import HashStore, SetCommand
from raftify import InitialRole, Peer, Peers
from raftify.errors import ConfigError


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


EXAMPLE = TOP / "examples" / "memstore" / "cluster.example.toml"


def test_the_example_cluster_file_is_what_config_load_reads() -> None:
    config, address = load(EXAMPLE, 3)
    assert address == "127.0.0.1:60063"
    assert (config.cluster_id, config.tick_interval, config.log_dir) == ("memstore", 0.1, "./logs")
    assert config.initial_peers == Peers(
        [
            Peer(1, "127.0.0.1:60061", initial_role=InitialRole.LEADER),
            Peer(2, "127.0.0.1:60062"),
            Peer(3, "127.0.0.1:60063"),
        ]
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has no peer with node_id 3, only "),
        ("[[initial_peers]]\nnode_id = 1\naddress = 'a:1'", r"node_id 3, only \[1\]"),
        ("[[peers]]\nnode_id = 3\naddress = 'a:1'", "peers is no setting"),
        ("[[initial_peers]]\nnode_id = 3", "initial_peers: a peer .* has no address"),
        ("peers = [", r"cluster\.toml is no TOML"),
    ],
)
def test_a_wrong_cluster_file_is_named_with_what_is_wrong(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load(path, 3)
