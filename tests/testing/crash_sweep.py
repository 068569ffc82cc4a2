"""A node dies at one `await` after the other, or in one disk write after the other."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from raftify.config import Config
from raftify.errors import RaftifyError
from raftify.testing.invariants import Invariants
from raftify.testing.simulation import SimulatedCluster, SimulatedNode, simulate
from tests.cluster.machines import Tally
from tests.soak.arguments import count, natural

#: A snapshot every other entry, so that files are written in each stretch, too.
CONFIG = Config(snapshot_entries=2, snapshot_keep_entries=1)

#: Prepares the crash of a node, at the place of this number.
Prepare = Callable[[SimulatedNode, int], None]


def crash_at(place: int, prepare: Prepare, *, leads: bool, seed: int = 0) -> bool:
    """Let the leader, or a follower, die at `place` while entries are proposed; demand that nothing
    acknowledged is lost or doubled. Returns whether it died while they were."""
    died: list[bool] = []

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        follower = next(node for node in cluster.nodes.values() if node is not leader)
        victim = leader if leads else follower
        prepare(victim, place)
        acknowledged = []
        for number in range(4):
            with suppress(RaftifyError):
                await leader.raft.propose(f"e{number}".encode(), timeout=1)
                acknowledged.append(f"e{number}")
        died.append(not victim.running)
        victim.defuse()
        if not victim.running:
            victim.start()
        await cluster.converge()
        for node in cluster.nodes.values():
            assert set(acknowledged) <= set(node.machine.order)
            assert not node.machine.twice()

    simulate(scenario, machine=Tally, seed=seed, config=CONFIG, observers=[Invariants()])
    return died[0]


def at_await(*, power_lost: bool) -> Prepare:
    """Return what lets a node die instead of its callback of that number from now."""
    return lambda node, place: node.crash_after(place, power_lost=power_lost)


def in_write(*, power_lost: bool) -> Prepare:
    """Return what lets a node die in its disk write of that number from now."""
    return lambda node, place: node.crash_in_write(place, power_lost=power_lost)


def sweep(prepare: Prepare, *, leads: bool, places: int, seed: int = 0) -> int:
    """Crash at each place from the first on, until entries are proposed without one, or for so many
    `places`; return at how many."""
    for place in range(places):
        if not crash_at(place, prepare, leads=leads, seed=seed):
            return place
    return places


def main(arguments: Sequence[str] | None = None) -> None:
    """Sweep with so many seeds; print how many crashes there were."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.testing.crash_sweep", description=__doc__
    )
    parser.add_argument("--seeds", type=count, default=20, help="how many stretches to sweep")
    parser.add_argument("--first", type=natural, default=0, help="the first of their seeds")
    given = parser.parse_args(arguments)
    crashes: Counter[str] = Counter()
    for seed in range(given.first, given.first + given.seeds):
        for leads in (True, False):
            for power_lost in (True, False):
                for make in (at_await, in_write):
                    name = f"{make.__name__}, {'power lost' if power_lost else 'kill -9'}"
                    crashes[name.replace("_", " ")] += sweep(
                        make(power_lost=power_lost), leads=leads, places=2000, seed=seed
                    )
    print("crashes, all survived: " + "; ".join(f"{n} {k}" for k, n in crashes.items()))  # noqa: T201


if __name__ == "__main__":
    main()
