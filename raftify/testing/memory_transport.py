"""A transport within one process: for tests of a whole cluster without a socket.

The network can be cut between any two nodes, one way or both. Messages travel in order and are
lost only where it is cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from raftify.core.types import Message, MessageType
from raftify.errors import AddressInUse, NodeStopped, PeerRefused, PeerUnreachable, RaftifyError
from raftify.peers import Peer
from raftify.testing.memory_remote import MemoryRemote
from raftify.transport.interface import (
    Handshake,
    PeerService,
    RemoteNode,
    Transport,
    check_origin,
)
from raftify.wire.codec import message_from_wire, message_to_wire

#: Pieces in which a snapshot's bytes are handed over.
CHUNK_BYTES = 1 << 16


class MemoryNetwork:
    """What connects MemoryTransports: who listens where, and which links are cut."""

    def __init__(self) -> None:
        self.listening: dict[str, MemoryTransport] = {}
        self._cut: set[tuple[str, str]] = set()

    def transport(self, address: str) -> MemoryTransport:
        """Return a new transport that will listen on `address`."""
        return MemoryTransport(address, self)

    def cut(self, source: str, target: str) -> None:
        """Lose everything that `source` sends to `target`, but not the other way."""
        self._cut.add((source, target))

    def isolate(self, address: str) -> None:
        """Cut `address` off from everybody, both ways."""
        for other in self.listening:
            if other != address:
                self._cut |= {(address, other), (other, address)}

    def heal(self) -> None:
        """Mend every link."""
        self._cut.clear()

    def reach(self, source: str, target: str) -> PeerService:
        """Return who listens at `target`.

        Raises:
            PeerUnreachable: nobody does, or the link is cut in either direction.
        """
        cut = {(source, target), (target, source)} & self._cut
        there = self.listening.get(target)
        if cut or there is None or there.service is None:
            raise PeerUnreachable(f"{target} cannot be reached from {source}")
        return there.service

    def is_cut(self, source: str, target: str) -> bool:
        return (source, target) in self._cut


class MemoryTransport(Transport):
    """One node's end of a MemoryNetwork."""

    def __init__(self, address: str, network: MemoryNetwork) -> None:
        self.address = address
        self.service: PeerService | None = None
        self._network = network
        self._handshake = Handshake("", 0, "", 0)
        self._peers: dict[int, str] = {}
        self._outboxes: dict[int, asyncio.Queue[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, handshake: Handshake, service: PeerService) -> None:
        if self.address in self._network.listening:
            raise AddressInUse(f"{self.address} is taken on this network")
        self._handshake, self.service = handshake, service
        self._network.listening[self.address] = self

    def update_peers(self, peers: Mapping[int, Peer]) -> None:
        own = self._handshake.from_id
        self._peers = {i: peer.address for i, peer in peers.items() if i != own}

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.to not in self._peers:
                self._report_loss(message)
                continue
            outbox = self._outboxes.get(message.to)
            if outbox is None:
                outbox = self._outboxes[message.to] = asyncio.Queue()
                self._keep(asyncio.create_task(self._deliver(message.to, outbox)))
            outbox.put_nowait(message)

    def connect(self, address: str, *, to_id: int = 0) -> RemoteNode:
        return MemoryRemote(lambda: self._reach(address))

    def _reach(self, address: str) -> PeerService:
        there = self._network.reach(self.address, address)
        if self.service is not None:
            check_origin(self.service.origin(), there.origin(), self._handshake.cluster_id)
        return there

    async def stop(self, *, grace: float) -> None:
        self._network.listening.pop(self.address, None)
        self.service = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, to: int, outbox: asyncio.Queue[Message]) -> None:
        while True:
            message = await outbox.get()
            service = self.service
            if service is None:
                return
            try:
                await self._hand_over(to, message)
            except PeerRefused as error:
                self._report_loss(message)
                service.report_refused(to, error)
                # What is refused at once may be answered at once, and nobody else had a turn.
                await asyncio.sleep(0)
            except RaftifyError:
                self._report_loss(message)
                service.report_unreachable(to)

    def _report_loss(self, message: Message) -> None:
        # Every snapshot is to be accounted for, or its follower would get no other.
        if message.msg_type is MessageType.SNAPSHOT and self.service is not None:
            self.service.report_snapshot(message.to, success=False)

    async def _hand_over(self, to: int, message: Message) -> None:
        address = self._peers.get(to)
        if address is None:
            raise PeerUnreachable(f"node {to} is no peer any more")
        if self._network.is_cut(self.address, address):
            raise PeerUnreachable(f"the link to {address} is cut")
        there = self._network.listening.get(address)
        if there is None or there.service is None:
            raise PeerUnreachable(f"nobody listens at {address}")
        hello = self._handshake
        ours = self.service.origin() if self.service is not None else ""
        there.service.greet(replace(hello, to_id=to, origin=ours))
        copied = message_from_wire(message_to_wire(message))
        if copied.msg_type is MessageType.SNAPSHOT:
            await self._send_snapshot(to, copied, there.service)
            return
        with suppress(NodeStopped):
            await there.service.receive([copied])

    async def _send_snapshot(self, to: int, message: Message, target: PeerService) -> None:
        assert message.snapshot is not None
        assert self.service is not None
        success = False
        try:
            await _copy(self.service, target, message)
            await target.receive([message])
            success = True
        except RaftifyError:
            success = False
        finally:
            if self.service is not None:
                self.service.report_snapshot(to, success=success)


async def _copy(source: PeerService, target: PeerService, message: Message) -> None:
    # On the loop, a piece at a time: a thread would take real time where time is virtual.
    assert message.snapshot is not None
    file = source.open_snapshot(message.snapshot)
    sink = target.create_snapshot_sink(message.snapshot)
    if file is None or sink is None:
        return
    try:
        with file:
            while data := file.read(CHUNK_BYTES):
                sink.write(data)
                await asyncio.sleep(0)
        sink.finish()
    finally:
        sink.abort()
