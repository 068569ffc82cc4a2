"""Running a node and its HTTP face on one event loop, until a signal comes or the node ends."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from examples.asgi import answer_until_told
from examples.joining import bootstrap
from examples.matchengine.machine import MatchMachine
from examples.matchengine.stream import TradeStreams
from examples.matchengine.web import MatchApi
from examples.program import as_cannot_start, listen, started, stop_on_signals
from raftify import ClusterJoinTicket, Config, Raft
from raftify.errors import RaftifyError

logger = logging.getLogger("matchengine")


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


async def serve(options: Options, config: Config) -> None:
    """Run one node until it is told to end.

    Raises:
        CannotStart: a port is taken, the cluster cannot be joined, or an option is wrong.
        RaftifyError: the node failed while it ran.
    """
    stop = stop_on_signals()
    # Before the node becomes a member: a member that then cannot start is a dead voter.
    listening = listen("--http-addr", options.http_addr)
    try:
        raft, ticket = await _bootstrap(options, config)
        async with raft:
            print(started(raft, options.raft_addr, options.log_dir), flush=True)
            await _join(raft, ticket)
            async with TradeStreams(raft) as streams:
                application = MatchApi(raft, streams).application()
                await answer_until_told(raft, application, listening, stop, at_end=streams.end)
    finally:
        listening.close()


async def _bootstrap(
    options: Options, config: Config
) -> tuple[Raft[MatchMachine], ClusterJoinTicket | None]:
    try:
        return await bootstrap(
            options.raft_addr, options.peer_addr, options.log_dir, MatchMachine(), config, logger,
            timeout=options.join_timeout,
        )  # fmt: skip
    except RaftifyError as error:
        raise as_cannot_start(error) from error


async def _join(raft: Raft, ticket: ClusterJoinTicket | None) -> None:
    if ticket is None:
        return
    try:
        await raft.join_cluster([ticket])
    except RaftifyError as error:
        raise as_cannot_start(error) from error
