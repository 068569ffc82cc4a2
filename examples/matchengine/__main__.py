"""Run one node of a replicated matching engine: the first founds a cluster, others join it."""

from __future__ import annotations

import argparse
import sys

from examples.matchengine.program import Options, serve
from examples.program import add_joining_options, add_options, log_dir_of, run_program
from raftify import Config

LOG_PREFIX = "./logs/matchengine-"


def main() -> int:
    """Return the exit code, see `examples.program`."""
    parser = argparse.ArgumentParser(prog="python -m examples.matchengine", description=__doc__)
    add_joining_options(parser, log_prefix=LOG_PREFIX)
    parser.add_argument(
        "--http-addr", required=True, metavar="HOST:PORT", help="where to answer HTTP"
    )
    parser.add_argument(
        "--snapshot-entries", type=int, default=100_000, metavar="COUNT",
        help="take a snapshot after so many commands; 0: never",
    )  # fmt: skip
    add_options(parser)
    arguments = parser.parse_args()
    return run_program("matchengine", run(arguments), verbose=arguments.verbose)


async def run(arguments: argparse.Namespace) -> None:
    options = Options(
        raft_addr=arguments.raft_addr,
        http_addr=arguments.http_addr,
        peer_addr=arguments.peer_addr,
        log_dir=log_dir_of(arguments, log_prefix=LOG_PREFIX),
        join_timeout=arguments.join_timeout,
    )
    config = Config(
        tick_interval=arguments.tick,
        cluster_id="matchengine",
        snapshot_entries=arguments.snapshot_entries,
    )
    await serve(options, config)


if __name__ == "__main__":
    sys.exit(main())
