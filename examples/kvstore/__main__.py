"""Run one node of the key-value store."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

import raftify
from examples.kvstore.program import CannotStart, serve
from raftify import Config
from raftify.errors import AddressInUse, ConfigError, RaftifyError


def main() -> int:
    """Return the exit code: 0 after a signal, 1 if the node failed, 2 if it could not start."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    directory = arguments.dir or Path("kvstore-data") / f"node-{arguments.id}"
    try:
        config = Config(
            tick_interval=arguments.tick,
            cluster_id=arguments.cluster_id,
            snapshot_entries=arguments.snapshot_entries,
        )
        with asyncio.Runner(loop_factory=raftify.new_event_loop) as runner:
            runner.run(
                serve(arguments.id, arguments.raft_addr, arguments.http_addr, directory, config)
            )
    except (CannotStart, AddressInUse, ConfigError) as error:
        print(f"kvstore: {error}", file=sys.stderr)
        return 2
    except RaftifyError as error:
        print(f"kvstore: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # before the node had begun to listen to signals
    return 0


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
    parser.add_argument(
        "--tick", type=float, default=0.1, metavar="SECONDS", help="length of a tick"
    )
    parser.add_argument("--verbose", action="store_true", help="log what the node does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
