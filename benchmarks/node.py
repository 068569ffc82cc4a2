"""One node under measurement, in a process of its own; it can put itself under load."""

from __future__ import annotations

import cProfile
import logging
from typing import Self

from benchmarks.load import run_round
from examples.children import serve_commands
from examples.joining import member, run_node
from raftify import AbstractStateMachine, Config

logger = logging.getLogger("benchmark")


class Counter(AbstractStateMachine):
    """Counts what it applies: the least a state machine can do, so that Raft's cost is measured."""

    def __init__(self) -> None:
        self.applied = 0

    def __repr__(self) -> str:
        return f"Counter({self.applied})"

    async def apply(self, data: bytes) -> bytes:
        self.applied += 1
        return b""

    def snapshot(self) -> bytes:
        return self.encode()

    def restore(self, data: bytes) -> None:
        self.applied = int(data)

    def encode(self) -> bytes:
        return str(self.applied).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        counter = cls()
        counter.restore(data)
        return counter


async def run(raft_addr: str, peer_addr: str | None, log_dir: str) -> None:
    async with member(raft_addr, peer_addr, log_dir, Counter(), Config(), logger) as raft:

        async def state() -> dict[str, object]:
            return {**raft.inspect(), "writes": raft.state_machine().applied}

        async def load(in_flight: int, seconds: float) -> dict[str, int | float]:
            done = await run_round(raft.propose, in_flight=in_flight, seconds=seconds)
            return done.as_json()

        async def profile(in_flight: int, seconds: float, path: str) -> dict[str, int | float]:
            profiler = cProfile.Profile()
            profiler.enable()
            try:
                return await load(in_flight, seconds)
            finally:
                profiler.disable()
                profiler.dump_stats(path)

        await serve_commands({"state": state, "load": load, "profile": profile})


if __name__ == "__main__":
    run_node(run, description=__doc__)
