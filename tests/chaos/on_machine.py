"""What a node of the drills has in place of plain parts: a disk that stalls, detours to peers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from raftify.config import Config
from raftify.peers import Peer
from raftify.storage.base import WriteBatch
from raftify.storage.lmdb_storage import LmdbStorage
from raftify.transport.grpc_transport import GrpcTransport
from raftify.transport.interface import RemoteNode


class StallingStorage(LmdbStorage):
    """Writes to the log wait while `flowing` is not set, as on a disk that does not answer."""

    flowing: threading.Event

    @classmethod
    def open(cls, log_dir: str | Path, config: Config, logger: logging.Logger) -> StallingStorage:
        storage = cls.create(log_dir, config, logger)
        assert isinstance(storage, StallingStorage)
        storage.flowing = threading.Event()
        storage.flowing.set()
        return storage

    def write(self, batch: WriteBatch) -> None:
        self.flowing.wait()
        super().write(batch)


class RoutedTransport(GrpcTransport):
    """Calls each address at the place that `routes` names for it."""

    def __init__(
        self, address: str, config: Config, logger: logging.Logger, routes: Mapping[str, str]
    ) -> None:
        super().__init__(address, config, logger)
        self._routes = dict(routes)
        self._wanted: Mapping[int, Peer] = {}

    def set_routes(self, routes: Mapping[str, str]) -> None:
        """Machines came or went: go these ways from now on."""
        self._routes = dict(routes)
        self.update_peers(self._wanted)

    def update_peers(self, peers: Mapping[int, Peer]) -> None:
        self._wanted = peers
        super().update_peers(
            {i: replace(peer, address=self._way(peer.address)) for i, peer in peers.items()}
        )

    def connect(self, address: str, *, to_id: int = 0) -> RemoteNode:
        return super().connect(self._way(address), to_id=to_id)

    def _way(self, address: str) -> str:
        return self._routes.get(address, address)
