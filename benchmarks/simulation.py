"""How many simulated seconds pass in a real one; `python -m benchmarks.simulation`.

Measured by the processor's time, so that what else the machine does hardly counts.
"""

from __future__ import annotations

import asyncio
import sys
import time

from raftify.state_machine import AbstractStateMachine
from raftify.testing.invariants import Invariants
from raftify.testing.simulation import Outcome, SimulatedCluster, simulate

#: What an idle cluster of three must reach.
IDLE_SECONDS_A_SECOND = 100


class Counter(AbstractStateMachine):
    """Counts what it gets."""

    total = 0

    async def apply(self, data: bytes) -> bytes:
        self.total += len(data)
        return b""

    async def snapshot(self) -> bytes:
        return self.encode()

    async def restore(self, data: bytes) -> None:
        self.total = int(data)

    def encode(self) -> bytes:
        return str(self.total).encode()

    @classmethod
    def decode(cls, data: bytes) -> Counter:
        counter = cls()
        counter.total = int(data)
        return counter


async def idle(cluster: SimulatedCluster) -> None:
    """Nothing but heartbeats for five minutes."""
    await cluster.start(3)
    await asyncio.sleep(300)


async def busy(cluster: SimulatedCluster) -> None:
    """Four clients, twenty writes a second in all, for a minute."""
    await cluster.start(3)

    async def write() -> None:
        async with cluster.client() as client:
            for _ in range(300):
                await client.propose(b"x")
                await asyncio.sleep(0.2)

    await asyncio.gather(*(write() for _ in range(4)))


def measure(name: str, run: Outcome, seconds: float) -> float:
    """Print how fast `run` was; return simulated seconds a second."""
    rate = run.seconds / seconds
    print(f"{name}: {run.seconds:.0f} s in {seconds:.2f} s of processor time, {rate:.0f} times")
    return rate


def main() -> int:
    began = time.process_time()
    run = simulate(idle, machine=Counter)
    rate = measure("idle", run, time.process_time() - began)
    began = time.process_time()
    run = simulate(busy, machine=Counter)
    measure("20 writes a second", run, time.process_time() - began)
    began = time.process_time()
    run = simulate(busy, machine=Counter, observers=[Invariants()])
    measure("the same with every invariant", run, time.process_time() - began)
    if rate < IDLE_SECONDS_A_SECOND:
        print(f"an idle cluster is to reach {IDLE_SECONDS_A_SECOND}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
