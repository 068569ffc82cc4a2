"""A Raft message that comes outside any stream is believed of members only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from raftify.config import Config
from raftify.core.types import Message, MessageType
from raftify.errors import NodeRemoved, PeerRefused
from raftify.raft import Raft
from raftify.state_machine import AbstractStateMachine
from raftify.storage import MemStorage
from raftify.transport import connect
from raftify.transport.interface import RemoteNode
from tests.ports import free_port

PATIENCE = 20.0


class Nothing(AbstractStateMachine):
    def apply(self, data: bytes) -> bytes:
        return data

    def snapshot(self) -> bytes:
        return b""

    def restore(self, data: bytes) -> None:
        """There is nothing to restore."""

    def encode(self) -> bytes:
        return b""

    @classmethod
    def decode(cls, data: bytes) -> Nothing:
        return cls()


@pytest.fixture
async def leader() -> AsyncIterator[tuple[Raft, RemoteNode]]:
    """Run a cluster of one, and what speaks to it from outside."""
    address = f"127.0.0.1:{free_port()}"
    config = Config(cluster_id="mine")
    raft = Raft.bootstrap(
        1, address, MemStorage.create(), Nothing(), config, logging.getLogger("tests.node")
    )
    running = asyncio.create_task(raft.run())
    await raft.propose(b"x", timeout=PATIENCE)
    remote = connect(address, Config())
    yield raft, remote
    await remote.close()
    await raft.quit()
    await running


def heartbeat(*, from_: int, to: int = 1) -> Message:
    return Message(MessageType.HEARTBEAT, to=to, from_=from_, term=1000)


@pytest.mark.parametrize(("from_", "to"), [(77, 42), (77, 1), (1, 42)])
async def test_no_stranger_deposes_a_leader(
    leader: tuple[Raft, RemoteNode], from_: int, to: int
) -> None:
    """Only servers of the cluster take part in it (paper, section 6)."""
    raft, remote = leader
    with pytest.raises(PeerRefused):
        await remote.send_message(heartbeat(from_=from_, to=to), timeout=PATIENCE)
    # Behind whatever had got into the inbox.
    await raft.propose(b"y", timeout=PATIENCE)
    assert raft.is_leader()


async def test_a_removed_node_is_told_so(leader: tuple[Raft, RemoteNode]) -> None:
    """Section 4.2.3 of the thesis: who was removed must not disrupt those who stay."""
    raft, remote = leader
    membership = raft._node.state.membership
    raft._node.state.durable_membership = type(membership)(
        index=membership.index,
        conf_state=membership.conf_state,
        peers=dict(membership.peers),
        max_id=5,
    )
    with pytest.raises(NodeRemoved):
        await remote.send_message(heartbeat(from_=5), timeout=PATIENCE)
    assert raft.is_leader()
