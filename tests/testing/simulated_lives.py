"""A short and eventful life of a simulated cluster; run as a module it prints digests."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from raftify.config import Config
from raftify.errors import RaftifyError
from raftify.testing.simulation import Conditions, Outcome, SimulatedCluster, Trace, simulate
from tests.cluster.machines import Tally

ROUGH = Conditions(jitter=0.01, loss=0.03, duplicate=0.03, reorder=0.1, corrupt=0.02)


async def eventful(cluster: SimulatedCluster) -> None:
    """Write all the time; crash, pause, cut, wipe and join meanwhile; then heal and converge."""
    await cluster.start(3)
    random, over = cluster.random, False

    async def write(name: str) -> None:
        number = 0
        async with cluster.client() as client:
            while not over:
                number += 1
                with suppress(RaftifyError):
                    await client.propose(f"{name}-{number}".encode(), timeout=2)
                await asyncio.sleep(random.expovariate(10))

    writers = [asyncio.create_task(write(name)) for name in ("a", "b")]
    first, second, third = cluster.nodes.values()
    cluster.network.set_conditions(ROUGH)
    await asyncio.sleep(1)
    first.crash_after(random.randrange(200))
    second.set_clock(rate=1.2, jump=3)
    await first.ended()
    first.start()
    third.pause()
    await asyncio.sleep(2)
    third.resume()
    cluster.network.cut(first.name, second.name)
    await asyncio.sleep(2)
    third.crash_in_write(random.randrange(4))
    await third.ended()
    third.start()
    cluster.heal()
    joined = await cluster.join()
    await asyncio.sleep(2)
    await joined.leave()
    over = True
    await asyncio.gather(*writers)
    cluster.nodes.pop(joined.id)
    await cluster.converge()


def live(seed: int, trace: Trace | None = None) -> Outcome:
    """Run that life."""
    config = Config(snapshot_entries=20, snapshot_keep_entries=3)
    return simulate(eventful, machine=Tally, seed=seed, config=config, trace=trace)


if __name__ == "__main__":
    for text in sys.argv[1:]:
        print(live(int(text)).trace.digest())  # noqa: T201 - what the test reads
