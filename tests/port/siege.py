"""Three real processes under attack: what an attacker may cost them, and what he may not.

Beside each attack an honest client writes one entry after the other. When the attack is over, the
node that was its target must have lost nothing for good. `Cost.faults` says what an attack did that
it must not: to the cluster, to the honest client, or to the memory of its target.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from raftify.client import create_client
from raftify.errors import RaftifyError
from tests.cluster.processes import NodeProcess, ProcessCluster
from tests.port.bounds import ELECTION, SETTINGS, left_mib, most_mib
from tests.port.target import Attack, Target

#: In this time, in seconds, an honest client should have made a write.
_SHORT = 0.5
#: Of a write of the honest client, in seconds.
_DEADLINE = 30.0
#: Seconds that a node may take to give back what an attack held.
RECOVERY = 20.0
#: What may stay with a node: connections that others have made meanwhile, and the strangers whom it
#: remembers and calls back, sixteen at most.
DESCRIPTORS_LEFT, TASKS_LEFT = 8, 24
MIB = 1 << 20


@dataclass
class Cost:
    """What one attack did. Memory is what the process alone holds, without mapped files."""

    attack: str
    seconds: float = 0.0
    before_mib: int = 0
    peak_mib: int = 0
    after_mib: int = 0
    writes_before: float = 0.0
    writes_during: float = 0.0
    worst_write: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.attack:24} {self.seconds:6.1f} s   memory {self.before_mib:4} -> "
            f"{self.peak_mib:4} -> {self.after_mib:4} MiB   writes/s {self.writes_before:5.0f} -> "
            f"{self.writes_during:5.0f}, worst {self.worst_write:5.2f} s   "
            f"{'; '.join(self.faults) or 'ok'}"
        )


class Siege:
    """A cluster, and attacks on one node of it, one after the other.

    Args:
        worst_write: how long a write of the honest client may take at most, in seconds.
        hold: for how long attacks hold what they hold, in seconds.
    """

    def __init__(
        self, cluster: ProcessCluster, *, worst_write: float = ELECTION, hold: float = 2.0
    ) -> None:
        self.cluster = cluster
        self.latencies: list[float] = []
        self._worst_write = worst_write
        self._hold = hold
        self._at_first = {node.address: _memory(node) for node in cluster.nodes}
        self._written = asyncio.Event()
        self._refused: RaftifyError | None = None
        self._stop = False

    async def endure(
        self, attack: Attack, random: Random, *, leader: bool = True, hold: float = 0.0
    ) -> Cost:
        """Attack the leader, or a follower; return what it cost.

        `hold`, if not 0, is for how many seconds the attack holds what it holds.
        """
        chief = await self.cluster.leader()
        victim = chief if leader else next(n for n in self.cluster.nodes if n is not chief)
        target = await Target.look_up(victim.address, hold or self._hold)
        cost = Cost(f"{attack.__name__}{'' if leader else ' (follower)'}")
        before = [await _stand(node) for node in self.cluster.nodes]
        cost.before_mib = _memory(victim)
        _reset_peak(victim)
        cost.writes_before, _ = await self._pace(0.5)
        began, mark = time.monotonic(), len(self.latencies)
        await attack(target, random)
        cost.seconds = time.monotonic() - began
        written = len(self.latencies) - mark
        await self._one_more_write()
        cost.writes_during = written / max(cost.seconds, 0.01)
        cost.worst_write = max(self.latencies[mark:])
        cost.peak_mib = _peak(victim)
        gc.collect()  # what the attacker has let go of holds connections until then
        cost.faults += await self._recovered(victim, before)
        cost.after_mib = _memory(victim)
        cost.faults += too_much(
            cost, most_mib=most_mib(attack), written=written, worst_write=self._worst_write
        )
        return cost

    async def write(self) -> None:
        """Propose one entry after the other until told to stop, as an honest client that never
        fails."""
        addresses = [node.address for node in self.cluster.nodes]
        async with create_client(addresses, timeout=_DEADLINE) as client:
            while not self._stop:
                began = time.monotonic()
                try:
                    await client.propose(b"honest")
                except RaftifyError as error:
                    # Whoever waits for the next write is to hear why there is none.
                    self._refused = error
                    raise
                finally:
                    self._written.set()
                self.latencies.append(time.monotonic() - began)

    def stop(self) -> None:
        self._stop = True

    async def _pace(self, seconds: float) -> tuple[float, float]:
        mark = len(self.latencies)
        await asyncio.sleep(seconds)
        await self._one_more_write()
        found = self.latencies[mark:]
        return len(found) / seconds, max(found)

    async def _one_more_write(self) -> None:
        mark = len(self.latencies)
        # Longer than the client's own deadline, so that its error comes first and says more. How
        # long one write may take is judged by `too_much`.
        async with asyncio.timeout(2 * _DEADLINE):
            while len(self.latencies) <= mark:
                self._written.clear()
                await self._written.wait()
                if self._refused is not None:
                    raise self._refused

    async def _recovered(self, victim: NodeProcess, before: list[dict[str, Any]]) -> list[str]:
        """Wait until nothing is left of the attack; return what is after all."""
        deadline = time.monotonic() + RECOVERY
        while True:
            now = [await _stand(node) for node in self.cluster.nodes]
            faults = [f for old, new in zip(before, now, strict=True) for f in changes(old, new)]
            faults += [f"left {p.name}" for p in victim.log_dir.rglob("*.tmp")]
            kept = _memory(victim) - self._at_first[victim.address]
            if kept > left_mib():
                # Where many threads took the giants in, each one's arena keeps some freed pieces.
                await victim.ask("trim")
                kept = _memory(victim) - self._at_first[victim.address]
            if kept > left_mib():
                faults.append(f"keeps {kept} MiB more than before the first attack")
            if not faults or time.monotonic() > deadline:
                return faults
            await asyncio.sleep(0.25)


def too_much(cost: Cost, *, most_mib: int, written: int, worst_write: float) -> list[str]:
    """Return what an attack cost the honest client and its target's memory beyond bounds.

    `written` is how many writes were acknowledged before the attack was over.
    """
    faults = []
    # The shortest are over before one write can be.
    if written < max(int(cost.seconds / worst_write), cost.seconds > _SHORT):
        faults.append(f"only {written} writes in {cost.seconds:.1f} s")
    if cost.worst_write > worst_write:
        faults.append(f"a write took over {worst_write:g} s")
    if cost.peak_mib > cost.before_mib + most_mib:
        faults.append(f"memory rose by more than {most_mib} MiB")
    return faults


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what became of a node under attack that no attack may bring about."""
    who = f"node {old['node_id']}"
    same = ("term", "leader_id", "role", "voters", "learners", "addresses", "max_id_kept", "counts")
    faults = [f"{who}: {k} {old[k]} -> {new[k]}" for k in same if old[k] != new[k]]
    for what, more in (("descriptors", DESCRIPTORS_LEFT), ("tasks", TASKS_LEFT)):
        if new[what] > old[what] + more:
            faults.append(f"{who}: {what} {old[what]} -> {new[what]}")
    return faults


async def _stand(node: NodeProcess) -> dict[str, Any]:
    dump = await node.ask("dump")
    dump["voters"] = dump["membership"]["voters"]
    dump["learners"] = dump["membership"]["learners"]
    dump["addresses"] = {i: p["address"] for i, p in dump["membership"]["peers"].items()}
    dump["max_id_kept"] = dump["membership"]["max_id"] < 1 << 20
    dump["descriptors"] = _descriptors(node)
    return dict(dump)


def _descriptors(node: NodeProcess) -> int:
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def _status(node: NodeProcess, name: str) -> int:
    text = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1]) // 1024


def _memory(node: NodeProcess) -> int:
    return _status(node, "RssAnon")


def _peak(node: NodeProcess) -> int:
    # There is no high-water mark of this kind of memory alone; mapped files only ever grow here.
    return _status(node, "VmHWM") - _status(node, "RssFile")


def _reset_peak(node: NodeProcess) -> None:
    Path(f"/proc/{node.process.pid}/clear_refs").write_text("5")


@asynccontextmanager
async def besieged(
    directory: Path, *, worst_write: float = ELECTION, hold: float = 2.0
) -> AsyncIterator[Siege]:
    """Yield three processes with a client that writes all the time, and fail if it ever failed."""
    machine = ("--machine", "tests.port.machines:Sink")
    async with ProcessCluster(directory, **SETTINGS) as cluster:
        founder = await cluster.add(*machine)
        for _ in range(2):
            await cluster.add("--peer", founder.address, *machine)
        siege = Siege(cluster, worst_write=worst_write, hold=hold)
        writing = asyncio.create_task(siege.write())
        try:
            yield siege
        finally:
            siege.stop()
            await asyncio.wait((writing,), timeout=60)
            writing.cancel()
        await asyncio.gather(writing)
        for node in cluster.nodes:
            assert await node.quit() == 0
