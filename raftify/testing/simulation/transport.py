"""The transport of a simulated node: messages as gRPC's streams carry them, over a bad network.

Batches are packed, sealed and checked by `raftify.wire.framing`, and refused as the gRPC server
refuses them: what arrives damaged ends the stream, which then begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from raftify.config import Config
from raftify.core.types import Message, MessageType
from raftify.peers import Peer
from raftify.testing.simulation.exchange import Host, Port
from raftify.testing.simulation.network import SimulatedNetwork
from raftify.testing.simulation.outlet import Outlet
from raftify.testing.simulation.remote import CallServer, SimulatedRemote
from raftify.testing.simulation.snapshots import SnapshotCourier, SnapshotInlet
from raftify.transport.interface import Handshake, PeerService, RemoteNode, Transport


class SimulatedTransport(Transport):
    """One node's end of a SimulatedNetwork; belongs to the process that makes it.

    `on_send` is told each message when it leaves the node, before the network touches it.
    """

    def __init__(
        self,
        network: SimulatedNetwork,
        host: Host,
        address: str,
        config: Config,
        random: Random,
        on_send: Callable[[Message], None],
    ) -> None:
        self.address = address
        self.host = host
        self.network = network
        self.config = config
        self.random = random
        self.handshake = Handshake("", 0, "", 0)
        self.calls: CallServer
        self.snapshot_inlet: SnapshotInlet
        self._on_send = on_send
        self._service: PeerService | None = None
        self._port: Port | None = None
        self._outlets: dict[int, Outlet] = {}
        self._snapshots: SnapshotCourier | None = None

    @property
    def service(self) -> PeerService:
        """Return the node; the transport must have been started."""
        assert self._service is not None
        return self._service

    async def start(self, handshake: Handshake, service: PeerService) -> None:
        self.handshake, self._service = handshake, service
        self.calls = CallServer(handshake, service, self.config)
        self.snapshot_inlet = SnapshotInlet(service, handshake.from_id)
        self._snapshots = SnapshotCourier(self)
        self._port = self.network.listen(self.address, self.host, self)

    def update_peers(self, peers: Mapping[int, Peer]) -> None:
        own = self.handshake.from_id
        wanted = {i: p.address for i, p in peers.items() if i != own and p.address}
        for node_id, outlet in list(self._outlets.items()):
            if wanted.get(node_id) != outlet.address:
                outlet.close()
                del self._outlets[node_id]
        for node_id, address in wanted.items():
            if node_id not in self._outlets:
                self._outlets[node_id] = Outlet(self, node_id, address)
        if self._snapshots is not None:
            self._snapshots.update_addresses(wanted)

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._on_send(message)
            if message.msg_type is MessageType.SNAPSHOT:
                if self._snapshots is not None:
                    self._snapshots.offer(message)
                continue
            outlet = self._outlets.get(message.to)
            if outlet is not None:
                outlet.put(message)

    def connect(self, address: str, *, to_id: int = 0) -> RemoteNode:
        return SimulatedRemote(
            self.network,
            self.host,
            address,
            cluster_id=self.handshake.cluster_id,
            to_id=to_id,
            origin=self._service.origin() if self._service is not None else "",
        )

    async def stop(self, *, grace: float) -> None:
        for outlet in self._outlets.values():
            outlet.close()
        self._outlets.clear()
        if self._snapshots is not None:
            await self._snapshots.close()
        if self._service is not None:
            await self.calls.close()
        if self._port is not None:
            self.network.close(self._port)
