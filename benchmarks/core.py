"""How fast the core is alone: `make bench-core`.

Three RawNodes in one process, messages passed by hand, all kept in memory: no codec, no disk,
no network, no event loop. A proposal counts when all three have handed it out to be applied. What a
real cluster reaches is measured by `make bench`; this shows how much of it the algorithm may take.
"""

from __future__ import annotations

import argparse
import cProfile
import platform
import pstats
import random
import statistics
import time
from collections.abc import Callable, Sequence

from raftify.core.config import RaftConfig
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode
from raftify.core.types import ConfState, Entry, HardState, Message, Snapshot, SnapshotMetadata

ENTRY = b"x" * 100
#: Entries kept before the log is cut, as a snapshot would.
_KEPT = 20_000
_ROUNDS = 5


class Member:
    """A RawNode with the least of drivers: it keeps what it must and counts what it would apply."""

    def __init__(self, node_id: int, voters: Sequence[int]) -> None:
        self.storage = MemoryStorage()
        founded = SnapshotMetadata(ConfState(voters=tuple(voters)), 1, 1)
        self.storage.apply_snapshot(Snapshot(metadata=founded))
        self.storage.set_hardstate(HardState(term=1, commit=1))
        config = RaftConfig(id=node_id)
        self.raw = RawNode(config, self.storage, random=random.Random(node_id))
        self.applied = 0

    def process(self) -> list[Message]:
        """Handle one Ready and return what it sends."""
        raw = self.raw
        ready = raw.ready()
        if ready.entries:
            self.storage.append(ready.entries)
        if ready.hs is not None:
            self.storage.set_hardstate(ready.hs)
        light = raw.advance_append(ready)
        if ready.committed_entries or light.committed_entries:
            self.applied += len(ready.committed_entries) + len(light.committed_entries)
            raw.advance_apply()
        return [*ready.messages, *ready.persisted_messages, *light.messages]

    def cut_log(self) -> None:
        """Discard the older half of a long log."""
        last = self.storage.last_index()
        if last - self.storage.first_index() > 2 * _KEPT:
            self.storage.compact(last - _KEPT)


class Cluster:
    """Members, of which node 1 leads, and nothing between them."""

    def __init__(self, size: int) -> None:
        voters = range(1, size + 1)
        self.members = {node_id: Member(node_id, voters) for node_id in voters}
        self.leader = self.members[1]
        self.leader.raw.campaign()
        self.carry()
        if self.leader.raw.raft.leader_id != 1:
            raise RuntimeError("node 1 was not elected")

    def carry(self) -> None:
        """Handle Readies and deliver messages until there are none."""
        members = self.members
        while True:
            sent: list[Message] = []
            for member in members.values():
                if member.raw.has_ready():
                    sent += member.process()
            if not sent:
                return
            for message in sent:
                members[message.to].raw.step(message)

    def write(self, entries: int, batch: int) -> None:
        """Propose `entries`, `batch` at a time, each batch when the one before is applied."""
        raw = self.leader.raw
        for _ in range(entries // batch):
            if batch == 1:
                raw.propose(b"", ENTRY)
            else:
                raw.propose_batch([Entry(data=ENTRY) for _ in range(batch)])
            self.carry()
        for member in self.members.values():
            member.cut_log()


def seconds(work: Callable[[], None]) -> float:
    """Return the median CPU time of some runs, after one that does not count."""
    work()
    times = []
    for _ in range(_ROUNDS):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return statistics.median(times)


def entries_per_second(entries: int, batch: int) -> float:
    """Measure writing in batches of `batch`."""
    cluster = Cluster(3)
    entries -= entries % batch
    return entries / seconds(lambda: cluster.write(entries, batch))


def leader_tick(peers: int, ticks: int) -> float:
    """Return the seconds an idle leader needs per tick, its heartbeats handed out, none sent."""
    cluster = Cluster(peers + 1)
    leader = cluster.leader
    # Nobody answers, so that the others' work is not counted; it must not step down for that.
    leader.raw.raft.check_quorum = False

    def work() -> None:
        for _ in range(ticks):
            leader.raw.tick()
            leader.process()

    return seconds(work) / ticks


def follower_tick(peers: int, ticks: int) -> float:
    """Return the seconds an idle follower needs per tick."""
    raw = Cluster(peers + 1).members[2].raw

    def work() -> None:
        for _ in range(ticks):
            raw.tick()
            raw.raft.election_elapsed = 0

    return seconds(work) / ticks


def report(entries: int, ticks: int) -> None:
    """Print the table."""
    where = f"CPython {platform.python_version()}, {platform.machine()}"
    print(f"{where}: CPU time, median of {_ROUNDS} runs")
    print(f"\n{'100-byte entries, three nodes':<32}{'entries/s':>12}{'us/entry':>10}")
    for batch in (1, 64, 1024):
        rate = entries_per_second(entries, batch)
        name = "one by one" if batch == 1 else f"in batches of {batch:,}"
        print(f"{name:<32}{rate:>12,.0f}{1e6 / rate:>10.1f}")
    print(f"\n{'an idle tick':<32}{'3 peers, us':>12}{'7 peers, us':>12}")
    for name, measure in (
        ("leader, heartbeats made", leader_tick),
        ("follower", follower_tick),
    ):
        costs = [1e6 * measure(peers, ticks) for peers in (3, 7)]
        print(f"{name:<32}{costs[0]:>12.2f}{costs[1]:>12.2f}")


def profile(entries: int, batch: int) -> None:
    """Print where the time goes."""
    cluster = Cluster(3)
    profiler = cProfile.Profile()
    profiler.runcall(cluster.write, entries, batch)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=20_480, help="entries in each run")
    parser.add_argument("--ticks", type=int, default=20_000, help="ticks in each run")
    parser.add_argument("--profile", type=int, metavar="BATCH", help="profile this batch instead")
    arguments = parser.parse_args()
    if arguments.profile:
        profile(arguments.entries, arguments.profile)
    else:
        report(arguments.entries, arguments.ticks)


if __name__ == "__main__":
    main()
