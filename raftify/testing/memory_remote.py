"""A node elsewhere that is in this very process: every call reaches its service directly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from raftify.core.types import ConfChangeV2, Message
from raftify.errors import RaftifyError
from raftify.peers import ClusterJoinTicket, ClusterView, Membership, Peer, Peers
from raftify.transport.interface import PeerService


class MemoryRemote:
    """Implements RemoteNode. `reach` returns the service, or raises PeerUnreachable."""

    def __init__(self, reach: Callable[[], PeerService]) -> None:
        self._reach = reach

    def propose(self, data: bytes, *, timeout: float) -> asyncio.Future[bytes]:
        try:
            return self._reach().propose(data, timeout=timeout)
        except RaftifyError as error:
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            future.set_exception(error)
            return future

    async def query(self, data: bytes, *, timeout: float, stale: bool = False) -> bytes:
        return await self._reach().query(data, timeout=timeout, stale=stale)

    async def change_config(
        self, change: ConfChangeV2, *, timeout: float, force: bool = False
    ) -> Membership:
        return await self._reach().change_config(change, timeout=timeout, force=force)

    async def await_caught_up(self, node_id: int, *, timeout: float) -> int:
        return await self._reach().await_caught_up(node_id, timeout=timeout)

    async def initialize(self, peers: Peers, *, timeout: float) -> Membership:
        return await self._reach().initialize(peers, timeout=timeout)

    async def leave_joint(self, *, timeout: float) -> Membership:
        return await self._reach().leave_joint(timeout=timeout)

    async def read_index(self, *, timeout: float) -> int:
        return await self._reach().read_index(timeout=timeout)

    async def request_id(
        self, raft_addr: str, identity: str, *, timeout: float
    ) -> ClusterJoinTicket:
        return await self._reach().request_id(raft_addr, identity, timeout=timeout)

    async def get_peers(self, *, timeout: float) -> ClusterView:
        return await self._reach().get_peers(timeout=timeout)

    async def set_peers(self, peers: Sequence[Peer], *, timeout: float) -> None:
        await self._reach().set_peers(peers, timeout=timeout)

    async def transfer_leader(self, to: int, *, timeout: float) -> int:
        return await self._reach().transfer_leader(to, timeout=timeout)

    async def create_snapshot(self, *, timeout: float) -> int:
        return await self._reach().create_snapshot(timeout=timeout)

    async def debug_node(self, *, timeout: float) -> str:
        return await self._reach().debug_node(timeout=timeout)

    async def read_state(self, *, timeout: float) -> bytes:
        return await self._reach().read_state(timeout=timeout)

    async def send_message(self, message: Message, *, timeout: float) -> None:
        await self._reach().send_message(message, timeout=timeout)

    async def close(self) -> None:
        """Nothing is held."""
