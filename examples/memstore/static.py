"""memstore with a cluster whose members stand in a TOML file, the same file for every node."""

from __future__ import annotations

import argparse
import logging
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from examples.memstore.program import CannotStart, node_config, parse_arguments, run_program, serve
from examples.memstore.store import HashStore
from raftify import InitialRole, LmdbStorage, Peer, Peers, Raft
from raftify.errors import ConfigError, RaftifyError

logger = logging.getLogger("memstore")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the TOML file says."""

    cluster_id: str
    peers: Peers


def read_cluster(path: Path) -> Cluster:
    """Read a file of peers; see cluster.example.toml.

    Raises:
        ConfigError: it cannot be read, or something in it is missing, unknown or wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the cluster file {path}: {error}") from error
    _check_keys(content, allowed={"cluster_id", "peers"}, where=str(path))
    tables = content.get("peers")
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"{path} lists no peers; write one [[peers]] table for each node")
    return Cluster(
        cluster_id=content.get("cluster_id", "memstore"),
        peers=Peers([_peer(table, f"{path}, peer {n}") for n, table in enumerate(tables, start=1)]),
    )


def _peer(table: object, where: str) -> Peer:
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: write it as a [[peers]] table")
    _check_keys(table, allowed={"node_id", "raft_addr", "initial_role"}, where=where)
    node_id, address = table.get("node_id"), table.get("raft_addr")
    role = table.get("initial_role", "voter")
    if not isinstance(node_id, int) or not isinstance(address, str):
        raise ConfigError(f"{where}: needs node_id, a number, and raft_addr, a text")
    if role not in list(InitialRole):
        raise ConfigError(f"{where}: initial_role is one of {[str(r) for r in InitialRole]}")
    return Peer(node_id, address, initial_role=InitialRole(str(role)))


def _check_keys(table: dict[str, object], *, allowed: set[str], where: str) -> None:
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise ConfigError(f"{where}: unknown {unknown}; known are {sorted(allowed)}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.memstore.static", description=__doc__)
    parser.add_argument("--cluster", required=True, type=Path, metavar="FILE", help="the TOML file")
    parser.add_argument(
        "--node-id", required=True, type=int, metavar="N", help="which peer this is"
    )
    parser.add_argument(
        "--log-dir", metavar="DIR", help="where the log is kept (default: ./logs/node-N)"
    )
    arguments = parse_arguments(parser)
    return run_program(run(arguments), verbose=arguments.verbose)


async def run(arguments: argparse.Namespace) -> None:
    store = HashStore()
    log_dir = arguments.log_dir or f"./logs/node-{arguments.node_id}"
    try:
        cluster = read_cluster(arguments.cluster)
        if arguments.node_id not in cluster.peers:
            raise ConfigError(
                f"{arguments.cluster} lists no peer with node_id {arguments.node_id}, "
                f"only {list(cluster.peers)}"
            )
        config = node_config(
            arguments.tick, cluster_id=cluster.cluster_id, initial_peers=cluster.peers
        )
        raft_addr = cluster.peers[arguments.node_id].address
        storage = LmdbStorage.create(log_dir, config, logger)
        raft = Raft.bootstrap(arguments.node_id, raft_addr, storage, store, config, logger)
    except RaftifyError as error:
        raise CannotStart(f"{type(error).__name__}: {error}") from error
    started = f"node {arguments.node_id} serves raft on {raft_addr}, its log is in {log_dir}"
    await serve(raft, store, arguments.web_server, started=started)


if __name__ == "__main__":
    sys.exit(main())
