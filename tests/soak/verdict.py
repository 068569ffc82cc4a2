"""Whether an hour of samples shows growth.

The samples of the steady phase are cut in four. The first quarter is warm-up: caches fill, the
log finds its size. What counts is the last quarter against the second: of memory and disk the
median, of descriptors, threads and tasks the least, since what is under way comes on top of them
and goes again. It may be higher by the slack of its kind: an allowance for noise that a leak
passes within an hour. At 300 writes/s some 450,000 writes lie between the two, so that even six
bytes kept for each show. Counts must have risen without their largest step, too: when another node
begins to lead, its tasks and the connections of all change once and stay so; a leak goes on.
The slope of a line through the second half, with its standard error, is told for the reader; it
decides nothing, since samples that follow each other are not independent.

After the restarts, whoever was not restarted last must have let go of all connections that ended.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.soak.vitals import Sample

#: By how much it may be higher, absolutely and by share of what it was.
SLACK: dict[str, tuple[float, float]] = {
    "memory_kib": (2048, 0.02),
    "disk_kib": (1024, 0.05),
    "log_kib": (512, 0.05),
    "objects": (2000, 0.02),
    "descriptors": (1, 0.0),
    "threads": (1, 0.0),
    "tasks": (3, 0.0),
}
#: A client keeps a stream of proposals, three tasks and a connection, to every node that it has met
#: as leader: in the steady phase to one at least, after the restarts perhaps to all.
OF_A_STREAM = {"tasks": 3, "descriptors": 1}
COUNTS = ("descriptors", "threads", "tasks")
#: By how much the least of some figures differs from window to window in a healthy process.
NOISE = {"tasks": 3}
#: Into how many windows the quarters after the warm-up are cut to look for single steps.
WINDOWS = 9
#: The fewest samples of one process that say anything.
FEWEST = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of one process before and after, and its slope per hour.

    To have grown it must have done so without its largest `step`, too.
    """

    who: str
    what: str
    before: float
    after: float
    allowed: float
    step: float
    slope: float
    error: float

    @property
    def grown(self) -> bool:
        noise = NOISE.get(self.what, 0)
        return self.after > self.allowed and self.after - self.step > self.before + noise

    def __str__(self) -> str:
        word = "GROWN" if self.grown else "flat"
        return (
            f"{self.who:8} {self.what:12} {word:6} {self.before:>10,.0f} -> {self.after:>10,.0f} "
            f"(may reach {self.allowed:,.0f}; second half {self.slope:+,.0f} "
            f"± {self.error:,.0f} per hour)"
        )


def judge(samples: Sequence[Sample]) -> list[Finding]:
    """Return what the steady phase says of every process and figure."""
    steady = [s for s in samples if s.phase == "steady"]
    if not steady:
        raise ValueError("no samples of the steady phase: run for longer")
    return [
        _compare(who, what, [s for s in steady if s.who == who])
        for who in sorted({s.who for s in steady})
        for what in SLACK
    ]


def _compare(who: str, what: str, mine: Sequence[Sample]) -> Finding:
    if len(mine) < FEWEST:
        raise ValueError(f"{len(mine)} samples of {who} say nothing: run for longer")
    quarter = len(mine) // 4
    values = [float(getattr(s, what)) for s in mine]
    before = _typical(what, values[quarter : 2 * quarter])
    after = _typical(what, values[-quarter:])
    half = mine[2 * quarter :]
    slope, error = line([s.seconds / 3600 for s in half], values[2 * quarter :])
    step = _largest_step(what, values[quarter:]) if what in COUNTS else 0
    return Finding(who, what, before, after, _allowed(what, before), step, slope, error)


def _largest_step(what: str, values: Sequence[float]) -> float:
    """Return by how much it rose at most from one window of equal length to the next."""
    length = max(1, len(values) // WINDOWS)
    levels = [_typical(what, values[at : at + length]) for at in range(0, len(values), length)]
    return max(0, *(later - earlier for earlier, later in itertools.pairwise(levels)))


def judge_restarts(samples: Sequence[Sample], restarted: str) -> list[Finding]:
    """Compare the calm after the restarts with the steady phase, but for memory and disk.

    `restarted` was so last, and is new. A leader has some tasks and connections more than others,
    and another one may lead now: so each node is compared with the one that had most.
    """
    steady = [s for s in samples if s.phase == "steady"]
    names = {s.who for s in steady}
    findings = []
    for who in sorted(names - {restarted}):
        like = {who} if who == "client" else names - {"client"}
        for what in COUNTS:
            streams = len(names) - 2 if who == "client" else 0
            more = OF_A_STREAM.get(what, 0) * streams
            ends = [_of(steady, name, what)[-len(steady) // len(names) // 4 :] for name in like]
            before = max(_typical(what, values) for values in ends)
            calm = [s for s in samples if s.phase == "calm"]
            after = _typical(what, _of(calm, who, what))
            allowed = _allowed(what, before) + more
            findings.append(Finding(who, what, before, after, allowed, 0, 0, 0))
    return findings


def _of(samples: Sequence[Sample], who: str, what: str) -> list[float]:
    return [float(getattr(s, what)) for s in samples if s.who == who]


def _typical(what: str, values: Sequence[float]) -> float:
    return min(values) if what in COUNTS else statistics.median(values)


def _allowed(what: str, before: float) -> float:
    absolute, share = SLACK[what]
    return before + max(absolute, share * before)


def line(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Return slope and its standard error of the straight line nearest to the values."""
    middle, mean = statistics.fmean(times), statistics.fmean(values)
    spread = sum((t - middle) ** 2 for t in times)
    slope = sum((t - middle) * (v - mean) for t, v in zip(times, values, strict=True)) / spread
    rest = sum((v - mean - slope * (t - middle)) ** 2 for t, v in zip(times, values, strict=True))
    return slope, math.sqrt(rest / max(len(times) - 2, 1) / spread)
