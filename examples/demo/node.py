"""One node of the demonstration, in a process of its own; the parent commands it over a pipe."""

from __future__ import annotations

import json
import logging
from typing import Self

from examples.children import serve_commands
from examples.joining import member, run_node
from raftify import AbstractStateMachine, Config

logger = logging.getLogger("demo")

#: Ticks of 50 ms: a dead leader is noticed after 0.5 to 1 second.
TICK_SECONDS = 0.05


class WriteCounter(AbstractStateMachine):
    """Counts how often each write was applied, so that one applied twice cannot hide."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}

    async def apply(self, data: bytes) -> bytes:
        """Count the write whose id is `data`; return how often it was applied by now."""
        write_id = data.decode()
        self.times[write_id] = self.times.get(write_id, 0) + 1
        return str(self.times[write_id]).encode()

    def snapshot(self) -> bytes:
        return self.encode()

    def restore(self, data: bytes) -> None:
        self.times = json.loads(data)

    def encode(self) -> bytes:
        return json.dumps(self.times).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = cls()
        machine.restore(data)
        return machine


async def run(raft_addr: str, peer_addr: str | None, log_dir: str) -> None:
    config = Config(tick_interval=TICK_SECONDS)
    async with member(raft_addr, peer_addr, log_dir, WriteCounter(), config, logger) as raft:

        async def state() -> dict[str, object]:
            return {**raft.inspect(), "writes": len(raft.state_machine().times)}

        async def propose(write_id: str) -> str:
            return (await raft.propose(write_id.encode())).decode()

        async def times_applied() -> dict[str, int]:
            # A linearizable read: everything acknowledged before the question is in the answer.
            await raft.read_index()
            return raft.state_machine().times

        await serve_commands({"state": state, "propose": propose, "times_applied": times_applied})


if __name__ == "__main__":
    run_node(run, description=__doc__)
