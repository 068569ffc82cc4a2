"""Run one node of the key-value store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from examples.kvstore.program import serve
from examples.program import add_options, run_program
from raftify import Config


def main() -> int:
    """Return the exit code, see `examples.program`."""
    arguments = _parser().parse_args()
    return run_program("kvstore", run(arguments), verbose=arguments.verbose)


async def run(arguments: argparse.Namespace) -> None:
    config = Config(
        tick_interval=arguments.tick,
        cluster_id=arguments.cluster_id,
        snapshot_entries=arguments.snapshot_entries,
    )
    directory = arguments.dir or Path("kvstore-data") / f"node-{arguments.id}"
    await serve(arguments.id, arguments.raft_addr, arguments.http_addr, directory, config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.kvstore", description=__doc__)
    parser.add_argument(
        "--id", type=int, required=True, metavar="N", help="from 1 upwards, for life"
    )
    parser.add_argument(
        "--raft-addr", required=True, metavar="HOST:PORT", help="where other nodes reach this one"
    )
    parser.add_argument(
        "--http-addr", required=True, metavar="HOST:PORT", help="where to answer HTTP"
    )
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="the log's place (default: kvstore-data/node-N)"
    )
    parser.add_argument("--cluster-id", default="kvstore", metavar="NAME")
    parser.add_argument(
        "--snapshot-entries", type=int, default=10_000, metavar="COUNT",
        help="take a snapshot after so many entries; 0: never",
    )  # fmt: skip
    add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
