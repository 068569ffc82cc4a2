"""One node under measurement, in a process of its own; it can put itself under load."""

from __future__ import annotations

import logging
import zlib

from examples.children import serve_commands
from examples.joining import member, run_node
from examples.matchengine.load import Load, run_load
from examples.matchengine.machine import MatchMachine
from raftify import Config, RaftConfig

logger = logging.getLogger("matchengine.bench")


async def run(raft_addr: str, peer_addr: str | None, log_dir: str) -> None:
    # Nothing of the log is kept behind a snapshot: whoever was away gets the snapshot.
    # Five seconds of silence until an election: on a busy machine it would void the measurement.
    config = Config(snapshot_keep_entries=0, raft_config=RaftConfig(election_tick=50))
    async with member(raft_addr, peer_addr, log_dir, MatchMachine(), config, logger) as raft:
        machine = raft.state_machine()

        async def state() -> dict[str, object]:
            engine = machine.engine
            return {**raft.inspect(), "orders": engine.sequence, "trades": engine.tape.last}

        async def load(*fields: int) -> list[float]:
            return list(await run_load(raft.propose_many, Load(*fields)))

        async def checksum() -> int:
            """Of the whole state; only for when the load is over."""
            return zlib.crc32(machine.snapshot())

        async def snapshot() -> int:
            return await raft.make_snapshot()

        await serve_commands(
            {"state": state, "load": load, "checksum": checksum, "snapshot": snapshot}
        )


if __name__ == "__main__":
    run_node(run, description=__doc__)
