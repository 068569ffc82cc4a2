"""How messages travel between nodes. `interface` is the contract, the rest is gRPC."""

from __future__ import annotations

from raftify.config import Config
from raftify.transport.interface import RemoteNode


def connect(address: str, config: Config, *, cluster_id: str = "", to_id: int = 0) -> RemoteNode:
    """Return the node at `address`, over gRPC; see `raftify.transport.grpc_transport.connect`."""
    # Here, so that a simulator that imports the interface does not load gRPC.
    from raftify.transport import grpc_transport  # noqa: PLC0415 - see above

    return grpc_transport.connect(address, config, cluster_id=cluster_id, to_id=to_id)
