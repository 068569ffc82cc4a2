"""memstore with a cluster that grows: the first node founds it, others join at --peer-addr."""

from __future__ import annotations

import argparse
import logging
import sys

from examples.joining import bootstrap
from examples.memstore.program import serve
from examples.memstore.store import HashStore
from examples.program import (
    add_joining_options,
    add_options,
    as_cannot_start,
    log_dir_of,
    run_program,
    started,
)
from raftify import Config
from raftify.errors import RaftifyError

logger = logging.getLogger("memstore")

LOG_PREFIX = "./logs/"


def main() -> int:
    """Return the exit code, see `examples.program`."""
    parser = argparse.ArgumentParser(prog="python -m examples.memstore", description=__doc__)
    add_joining_options(parser, log_prefix=LOG_PREFIX)
    parser.add_argument(
        "--web-server", metavar="HOST:PORT", help="where to answer HTTP (default: do not)"
    )
    add_options(parser)
    arguments = parser.parse_args()
    return run_program("memstore", run(arguments), verbose=arguments.verbose)


async def run(arguments: argparse.Namespace) -> None:
    try:
        log_dir = log_dir_of(arguments, log_prefix=LOG_PREFIX)
        raft, ticket = await bootstrap(
            arguments.raft_addr, arguments.peer_addr, log_dir, HashStore(),
            Config(tick_interval=arguments.tick), logger, timeout=arguments.join_timeout,
        )  # fmt: skip
    except RaftifyError as error:
        raise as_cannot_start(error) from error
    says = started(raft, arguments.raft_addr, log_dir)
    await serve(raft, ticket, arguments.web_server, started=says)


if __name__ == "__main__":
    sys.exit(main())
