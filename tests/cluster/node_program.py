"""A node as an operating-system process of its own, steered by lines on its standard input.

It founds a cluster, or joins the one at --peer, or resumes what its directory holds. `dump` prints
its state machine as JSON, `read` does so after a linearizable read, `snapshot` takes a snapshot,
`trim` gives back what the allocators keep though nothing is in it,
`quit` (or the end of the input, when the test that started it is gone) ends it. If it ends with an
error, that is its last line.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import importlib
import json
import sys

from raftify.config import Config
from raftify.core.config import RaftConfig
from raftify.errors import RaftifyError
from raftify.event_loop import new_event_loop
from raftify.peers import Peers
from raftify.raft import Raft
from raftify.storage.lmdb_storage import LmdbStorage
from tests.cluster.machines import Tally


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--log-dir", required=True)
    parser.add_argument("--peer", default="")
    parser.add_argument("--node-id", type=int, default=1)
    parser.add_argument("--initial-peers", default="")
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--machine", default="tests.cluster.machines:Tally")
    return parser.parse_args()


def say(kind: str, value: object = None) -> None:
    print(json.dumps([kind, value]), flush=True)  # noqa: T201 - it is how it speaks to the test


async def start(
    arguments: argparse.Namespace, machine: Tally
) -> tuple[Raft[Tally], asyncio.Task[None]]:
    peers = json.loads(arguments.initial_peers) if arguments.initial_peers else None
    settings = {"tick_interval": 0.05, "lmdb_map_size": 1 << 30, **json.loads(arguments.settings)}
    config = Config(
        raft_config=RaftConfig(election_tick=10, heartbeat_tick=2),
        initial_peers=Peers({int(i): a for i, a in peers.items()}) if peers else None,
        **settings,
    )
    storage = LmdbStorage.create(arguments.log_dir, config)
    identity, ticket = storage.identity(), None
    node_id = identity.node_id if identity else arguments.node_id
    if arguments.peer and (identity is None or not storage.membership().is_member(node_id)):
        ticket = await Raft.request_id(arguments.address, arguments.peer, timeout=30)
        node_id = ticket.reserved_id
    raft = Raft.bootstrap(node_id, arguments.address, storage, machine, config)
    task = asyncio.create_task(raft.run())
    if ticket is not None:
        await raft.join_cluster([ticket], timeout=30)
    return raft, task


async def read_lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def main() -> None:
    arguments = parse()
    module, _, name = arguments.machine.partition(":")
    machine: Tally = getattr(importlib.import_module(module), name)()
    lines = await read_lines()
    raft, task = await start(arguments, machine)
    say("ready", raft.get_id())
    while not task.done():
        reading = asyncio.create_task(lines.readline())
        await asyncio.wait([reading, task], return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            break
        match reading.result().strip():
            case b"dump":
                say("dump", describe(raft))
            case b"read":
                await raft.read_index(timeout=30)
                say("read", describe(raft))
            case b"trim":
                say("trim", trim())
            case b"snapshot":
                say("snapshot", await raft.make_snapshot())
            case _:
                break
    await raft.quit()
    try:
        await task
    except RaftifyError as error:
        say("failed", type(error).__name__)
        raise


def trim() -> bool:
    """Give freed memory back to the system; say whether this system's library of C can do so."""
    gc.collect()
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:
        give_back(0)
    return give_back is not None


def describe(raft: Raft[Tally]) -> dict[str, object]:
    machine = raft.state_machine()
    return {
        "order": machine.order,
        "counts": machine.counts,
        "restored": machine.restored,
        "tasks": len(asyncio.all_tasks()),
        **raft.inspect(),
    }


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
