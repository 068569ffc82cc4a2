"""A snapshot that its disk has lost since: the node makes another, and followers get that one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from raftify.config import Config
from raftify.peers import InitialRole, Peer, Peers
from raftify.raft import Raft
from raftify.state_machine import AbstractStateMachine
from raftify.storage import LmdbStorage
from tests.ports import free_port

PATIENCE = 40.0
LOGGER = logging.getLogger("tests.damaged")


class Lines(AbstractStateMachine):
    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def apply(self, data: bytes) -> bytes:
        self.lines.append(data)
        return b""

    def snapshot(self) -> bytes:
        return b"\n".join(self.lines)

    def restore(self, data: bytes) -> None:
        self.lines = data.split(b"\n")

    def encode(self) -> bytes:
        return b""

    @classmethod
    def decode(cls, data: bytes) -> Lines:
        return cls()


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@asynccontextmanager
async def running(raft: Raft) -> AsyncIterator[None]:
    task = asyncio.create_task(raft.run())
    try:
        yield
    finally:
        await raft.quit()
        await task


@pytest.mark.parametrize("damage", [flip_a_bit, Path.unlink])
async def test_a_leader_replaces_it_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    """Section 7 of the paper: who is too far behind has no other way to catch up."""
    addresses = {i: f"127.0.0.1:{free_port()}" for i in (1, 2, 3)}
    peers = Peers(
        [
            Peer(i, a, initial_role=InitialRole.LEADER if i == 1 else InitialRole.VOTER)
            for i, a in addresses.items()
        ]
    )
    config = Config(
        cluster_id="damaged", initial_peers=peers, tick_interval=0.05,
        snapshot_keep_entries=0, lmdb_map_size=64 << 20,
    )  # fmt: skip
    machines = {i: Lines() for i in addresses}

    def node(i: int) -> Raft:
        storage = LmdbStorage.create(tmp_path / str(i), config, LOGGER)
        return Raft.bootstrap(i, addresses[i], storage, machines[i], config, LOGGER)

    one, two = node(1), node(2)
    async with running(one), running(two):
        for i in range(20):
            await one.propose(b"line %d" % i, timeout=PATIENCE)
        leader = one if one.is_leader() else two
        await leader.make_snapshot()
        [file] = (tmp_path / str(leader.get_id()) / "snapshots").glob("*.snapshot")
        damage(file)
        three = node(3)
        async with running(three):
            state = three._node.state
            await state.wait_until(
                lambda: len(machines[3].lines) >= 20, timeout=PATIENCE, what="the snapshot"
            )
    assert machines[3].lines == machines[1].lines
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "takes another; check the disk" in errors[0]
