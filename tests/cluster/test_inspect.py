"""A look inside a node, with the program's own words for its entries."""

from __future__ import annotations

from pathlib import Path
from typing import Self, cast

import pytest

from raftify import AbstractLogEntry, create_client
from raftify.errors import ConfigError
from raftify.node.report import LAST_ENTRIES
from tests.cluster.local_cluster import LocalCluster


class Number(AbstractLogEntry):
    def __init__(self, value: int) -> None:
        self.value = value

    def encode(self) -> bytes:
        return str(self.value).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls(int(data))

    def __str__(self) -> str:
        return f"number {self.value}"


def last_entries(report: dict[str, object]) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", report["last_entries"])


async def test_inspect_shows_the_last_entries_as_the_program_shows_them(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        for number in range(LAST_ENTRIES):
            await node.raft.propose(Number(number).encode())
        await node.raft.propose(b"none")
        listed = last_entries(node.raft.inspect(decoder=Number))
        assert [item.get("entry") for item in listed] == [
            *(f"number {number}" for number in range(1, LAST_ENTRIES)),
            None,
        ]
        assert str(listed[-1]["decode_fault"]).startswith("ValueError: ")
        by_function = node.raft.inspect(decoder=lambda data: data.decode() + "!")
        assert last_entries(by_function)[-1]["entry"] == "none!"
        plain = last_entries(node.raft.inspect())
        assert plain[-1]["data_hex"] == b"none".hex()
        assert not any({"entry", "decode_fault"} & item.keys() for item in plain)
        with pytest.raises(ConfigError, match="no class and no function"):
            node.raft.inspect(decoder="Number")  # type: ignore[arg-type]
        async with create_client(node.address) as client:
            assert last_entries(await client.debug_node()) == plain
        await node.raft.quit()
        await node.task
        assert last_entries(node.raft.inspect()) == plain


async def test_a_large_entry_is_named_without_its_bytes(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        await node.raft.propose(bytes(5000))
        listed = last_entries(node.raft.inspect(decoder=Number))
        assert listed[-1]["size"] == 5000
        assert listed[-1].keys().isdisjoint({"data_hex", "entry", "decode_fault"})
