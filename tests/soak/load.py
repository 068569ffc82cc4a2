"""An hour of steady load on three real nodes: `python -m tests.soak.load --minutes 60`.

Three processes with LMDB on gRPC, a fourth (this one) that writes and reads at a fixed rate over
a thousand keys, snapshots and purges every few seconds. In the last sixth of the time one node
after the other is killed or ended, and started again. Every few seconds memory, disk, descriptors,
threads and tasks of all four are noted.

Leaves load.csv, load.png and load.txt in bench-results. Ends with 1 if something grew, if a read
found what it must not (`tests/soak/expected.py`), an acknowledged write is not there in the end or
its key cannot be read, the nodes' states differ, a node ended by itself or not as it was to, or a
client was refused in the steady phase or too often behind it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import random
import signal
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from examples.children import Child, Children, free_ports
from raftify.client import create_client
from raftify.event_loop import new_event_loop
from tests.soak import vitals
from tests.soak.arguments import count, positive
from tests.soak.plot import draw
from tests.soak.samples import SampleFile
from tests.soak.traffic import Traffic
from tests.soak.verdict import FEWEST, Finding, judge, judge_restarts
from tests.soak.vitals import Sample

NODES = ("node-1", "node-2", "node-3")
SETTINGS = (
    '{"snapshot_entries": 3000, "snapshot_keep_entries": 500, "entry_cache_bytes": 2097152,'
    ' "lmdb_map_size": 268435456}'
)
#: Within this time after the last restart everybody has to have found together again, in seconds.
CALM_SECONDS = 40.0
#: Not the ten seconds from one snapshot to the next: every sample would find the log the same.
SAMPLE_SECONDS = 7.0
STEADY_SHARE = 5 / 6
#: An hour of them is steady.
MINUTES = 72.0
GOOD = (
    "flat: nothing grew, nothing leaked; no write was lost, no read was wrong, all states are equal"
)


@dataclass
class Soak:
    """The cluster under load and what was noted of it."""

    directory: Path
    children: Children
    samples: SampleFile
    traffic: Traffic | None = None
    nodes: dict[str, Child] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    #: What clients were told that failed in the steady phase.
    steady_errors: dict[str, int] = field(default_factory=dict)
    differ: str = ""
    #: Of nodes that ended by themselves, or not in good order when they were to.
    ends: list[str] = field(default_factory=list)

    async def form(self) -> None:
        for name, port in zip(NODES, free_ports(len(NODES)), strict=True):
            self.addresses[name] = f"127.0.0.1:{port}"
        for name in NODES:
            await self.start(name)

    async def start(self, name: str) -> None:
        """Start a node, and return when it is a member that answers."""
        arguments = ["--raft-addr", self.addresses[name], "--settings", SETTINGS]
        arguments += ["--log-dir", str(self.directory / name)]
        if name != NODES[0]:
            arguments += ["--peer-addr", self.addresses[NODES[0]]]
        log = self.directory / f"{name}.txt"
        node = await self.children.spawn("tests.chaos.node", *arguments, log=log)
        await node.call("state")
        self.nodes[name] = node

    async def sample(self, seconds: float, phase: str) -> None:
        """Note every process that runs, this one included."""
        assert self.traffic is not None
        p50, p99 = self.traffic.take_latencies()
        writes = self.traffic.done["write"]
        for name, node in list(self.nodes.items()):
            inside = await node.call("vitals")
            self.samples.note(
                self._look(seconds, phase, name, node.pid, inside, self.directory / name)
            )
        # Without the load itself: what is under way comes and goes.
        tasks = len(asyncio.all_tasks()) - self.traffic.under_way()
        inside = {"tasks": tasks, "objects": len(gc.get_objects())}
        mine = self._look(seconds, phase, "client", os.getpid(), inside, None)
        self.samples.note(
            Sample(**{**asdict(mine), "writes": writes, "p50_ms": p50, "p99_ms": p99})
        )

    def _look(
        self, seconds: float, phase: str, who: str, pid: int, inside: dict[str, int],
        directory: Path | None,
    ) -> Sample:  # fmt: skip
        memory, resident = vitals.memory_of(pid)
        return Sample(
            seconds=round(seconds, 1),
            phase=phase,
            who=who,
            memory_kib=memory,
            resident_kib=resident,
            descriptors=vitals.descriptors_of(pid),
            threads=vitals.threads_of(pid),
            tasks=inside["tasks"],
            objects=inside["objects"],
            disk_kib=vitals.disk_kib(directory) if directory else 0,
            log_kib=inside.get("log_pages", 0) * vitals.PAGE_KIB,
            writes=0,
            p50_ms=0.0,
            p99_ms=0.0,
        )

    async def difference(self) -> str:
        """Wait until all nodes have applied everything; return how their states differ, "" if not.

        Nobody may write any more.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(CALM_SECONDS):
                while True:
                    if len({state["applied"] for state in await self._all("state")}) == 1:
                        break
                    await asyncio.sleep(0.1)
        digests = {dump["digest"] for dump in await self._all("dump")}
        return "" if len(digests) == 1 else f"the nodes' states differ: {digests}"

    async def _all(self, command: str) -> list[dict[str, Any]]:
        return [await node.call(command) for node in self.nodes.values()]

    async def restart(self, name: str, *, kill: bool) -> None:
        node = self.nodes.pop(name)
        if kill:
            await node.kill()
        code, wanted = await node.quit(), -signal.SIGKILL if kill else 0
        if code != wanted:
            self.ends.append(f"{name} ended with {code} instead of {wanted}")
        await self.start(name)
        self.restarts += 1


async def live(soak: Soak, arguments: argparse.Namespace) -> str:
    """Run both phases; return which node was restarted last."""
    loop = asyncio.get_running_loop()
    total = arguments.minutes * 60
    began = loop.time()
    interval = min(SAMPLE_SECONDS, total * STEADY_SHARE / (6 * FEWEST))

    async def note_until(end: float, phase: str, every: float = interval) -> None:
        while loop.time() - began < end:
            await asyncio.sleep(every)
            await soak.sample(loop.time() - began, phase)
            say(soak, loop.time() - began, phase)

    await note_until(total * STEADY_SHARE, "steady")
    assert soak.traffic is not None
    soak.steady_errors = dict(soak.traffic.errors)
    pause = max(interval, min(60.0, total / 60))
    name = ""
    for number in itertools.count():
        if number and loop.time() - began >= total - CALM_SECONDS:
            break
        name = NODES[number % len(NODES)]
        await soak.restart(name, kill=number % 2 == 0)
        await note_until(loop.time() - began + pause, "restarts")
    await note_until(loop.time() - began + CALM_SECONDS / 2, "restarts")
    await note_until(loop.time() - began + CALM_SECONDS / 2, "calm", every=1.0)
    return name


def say(soak: Soak, seconds: float, phase: str) -> None:
    assert soak.traffic is not None
    latest = {s.who: f"{s.memory_kib / 1024:.0f}" for s in soak.samples.latest.values()}
    last = soak.samples.latest["client"]
    print(  # noqa: T201 - it is a program
        f"{seconds:6.0f} s {phase:8} writes {last.writes:,} p50 {last.p50_ms:.1f} ms "
        f"p99 {last.p99_ms:.1f} ms MiB {latest} errors {dict(soak.traffic.errors)}",
        flush=True,
    )


async def run(arguments: argparse.Namespace, work: Path) -> list[str]:
    """Return what is wrong; nothing if all is well."""
    arguments.results.mkdir(parents=True, exist_ok=True)
    async with Children() as children:
        with SampleFile(arguments.results / "load.csv") as samples:
            soak = Soak(work, children, samples)
            await soak.form()
            async with create_client(list(soak.addresses.values()), timeout=20) as client:
                soak.traffic = Traffic(
                    client,
                    lambda: list(soak.nodes.values()),
                    writes=arguments.writes,
                    reads=arguments.reads,
                    source=random.Random(1),
                )
                load = asyncio.create_task(soak.traffic.run())
                try:
                    last = await live(soak, arguments)
                finally:
                    load.cancel()
                    with suppress(asyncio.CancelledError):
                        await load
                await soak.traffic.read_all()
                soak.differ = await soak.difference()
            return report(soak, arguments, last)


def report(soak: Soak, arguments: argparse.Namespace, last: str) -> list[str]:
    assert soak.traffic is not None
    results: Path = arguments.results
    samples = soak.samples.read()
    traffic = soak.traffic
    title = (
        f"{arguments.minutes:g} minutes, {arguments.writes} writes/s and {arguments.reads} reads/s:"
        f" {traffic.done['write']:,} writes, {traffic.done['read']:,} reads, "
        f"{soak.restarts} restarts"
    )
    drawn = draw(samples, results / "load.png", title)
    steady, after = judge(samples), judge_restarts(samples, last)
    wrong = [str(f) for f in (*steady, *after) if f.grown]
    wrong += missing(samples, soak.traffic, arguments)
    wrong += [*untrue(soak.traffic, soak.steady_errors, soak.differ), *soak.ends]
    lines = [
        title,
        "",
        "steady phase, second quarter -> last (memory, disk: median; counts: the least):",
    ]
    lines += [str(f) for f in shown(steady)]
    lines += ["", "after the restarts, end of the steady phase -> calm at the end:"]
    lines += [str(f) for f in after]
    lines += ["", f"errors: {dict(traffic.errors) or 'none'}"]
    lines += ["" if drawn else "no plot: matplotlib is not installed"]
    lines += ["WRONG:", *wrong] if wrong else [GOOD]
    text = "\n".join(lines)
    (results / "load.txt").write_text(text + "\n")
    print(text)  # noqa: T201 - it is a program
    return wrong


def shown(findings: list[Finding]) -> list[Finding]:
    """Leave out what a process does not have."""
    return [f for f in findings if f.before or f.after]


def missing(samples: list[Sample], traffic: Traffic, arguments: argparse.Namespace) -> list[str]:
    """Return what says that this was not the load it claims to be."""
    wrong = []
    for kind, rate in (("write", arguments.writes), ("read", arguments.reads)):
        wanted = rate * samples[-1].seconds
        if traffic.done[kind] < 0.95 * wanted:
            wrong.append(f"only {traffic.done[kind]:,} of {wanted:,.0f} {kind}s were made")
    kept = [s for s in samples if s.phase == "steady" and s.who != "client"]
    if not all(s.log_kib for s in kept):
        wrong.append("a node had no log")
    return wrong


def untrue(traffic: Traffic, steady_errors: dict[str, int], differ: str) -> list[str]:
    """Return what clients were told, or read, that must not be."""
    wrong = [f"in the steady phase {n} times {what}" for what, n in steady_errors.items()]
    found = traffic.expected.wrong
    if found:
        wrong.append(f"{len(found)} reads found what must not be: {'; '.join(found[:5])}")
    unread = traffic.unread
    if unread:
        wrong.append(f"in the end nobody told what {len(unread)} keys hold: {unread[:5]}")
    return [*wrong, differ] if differ else wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.load", description=__doc__)
    parser.add_argument("--minutes", type=positive, default=MINUTES)
    parser.add_argument("--writes", type=count, default=300, help="per second")
    parser.add_argument("--reads", type=count, default=100, help="per second")
    parser.add_argument("--results", type=Path, default=Path("bench-results"))
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    # Beside the results, because the system's temporary directory may lie in memory.
    with (
        tempfile.TemporaryDirectory(prefix="load-", dir=arguments.results) as work,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        return 1 if runner.run(run(arguments, Path(work))) else 0


if __name__ == "__main__":
    sys.exit(main())
