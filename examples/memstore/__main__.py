"""memstore with a cluster that grows: the first node founds it, others join at --peer-addr."""

from __future__ import annotations

import argparse
import logging
import sys

from examples.joining import node_id_for, request_ticket
from examples.memstore.program import CannotStart, node_config, parse_arguments, run_program, serve
from examples.memstore.store import HashStore
from raftify import LmdbStorage, Raft
from raftify.errors import RaftifyError
from raftify.peers import Address

logger = logging.getLogger("memstore")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.memstore", description=__doc__)
    parser.add_argument(
        "--raft-addr", required=True, metavar="HOST:PORT", help="where other nodes reach this one"
    )
    parser.add_argument(
        "--peer-addr",
        metavar="HOST:PORT",
        help="any member of the cluster to join (default: found one)",
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
        ticket = await request_ticket(
            storage, raft_addr, arguments.peer_addr, config, timeout=arguments.join_timeout
        )
        node_id = node_id_for(storage, ticket)
        raft = Raft.bootstrap(node_id, raft_addr, storage, store, config, logger)
    except RaftifyError as error:
        raise CannotStart(f"{type(error).__name__}: {error}") from error
    started = f"node {int(node_id)} serves raft on {raft_addr}, its log is in {log_dir}"

    async def join() -> None:
        if ticket is not None:
            await raft.join_cluster([ticket])

    await serve(raft, store, arguments.web_server, join, started=started)


if __name__ == "__main__":
    sys.exit(main())
