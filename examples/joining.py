"""How a node of a growing cluster begins: it founds one, joins one, or goes on where it was."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

import raftify
from raftify import AbstractStateMachine, ClusterJoinTicket, Config, LmdbStorage, Raft

Machine = TypeVar("Machine", bound=AbstractStateMachine)

FOUNDER_ID = 1


async def bootstrap(
    raft_addr: str,
    peer_addr: str | None,
    log_dir: str,
    machine: Machine,
    config: Config,
    logger: logging.Logger,
    *,
    timeout: float = 20.0,
) -> tuple[Raft[Machine], ClusterJoinTicket | None]:
    """Return a node, and the ticket that it is to join its cluster with once it runs.

    With a `peer_addr` it asks for leave to join, see `request_ticket`, else it founds a cluster; a
    node that is a member already goes on from its log.
    """
    storage = LmdbStorage.create(log_dir, config, logger)
    ticket = await request_ticket(storage, raft_addr, peer_addr, config, timeout=timeout)
    node_id = node_id_for(storage, ticket)
    return Raft.bootstrap(node_id, raft_addr, storage, machine, config, logger), ticket


@asynccontextmanager
async def member(
    raft_addr: str,
    peer_addr: str | None,
    log_dir: str,
    machine: Machine,
    config: Config,
    logger: logging.Logger,
) -> AsyncIterator[Raft[Machine]]:
    """Run a node that is a member of its cluster; see `bootstrap`."""
    raft, ticket = await bootstrap(raft_addr, peer_addr, log_dir, machine, config, logger)
    async with raft:
        if ticket is not None:
            await raft.join_cluster([ticket])
        yield raft


async def request_ticket(
    storage: LmdbStorage,
    raft_addr: str,
    peer_addr: str | None,
    config: Config,
    *,
    timeout: float,
) -> ClusterJoinTicket | None:
    """Return leave to join, or None for a node that founds a cluster or is a member already.

    Asks for `timeout` seconds: the peer may not have started yet, or its cluster may be without a
    leader just now. A joiner that was stopped between its first start and its joining asks again,
    and is given the id that it was given before.

    Raises:
        NoLeader: nobody answered in time.
        JoinRejected: the cluster does not take this node.
    """
    identity = storage.identity()
    is_member = identity is not None and storage.membership().is_member(identity.node_id)
    if peer_addr is None or is_member:
        return None
    return await Raft.request_id(raft_addr, peer_addr, timeout=timeout, config=config)


def node_id_for(storage: LmdbStorage, ticket: ClusterJoinTicket | None) -> int:
    """Return the id to bootstrap with: the ticket's, the store's own, or the founder's."""
    if ticket is not None:
        return ticket.reserved_id
    identity = storage.identity()
    return identity.node_id if identity is not None else FOUNDER_ID


def run_node(
    run: Callable[[str, str | None, str], Coroutine[None, None, None]], *, description: str | None
) -> None:
    """Run `run(raft_addr, peer_addr, log_dir)` with what the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--raft-addr", required=True)
    parser.add_argument("--peer-addr")
    parser.add_argument("--log-dir", required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=raftify.new_event_loop) as runner:
        runner.run(run(arguments.raft_addr, arguments.peer_addr, arguments.log_dir))
