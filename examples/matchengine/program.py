"""Running a node and its HTTP face on one event loop, until a signal comes or the node ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn

from examples.joining import node_id_for, request_ticket
from examples.matchengine.machine import MatchMachine
from examples.matchengine.web import MatchApi
from raftify import Address, ClusterJoinTicket, Config, LmdbStorage, Raft
from raftify.errors import RaftifyError

logger = logging.getLogger("matchengine")

#: How long requests under way may take to end once the program is told to, in seconds.
GRACE_SECONDS = 5


class CannotStart(Exception):
    """The program ends with code 2 and this message."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. Addresses are "host:port"."""

    raft_addr: str
    http_addr: str
    #: A member to join; None founds a cluster, or goes on in the one that the log is of.
    peer_addr: str | None
    log_dir: str
    #: How long to wait for the cluster to answer a joiner, in seconds.
    join_timeout: float


class _Server(uvicorn.Server):
    """Leaves the signals to `serve`: the node ends after the last answer, not before."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(options: Options, config: Config) -> None:
    """Run one node until it is told to end.

    Raises:
        CannotStart: a port is taken, the cluster cannot be joined, or an option is wrong.
        RaftifyError: the node failed while it ran.
    """
    stop = _stop_on_signals()
    # Before the node becomes a member: a member that then cannot start is a dead voter.
    listening = _listen(options.http_addr)
    try:
        machine = MatchMachine()
        raft, ticket = await _bootstrap(options, machine, config)
        async with raft:
            await _join(raft, ticket)
            await _answer_until_told(raft, MatchApi(raft, machine), listening, stop)
    finally:
        listening.close()


async def _bootstrap(
    options: Options, machine: MatchMachine, config: Config
) -> tuple[Raft, ClusterJoinTicket | None]:
    try:
        raft_addr = Address.parse(options.raft_addr)
        storage = LmdbStorage.create(options.log_dir, config, logger)
        ticket = await request_ticket(
            storage, raft_addr, options.peer_addr, config, timeout=options.join_timeout
        )
        node_id = node_id_for(storage, ticket)
        raft = Raft.bootstrap(node_id, raft_addr, storage, machine, config, logger)
    except RaftifyError as error:
        raise CannotStart(f"{type(error).__name__}: {error}") from error
    print(f"node {int(node_id)} serves raft on {raft_addr}, its log is in {options.log_dir}")
    return raft, ticket


async def _join(raft: Raft, ticket: ClusterJoinTicket | None) -> None:
    if ticket is None:
        return
    try:
        await raft.join_cluster([ticket])
    except RaftifyError as error:
        raise CannotStart(f"{type(error).__name__}: {error}") from error


async def _answer_until_told(
    raft: Raft, api: MatchApi, listening: socket.socket, stop: asyncio.Event
) -> None:
    server = _Server(
        uvicorn.Config(
            api.application(), log_config=None, access_log=False, lifespan="off", ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )  # fmt: skip
    answering = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    stopped = asyncio.create_task(stop.wait(), name="signal")
    ended = asyncio.create_task(_ended(raft), name="node")
    host, port = listening.getsockname()[:2]
    print(f"node {raft.get_id()} answers HTTP on http://{host}:{port}", flush=True)
    try:
        await asyncio.wait({answering, stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Answers that are being waited for still need the node.
        server.should_exit = True
        stopped.cancel()
        ended.cancel()
        await answering


async def _ended(raft: Raft) -> None:
    async for _ in raft.watch():
        pass


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _listen(http_addr: str) -> socket.socket:
    try:
        address = Address.parse(http_addr)
        family = socket.AF_INET6 if address.host.startswith("[") else socket.AF_INET
        return socket.create_server((address.host.strip("[]"), address.port), family=family)
    except RaftifyError as error:
        raise CannotStart(f"--http-addr: {error}") from error
    except OSError as error:
        raise CannotStart(f"cannot answer HTTP on {http_addr}: {error.strerror}") from error
