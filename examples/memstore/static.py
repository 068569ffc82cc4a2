"""memstore with a cluster whose members stand in a TOML file, the same file for every node."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from examples.memstore.program import serve
from examples.memstore.store import HashStore
from examples.program import add_options, as_cannot_start, run_program, started
from raftify import Config, LmdbStorage, Peers, Raft
from raftify.errors import ConfigError, RaftifyError

logger = logging.getLogger("memstore")


def main() -> int:
    """Return the exit code, see `examples.program`."""
    parser = argparse.ArgumentParser(prog="python -m examples.memstore.static", description=__doc__)
    parser.add_argument(
        "--config", required=True, type=Path, metavar="FILE", help="settings and peers, in TOML"
    )
    parser.add_argument(
        "--node-id", required=True, type=int, metavar="N", help="which of the peers this is"
    )
    parser.add_argument(
        "--log-dir", metavar="DIR",
        help="where the log is kept (default: node-N in the log_dir of the file)",
    )  # fmt: skip
    parser.add_argument(
        "--web-server", metavar="HOST:PORT", help="where to answer HTTP (default: do not)"
    )
    add_options(parser, tick=None)
    arguments = parser.parse_args()
    return run_program("memstore", run(arguments), verbose=arguments.verbose)


def load(path: Path, node_id: int) -> tuple[Config, str]:
    """Return the settings of the file (and of the environment), and the node's address in them.

    Raises:
        ConfigError: a setting is wrong, or none of the peers has this id.
    """
    config = Config.load(path)
    peers = config.initial_peers or Peers({})
    if node_id not in peers:
        raise ConfigError(f"{path} has no peer with node_id {node_id}, only {sorted(peers)}")
    return config, peers[node_id].address


async def run(arguments: argparse.Namespace) -> None:
    node_id = arguments.node_id
    try:
        config, raft_addr = load(arguments.config, node_id)
        if arguments.tick is not None:
            config = replace(config, tick_interval=arguments.tick)
        log_dir = arguments.log_dir or str(Path(config.log_dir) / f"node-{node_id}")
        storage = LmdbStorage.create(log_dir, config, logger)
        raft = Raft.bootstrap(node_id, raft_addr, storage, HashStore(), config, logger)
    except RaftifyError as error:
        raise as_cannot_start(error) from error
    await serve(raft, None, arguments.web_server, started=started(raft, raft_addr, log_dir))


if __name__ == "__main__":
    sys.exit(main())
