"""One cluster under one fault after the other, while clients write and read."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from examples.children import ChildFailed, Children
from raftify.client import create_client
from raftify.testing.history import Answer, History, KeyValue, Outcome, check
from raftify.testing.history.picture import save_picture
from tests.chaos.cluster import Cluster
from tests.chaos.faults import FAULTS, KILL
from tests.chaos.network import Network
from tests.chaos.scene import Scene
from tests.chaos.volumes import Directory
from tests.chaos.workload import Workload

#: After everything has settled, so many writes must still be acknowledged, within this time.
PROOF_WRITES = 20
PROOF_SECONDS = 20.0
#: Every other fault comes once for so many kills.
KILLS_PER_OTHER = 50


@dataclass(frozen=True, slots=True)
class Incident:
    """One fault. `unavailable` is the longest time without an acknowledged write from the fault's
    begin until all was well again, which took `seconds`; `terms` is how many began meanwhile."""

    fault: str
    unavailable: float
    seconds: float
    terms: int


@dataclass
class Findings:
    """What one drill found. `wrong` must stay empty."""

    size: int
    network: str
    volume: str
    seconds: float = 0.0
    incidents: list[Incident] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    histories: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    made_though_refused: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def plan(kills: int, source: random.Random, *, can_freeze: bool, only: str) -> list[str]:
    """Return which fault comes when.

    `only`, if not empty, has parts of names, with commas between: just those faults come.
    """
    others = max(1, kills // KILLS_PER_OTHER)
    names = [KILL] * kills
    for name in FAULTS:
        if name != KILL and (can_freeze or name != "disk frozen"):
            names += [name] * others
    names = [name for name in names if any(part in name for part in only.split(","))]
    source.shuffle(names)
    return names


class Drill:
    """Forms a cluster of `size`, goes through a plan, and judges what the clients saw."""

    def __init__(
        self,
        size: int,
        network: Network,
        volume_kind: type[Directory],
        directory: Path,
        *,
        seed: int,
        say: Callable[[str], None],
    ) -> None:
        self.findings = Findings(size, network.kind, volume_kind.kind)
        self._network = network
        self._volume_kind = volume_kind
        self._directory = directory
        self._random = random.Random(f"{seed}-{size}")
        self._say = say

    async def run(self, kills: int, only: str = "") -> Findings:
        """Go through all faults, or until something is wrong; that none can be is wrong, too."""
        # Before anything else draws from the same source.
        names = plan(kills, self._random, can_freeze=self._volume_kind.can_freeze, only=only)
        if not names:
            self.findings.wrong.append(
                f"no fault of {only!r} can be brought about here; give others by --only"
            )
            return self.findings
        began = time.monotonic()
        await self._network.open()
        try:
            async with Children() as children:
                cluster = Cluster(self._network, self._volume_kind, self._directory, children)
                try:
                    await self._run_on(cluster, names)
                finally:
                    await cluster.close()
        finally:
            await self._network.close()
            self.findings.seconds = time.monotonic() - began
        return self.findings

    async def _run_on(self, cluster: Cluster, names: Sequence[str]) -> None:
        await cluster.form(self.findings.size)
        addresses = [m.address for m in cluster.machines.values()]
        async with create_client(addresses) as client:
            workload = Workload(cluster, client, self._random)
            scene = Scene(cluster, workload, self._random)
            workload.begin()
            try:
                await workload.progress(PROOF_WRITES, PROOF_SECONDS)
                for number, name in enumerate(names, 1):
                    if not await self._survives(scene, name, f"{number}/{len(names)}"):
                        break
            finally:
                await workload.end()
            self._count(workload)
            if not self.findings.wrong:
                await self._judge_writes(cluster, workload)

    def _count(self, workload: Workload) -> None:
        """Note how much was done, and whether it is enough to say anything."""
        counts, findings = workload.counts, self.findings
        findings.counts = dict(counts)
        for done, failed in (
            ("reads", "reads without answer"),
            ("writes acknowledged", "writes of unknown outcome"),
        ):
            if counts[done] < counts[failed]:
                findings.wrong.append(f"only {counts[done]} {done}, {counts[failed]} {failed}")

    async def _survives(self, scene: Scene, name: str, place: str) -> bool:
        """Bring a fault about, wait until all is well, check the history; say whether it is."""
        workload, findings = scene.workload, self.findings
        term = await scene.cluster.term()
        begin = time.monotonic()
        try:
            await FAULTS[name](scene)
            await scene.cluster.settled()
            settled = time.monotonic()
            await workload.progress(PROOF_WRITES, PROOF_SECONDS)
            terms = await scene.cluster.term() - term
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what to report
            findings.wrong.append(f"{name}: {type(error).__name__}: {error}")
            self._say(f"{place} {findings.wrong[-1]}")
            return False
        gap = workload.longest_gap(begin, settled)
        findings.incidents.append(Incident(name, gap, settled - begin, terms))
        history = workload.next_epoch()
        good = await self._judge_history(history, workload.epoch.number - 1, name)
        self._say(
            f"{place} {name}: unavailable for {gap:.2f} s, settled after {settled - begin:.1f} s, "
            f"{terms} new terms; "
            f"{len(history)} operations, {'linearizable' if good else 'NOT LINEARIZABLE'}"
        )
        return good

    async def _judge_history(self, history: History, number: int, name: str) -> bool:
        """Check one epoch; keep its history and a picture if it is not linearizable."""
        verdict = await asyncio.to_thread(check, history, KeyValue())
        answer, histories = verdict.answer.value, self.findings.histories
        histories[answer] = histories.get(answer, 0) + 1
        if verdict.answer is Answer.LINEARIZABLE:
            return True
        place = self._directory.with_name(f"history-{self.findings.size}-{number}")
        path, picture = place.with_suffix(".jsonl"), place.with_suffix(".html")
        history.save(path)
        save_picture(picture, verdict)
        self.findings.wrong.append(f"{name}: {verdict.explain()}\n{path}\npicture: {picture}")
        return False

    async def _judge_writes(self, cluster: Cluster, workload: Workload) -> None:
        """Compare what clients were told with how often each node applied each write."""
        findings = self.findings
        try:
            await cluster.settled()
            dumps = await cluster.dumps()
        except (ChildFailed, RuntimeError) as error:
            findings.wrong.append(f"at the end: {error}")
            return
        if len({dump["digest"] for dump in dumps.values()}) != 1:
            findings.wrong.append("the nodes' states differ")
        times = next(iter(dumps.values()))["times"]
        compare(workload.outcomes, {c: base64.b64decode(t) for c, t in times.items()}, findings)


def compare(
    outcomes: Mapping[tuple[str, int], Outcome], times: Mapping[str, Sequence[int]], found: Findings
) -> None:
    """Add to `found` every write that was not applied as often as its client was told.

    `times` has for each client how often each of its writes was applied, by number.
    """
    for (client, number), outcome in outcomes.items():
        applied = times.get(client, b"")
        count = applied[number] if number < len(applied) else 0
        if count > 1:
            found.doubled.append(f"{client}/{number} applied {count} times")
        elif count == 0 and outcome is Outcome.OK:
            found.lost.append(f"{client}/{number}")
        elif count == 1 and outcome is Outcome.FAILED:
            found.made_though_refused.append(f"{client}/{number}")
    for what in ("lost", "doubled", "made_though_refused"):
        bad = getattr(found, what)
        if bad:
            found.wrong.append(f"{len(bad)} writes {what}: {', '.join(bad[:5])}")
