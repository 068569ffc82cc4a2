"""One node as a process of its own, steered by lines on its standard input.

It founds a cluster, joins the one at --peer-addr, or goes on with what its directory holds. It
ends by itself when its node does, with what `tests/chaos/exits.py` has for the reason if that
failed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import faulthandler
import gc
import hashlib
import json
import logging
import sys
import threading
from typing import Any

from examples.children import Handler, serve_commands
from examples.joining import node_id_for, request_ticket
from raftify import Config, Raft, new_event_loop
from raftify.core.config import RaftConfig
from raftify.errors import RaftifyError
from raftify.storage.lmdb_storage import LmdbStorage
from tests.chaos.exits import NotJoined, exit_code
from tests.chaos.machine import Registers
from tests.chaos.on_machine import RoutedTransport, StallingStorage

logger = logging.getLogger("node")
#: For an id, and as long again to be added. Both end before the parent gives up (SETTLE_SECONDS).
JOIN_SECONDS = 25.0


def make_config(settings: dict[str, Any]) -> Config:
    """Return a Config that elects a leader within 0.5 to 1 s, changed by `settings`."""
    defaults: dict[str, Any] = {"tick_interval": 0.05, "lmdb_map_size": 1 << 30}
    return Config(
        raft_config=RaftConfig(election_tick=10, heartbeat_tick=2), **{**defaults, **settings}
    )


def used_pages(storage: LmdbStorage) -> int:
    """Return how many LMDB pages hold something; those that are free again do not count."""
    environment = storage._env
    with environment.reading() as txn:
        return sum(
            stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
            for stat in (txn.stat(environment.log_db), txn.stat(environment.meta_db))
        )


class Commands:
    """What the parent may ask for."""

    def __init__(
        self, raft: Raft[Registers], storage: StallingStorage, transport: RoutedTransport
    ) -> None:
        self._raft = raft
        self._storage = storage
        self._transport = transport

    def table(self) -> dict[str, Handler]:
        """Return every command by its name."""
        commands = (
            self.state, self.vitals, self.get, self.propose, self.dump,
            self.stall, self.routes, self.transfer, self.leave,
        )  # fmt: skip
        return {command.__name__: command for command in commands}

    async def state(self) -> dict[str, object]:
        return self._raft.inspect()

    async def vitals(self) -> dict[str, int]:
        """Return what may grow by and by, as only the process itself can know it."""
        return {
            "tasks": len(asyncio.all_tasks()),
            "python_threads": threading.active_count(),
            "objects": len(gc.get_objects()),
            "log_pages": used_pages(self._storage),
        }

    async def get(self, key: str, timeout: float) -> str | None:
        """Read linearizably; None: the key has no value."""
        await self._raft.read_index(timeout=timeout)
        return self._raft.state_machine().values.get(key)

    async def propose(self, entry: str, timeout: float) -> str:
        return (await self._raft.propose(entry.encode(), timeout=timeout)).decode()

    async def dump(self) -> dict[str, Any]:
        """Return a digest of the state, and how often each write was applied."""
        machine = self._raft.state_machine()
        return {
            "digest": hashlib.sha256(machine.encode()).hexdigest(),
            "times": {client: base64.b64encode(t).decode() for client, t in machine.times.items()},
        }

    async def stall(self, stalled: bool) -> None:
        if stalled:
            self._storage.flowing.clear()
        else:
            self._storage.flowing.set()

    async def routes(self, routes: dict[str, str]) -> None:
        self._transport.set_routes(routes)

    async def transfer(self, to: int, timeout: float) -> None:
        await self._raft.transfer_leader(to, timeout=timeout)

    async def leave(self, timeout: float) -> None:
        await self._raft.leave(timeout=timeout)


async def run(arguments: argparse.Namespace) -> None:
    config = make_config(json.loads(arguments.settings))
    storage = StallingStorage.open(arguments.log_dir, config, logger)
    address, peer = arguments.raft_addr, arguments.peer_addr
    routes = json.loads(arguments.routes)
    way = routes.get(peer, peer)
    try:
        ticket = await request_ticket(storage, address, way, config, timeout=JOIN_SECONDS)
    except RaftifyError as error:
        raise NotJoined("no ticket") from error
    node_id = node_id_for(storage, ticket)
    transport = RoutedTransport(address, config, logger, routes)
    raft = Raft.bootstrap(
        node_id, address, storage, Registers(), config, logger, transport=transport
    )
    running = asyncio.create_task(raft.run())
    if ticket is not None:
        try:
            await raft.join_cluster([ticket], timeout=JOIN_SECONDS)
        except RaftifyError as error:
            if running.done():
                # It knows better why.
                await running
            raise NotJoined("not added") from error
    serving = asyncio.create_task(serve_commands(Commands(raft, storage, transport).table()))
    await asyncio.wait({running, serving}, return_when=asyncio.FIRST_COMPLETED)
    storage.flowing.set()
    if serving.done():
        await raft.quit()
    await running
    if serving.done():
        # A command that failed as none may.
        serving.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raft-addr", required=True)
    parser.add_argument("--log-dir", required=True)
    parser.add_argument("--peer-addr")
    parser.add_argument("--settings", default="{}", help="of the Config, as JSON")
    parser.add_argument("--routes", default="{}", help="detours to addresses, as JSON")
    # Where a library crashes the interpreter, say where.
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(run(parser.parse_args()))
        except Exception as error:
            logger.exception("the node failed")
            return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
