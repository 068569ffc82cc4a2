"""One node as a process of its own, steered by lines on its standard input.

It founds a cluster, joins the one at --peer-addr, or goes on with what its directory holds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import threading
from typing import Any

from examples.children import serve_commands
from examples.joining import node_id_for, request_ticket
from raftify import Config, LmdbStorage, Raft, new_event_loop
from raftify.core.config import RaftConfig
from raftify.storage.lmdb_storage import LmdbStorage as Storage
from tests.chaos.machine import Registers

logger = logging.getLogger("node")
JOIN_SECONDS = 60.0


def make_config(settings: dict[str, Any]) -> Config:
    """Return a Config that elects a leader within 0.5 to 1 s, changed by `settings`."""
    defaults: dict[str, Any] = {"tick_interval": 0.05, "lmdb_map_size": 1 << 30}
    return Config(
        raft_config=RaftConfig(election_tick=10, heartbeat_tick=2), **{**defaults, **settings}
    )


def used_pages(storage: Storage) -> int:
    """Return how many LMDB pages hold something; those that are free again do not count."""
    environment = storage._env
    with environment.reading() as txn:
        return sum(
            stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            for stat in (txn.stat(environment.log_db), txn.stat(environment.meta_db))
        )


def vitals(storage: Storage) -> dict[str, int]:
    """Return what may grow by and by, as only the process itself can know it."""
    return {
        "tasks": len(asyncio.all_tasks()),
        "python_threads": threading.active_count(),
        "objects": len(gc.get_objects()),
        "log_pages": used_pages(storage),
    }


class Commands:
    """What the parent may ask for."""

    def __init__(self, raft: Raft, machine: Registers, storage: Storage) -> None:
        self._raft = raft
        self._machine = machine
        self._storage = storage

    async def state(self) -> dict[str, object]:
        return self._raft.inspect()

    async def vitals(self) -> dict[str, int]:
        return vitals(self._storage)

    async def get(self, key: str, timeout: float) -> str | None:
        """Read linearizably; None: the key has no value."""
        await self._raft.read_index(timeout=timeout)
        return self._machine.values.get(key)


async def run(arguments: argparse.Namespace) -> None:
    config = make_config(json.loads(arguments.settings))
    storage = LmdbStorage.create(arguments.log_dir, config, logger)
    address, peer = arguments.raft_addr, arguments.peer_addr
    ticket = await request_ticket(storage, address, peer, config, timeout=JOIN_SECONDS)
    machine = Registers()
    node_id = node_id_for(storage, ticket)
    async with Raft.bootstrap(node_id, address, storage, machine, config, logger) as raft:
        if ticket is not None:
            await raft.join_cluster([ticket], timeout=JOIN_SECONDS)
        commands = Commands(raft, machine, storage)
        await serve_commands(
            {"state": commands.state, "vitals": commands.vitals, "get": commands.get}
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raft-addr", required=True)
    parser.add_argument("--log-dir", required=True)
    parser.add_argument("--peer-addr")
    parser.add_argument("--settings", default="{}", help="of the Config, as JSON")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
