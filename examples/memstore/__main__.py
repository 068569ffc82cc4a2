"""memstore with a cluster that grows: the first node founds it, others join at --peer-addr."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys

from examples.memstore.program import CannotStart, node_config, parse_arguments, run_program, serve
from examples.memstore.store import HashStore
from raftify import LmdbStorage, Raft
from raftify.errors import JoinRejected, PeerRefused, RaftifyError
from raftify.peers import Address, ClusterJoinTicket

logger = logging.getLogger("memstore")

FOUNDER_ID = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.memstore", description=__doc__)
    parser.add_argument(
        "--raft-addr", required=True, metavar="HOST:PORT", help="where other nodes reach this one"
    )
    parser.add_argument(
        "--peer-addr", metavar="HOST:PORT", help="any member of the cluster to join (default: found one)"
    )
    parser.add_argument(
        "--log-dir", metavar="DIR", help="where the log is kept (default: ./logs/HOST-PORT)"
    )
    parser.add_argument(
        "--join-timeout", type=float, default=60.0, metavar="SECONDS",
        help="how long to wait for the cluster to answer a joiner",
    )  # fmt: skip
    arguments = parse_arguments(parser)
    return run_program(run(arguments), verbose=arguments.verbose)


async def run(arguments: argparse.Namespace) -> None:
    config = node_config(arguments.tick)
    store = HashStore()
    try:
        raft_addr = Address.parse(arguments.raft_addr)
        log_dir = arguments.log_dir or f"./logs/{raft_addr.host.strip('[]')}-{raft_addr.port}"
        storage = LmdbStorage.create(log_dir, config, logger)
        ticket = await _ticket(arguments, storage)
        identity = storage.identity()
        if ticket is not None:
            node_id = ticket.reserved_id
        else:
            node_id = identity.node_id if identity is not None else FOUNDER_ID
        raft = Raft.bootstrap(node_id, raft_addr, storage, store, config, logger)
    except RaftifyError as error:
        raise CannotStart(f"{type(error).__name__}: {error}") from error
    print(f"node {int(node_id)} serves raft on {raft_addr}, its log is in {log_dir}", flush=True)

    async def join() -> None:
        if ticket is not None:
            await raft.join_cluster([ticket])

    await serve(raft, store, arguments.web_server, join)


async def _ticket(
    arguments: argparse.Namespace, storage: LmdbStorage
) -> ClusterJoinTicket | None:
    """Return leave to join, or None for a node that founds a cluster or is a member already.

    A joiner that was stopped between its first start and its joining asks again, and is given the
    id that it was given before.
    """
    identity = storage.identity()
    is_member = identity is not None and storage.membership().is_member(identity.node_id)
    if arguments.peer_addr is None or is_member:
        return None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + arguments.join_timeout
    delay = 0.1
    while True:
        try:
            return await Raft.request_id(arguments.raft_addr, arguments.peer_addr)
        except (JoinRejected, PeerRefused):
            raise
        except RaftifyError as error:
            # The peer may not have started yet, or its cluster may be without a leader just now.
            if loop.time() + delay > deadline:
                raise
            logger.info("no answer from %s yet: %s", arguments.peer_addr, error)
        await asyncio.sleep(delay * random.uniform(0.8, 1.2))
        delay = min(delay * 1.5, 2.0)


if __name__ == "__main__":
    sys.exit(main())
