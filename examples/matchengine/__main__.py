"""Run one node of a replicated matching engine: the first founds a cluster, others join it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

import raftify
from examples.matchengine.program import CannotStart, Options, serve
from raftify import Config
from raftify.errors import AddressInUse, ConfigError, RaftifyError


def main() -> int:
    """Return the exit code: 0 after a signal, 1 if the node failed, 2 if it could not start."""
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    options = Options(
        raft_addr=arguments.raft_addr,
        http_addr=arguments.http_addr,
        peer_addr=arguments.peer_addr,
        log_dir=arguments.log_dir or f"./logs/matchengine-{arguments.raft_addr}".replace(":", "-"),
        join_timeout=arguments.join_timeout,
    )
    try:
        config = Config(
            tick_interval=arguments.tick,
            cluster_id="matchengine",
            snapshot_entries=arguments.snapshot_entries,
        )
        with asyncio.Runner(loop_factory=raftify.new_event_loop) as runner:
            runner.run(serve(options, config))
    except (CannotStart, AddressInUse, ConfigError) as error:
        print(f"matchengine: {error}", file=sys.stderr)
        return 2
    except RaftifyError as error:
        print(f"matchengine: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # before the node had begun to listen to signals
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.matchengine", description=__doc__)
    parser.add_argument(
        "--raft-addr", required=True, metavar="HOST:PORT", help="where other nodes reach this one"
    )
    parser.add_argument(
        "--http-addr", required=True, metavar="HOST:PORT", help="where to answer HTTP"
    )
    parser.add_argument(
        "--peer-addr", metavar="HOST:PORT",
        help="any member of the cluster to join (default: found one)",
    )  # fmt: skip
    parser.add_argument(
        "--log-dir", metavar="DIR",
        help="where log and snapshots are kept (default: ./logs/matchengine-HOST-PORT)",
    )  # fmt: skip
    parser.add_argument(
        "--snapshot-entries", type=int, default=100_000, metavar="COUNT",
        help="take a snapshot after so many commands; 0: never",
    )  # fmt: skip
    parser.add_argument(
        "--join-timeout", type=float, default=60.0, metavar="SECONDS",
        help="how long to wait for the cluster to answer a joiner",
    )  # fmt: skip
    parser.add_argument(
        "--tick", type=float, default=0.1, metavar="SECONDS", help="length of a tick"
    )
    parser.add_argument("--verbose", action="store_true", help="log what the node does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
