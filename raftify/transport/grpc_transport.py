"""GrpcTransport: the transport of real clusters."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import random
import socket
from collections.abc import Mapping, Sequence
from typing import Final

import grpc

from raftify.config import Config
from raftify.core.types import Message, MessageType
from raftify.errors import AddressInUse, ConfigError, NodeStopped
from raftify.peers import Peer
from raftify.transport.channel_options import server_options
from raftify.transport.credentials import server_credentials
from raftify.transport.expiry import ExpiryWatch
from raftify.transport.interface import Handshake, PeerService, RemoteNode, Transport
from raftify.transport.malformed import RefuseMalformed
from raftify.transport.peer_stream import PeerStream
from raftify.transport.remote_node import GrpcRemoteNode
from raftify.transport.servicer import RaftServicer
from raftify.transport.snapshot_sender import SnapshotSender
from raftify.transport.status import settle
from raftify.transport.stubs import register

#: Seconds for the last bytes of calls that have ended already.
_SERVER_GRACE: Final = 0.5
_LAST_PORT: Final = 65_535


class GrpcTransport(Transport):
    """One stream per peer, one channel of its own for each snapshot, one server for all.

    Belongs to the event loop that `start` runs in; nothing of gRPC exists before.

    Args:
        listen_address: where to listen, `host:port`; port 0 takes a free one, see `port`.
        config: sizes and times; see `Config`.
        logger: connections are noted at INFO, failures of snapshots at WARNING.
        source: jitter of reconnects; a fresh one if not given.
    """

    def __init__(
        self,
        listen_address: str,
        config: Config,
        logger: logging.Logger,
        *,
        source: random.Random | None = None,
    ) -> None:
        self._listen_address = listen_address
        self._config = config
        self._logger = logger
        self._source = source if source is not None else random.Random()
        self._server: grpc.aio.Server | None = None
        #: gRPC asks them for new certificates at each handshake, and keeps no reference.
        self._credentials: grpc.ServerCredentials | None = None
        self._serving: set[asyncio.Task[object]] = set()
        self._servicer: RaftServicer | None = None
        self._handshake: Handshake | None = None
        self._service: PeerService | None = None
        self._streams: dict[int, PeerStream] = {}
        self._snapshots: SnapshotSender | None = None
        self._remotes: set[GrpcRemoteNode] = set()
        self._retiring: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._expiry = ExpiryWatch(config.tls, logger) if config.tls is not None else None
        #: The port that is listened at; 0 before `start`.
        self.port = 0

    async def start(self, handshake: Handshake, service: PeerService) -> None:
        if self._server is not None or self._stopped:
            raise NodeStopped("a transport is started once; make a new one")
        _check_certificate(self._config, handshake.from_id)
        await _check_address(self._listen_address)
        self._handshake, self._service = handshake, service
        self._servicer = RaftServicer(handshake, service, self._config, self._logger)
        server = grpc.aio.server(
            interceptors=(RefuseMalformed(self._servicer.admit),),
            options=server_options(self._config),
        )
        register(self._servicer, server)
        try:
            self.port = self._bind(server)
        except RuntimeError as error:
            raise _in_use(self._listen_address) from error
        before = asyncio.all_tasks()
        await server.start()
        self._server = server
        # Others may have begun tasks meanwhile; gRPC's own are known by their coroutine's name.
        self._serving = {t for t in asyncio.all_tasks() - before if _is_of_a_server(t)}
        if self._expiry is not None:
            self._expiry.start()
        self._snapshots = SnapshotSender(
            handshake=handshake,
            config=self._config,
            service=service,
            source=self._source,
            logger=self._logger,
        )

    def _bind(self, server: grpc.aio.Server) -> int:
        if self._config.tls is None:
            return server.add_insecure_port(self._listen_address)
        self._credentials = server_credentials(self._config.tls)
        return server.add_secure_port(self._listen_address, self._credentials)

    def update_peers(self, peers: Mapping[int, Peer]) -> None:
        handshake, service, snapshots = self._handshake, self._service, self._snapshots
        if self._stopped or handshake is None or service is None or snapshots is None:
            return
        wanted = {i: p.address for i, p in peers.items() if i != handshake.from_id and p.address}
        for node_id, stream in list(self._streams.items()):
            if wanted.get(node_id) != stream.address:
                del self._streams[node_id]
                self._retire(stream)
        for node_id, address in wanted.items():
            if node_id not in self._streams:
                self._streams[node_id] = PeerStream(
                    peer_id=node_id,
                    address=address,
                    handshake=handshake,
                    config=self._config,
                    service=service,
                    source=self._source,
                    logger=self._logger,
                )
        snapshots.update_addresses(wanted)

    def send(self, messages: Sequence[Message]) -> None:
        streams = self._streams
        for message in messages:
            if message.msg_type is MessageType.SNAPSHOT:
                if self._snapshots is not None and not self._stopped:
                    self._snapshots.offer(message)
                continue
            stream = streams.get(message.to)
            if stream is not None:
                stream.send(message)

    def connect(self, address: str, *, to_id: int = 0) -> RemoteNode:
        cluster_id = self._handshake.cluster_id if self._handshake is not None else ""
        remote = GrpcRemoteNode(
            address,
            self._config,
            cluster_id=cluster_id,
            to_id=to_id,
            origin=self._service.origin() if self._service is not None else "",
            caller=self._handshake,
            on_closed=self._remotes.discard,
        )
        self._remotes.add(remote)
        return remote

    async def stop(self, *, grace: float) -> None:
        self._stopped = True
        if self._expiry is not None:
            self._expiry.stop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        streams, self._streams = list(self._streams.values()), {}
        closing = [stream.close(grace=grace) for stream in streams]
        if self._snapshots is not None:
            closing.append(self._snapshots.close())
        closing += [remote.close() for remote in list(self._remotes)]
        await asyncio.gather(*closing)
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=max(deadline - loop.time(), 0))
            await settle(*self._retiring)
        if self._servicer is not None:
            await self._servicer.close(grace=max(deadline - loop.time(), 0))
        if self._server is not None:
            server, self._server = self._server, None
            if any(task.cancelled() for task in self._serving):
                _leave_alone(server, self._credentials)
                return
            # Nothing is under way any more; without a grace gRPC reports even that as an error.
            await server.stop(_SERVER_GRACE)

    def _retire(self, stream: PeerStream) -> None:
        closing = asyncio.get_running_loop().create_task(
            stream.close(grace=self._config.request_timeout), name="raftify-retire-peer"
        )
        self._retiring.add(closing)
        closing.add_done_callback(self._retiring.discard)


def connect(address: str, config: Config, *, cluster_id: str = "", to_id: int = 0) -> RemoteNode:
    """Return the node at `address`, to talk to from outside any node.

    It connects on first use. Given `cluster_id` or `to_id`, a node of another cluster or another
    node refuses every call with PeerRefused. `await remote.close()` at the end.
    """
    return GrpcRemoteNode(address, config, cluster_id=cluster_id, to_id=to_id)


def _leave_alone(*kept: object) -> None:
    """Keep a server whose own tasks were cancelled as it is, until the process ends.

    `asyncio.run` cancels all tasks when the program returns or fails. Stopping such a server then
    crashes CPython 3.11 (grpc.aio's tasks are Cython coroutines, and throwing into one that ended
    reads freed memory); freeing it makes gRPC complain of the closed event loop. So one reference
    is never given back.
    """
    for one in kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def _is_of_a_server(task: asyncio.Task[object]) -> bool:
    name: str = getattr(task.get_coro(), "__qualname__", "")
    return name == "AioServer._server_main_loop"


def _check_certificate(config: Config, node_id: int) -> None:
    """Raise ConfigError if the settings of TLS do not serve a node, or not that one."""
    if config.tls is None:
        return
    # Again, because files may have changed since the Config was made.
    faults = config.tls.faults() or config.tls.faults_for(node_id)
    if faults:
        raise ConfigError("; ".join(f"tls: {fault}" for fault in faults))


async def _check_address(address: str) -> None:
    """Bind `address` for a moment, because gRPC does not say why it could not.

    Raises:
        AddressInUse: another socket listens there.
        ConfigError: it is no address of this machine, or not allowed.
    """
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= _LAST_PORT):
        # The resolver takes any number, and the kernel its last 16 bits.
        raise ConfigError(
            f"cannot listen at {address}: give host:port with a port from 1 to {_LAST_PORT}, or 0 "
            "for a free one"
        )
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot listen at {address}: {error}") from error
    refused: OSError | None = None
    bound = False
    for family, kind, protocol, _, where in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
                bound = True
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise _in_use(address) from error
            refused = error
    # A name may have several addresses, and gRPC is content with those that work.
    if not bound:
        raise ConfigError(f"cannot listen at {address}: {refused}") from refused


def _in_use(address: str) -> AddressInUse:
    return AddressInUse(
        f"cannot listen at {address}: another program, or another node of this one, does already; "
        "end it or take another port"
    )
