"""What a benchmark found, as JSON, as a table and as a plot."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.baseline import Baseline
from benchmarks.load import Round

#: Measured on a 2-core machine before this project began; in writes per second.
ELSEWHERE = (
    "Elsewhere, on a 2-core machine: etcd 3.4 took 411 writes/s at 2.1 ms from one client; "
    "PySyncObj 0.3.17, without syncing to disk, 7,700 writes/s with 1,024 in flight."
)


_PROPOSALS_AXIS = "source of the proposals, and how many are in flight"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where the proposals come from, and how many are under way at once."""

    source: str
    in_flight: int

    @property
    def name(self) -> str:
        return f"{self.source}, {self.in_flight:,} in flight"


@dataclass(frozen=True, slots=True)
class Results:
    """Everything one run found."""

    baseline: Baseline
    rounds: Mapping[Scenario, Sequence[Round]]
    seconds_per_round: float
    warm_up_seconds: float

    def machine(self) -> dict[str, object]:
        return {
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            **{name: _version(name) for name in ("raftify", "grpcio", "lmdb", "uvloop")},
        }

    def as_json(self) -> dict[str, object]:
        return {
            "machine": self.machine(),
            "baseline": asdict(self.baseline),
            "seconds_per_round": self.seconds_per_round,
            "warm_up_seconds": self.warm_up_seconds,
            "scenarios": [
                {
                    "source": scenario.source,
                    "in_flight": scenario.in_flight,
                    "median": Round.median(rounds).as_json(),
                    "rounds": [one.as_json() for one in rounds],
                }
                for scenario, rounds in self.rounds.items()
            ],
        }

    def as_markdown(self) -> str:
        lines = [
            "| proposals | writes/s | p50 ms | p99 ms | writes/s, lowest to highest round |",
            "|---|---:|---:|---:|---:|",
        ]
        for scenario, rounds in self.rounds.items():
            middle = Round.median(rounds)
            rates = sorted(r.writes_per_second for r in rounds)
            lines.append(
                f"| {scenario.name} | {middle.writes_per_second:,.0f} | {middle.p50_ms:.2f} "
                f"| {middle.p99_ms:.2f} | {rates[0]:,.0f} to {rates[-1]:,.0f} |"
            )
        return "\n".join([*lines, "", *self._notes(), ""])

    def _notes(self) -> list[str]:
        count = max(len(rounds) for rounds in self.rounds.values())
        machine = ", ".join(f"{name} {value}" for name, value in self.machine().items())
        commit, trip = self.baseline.lmdb_commit_ms, self.baseline.stream_round_trip_ms
        floor = (
            f"Between the rounds: one synced LMDB commit {commit:.2f} ms, one round trip on a gRPC "
            f"stream {trip:.2f} ms (medians)."
        )
        method = (
            "Three processes on loopback, each with an LMDB store that syncs every commit; entries "
            "of 100 bytes; a write counts when `propose` has returned, which is after a majority "
            "has it on disk and the state machine has applied it. Local: coroutines in the "
            "leader's process. Client: coroutines of one `RaftServiceClient` in a fourth process. "
            f"Medians over {count} rounds of {self.seconds_per_round:g} s, the scenarios taking "
            f"turns, after {self.warm_up_seconds:g} s of warm-up each. Afterwards every node had "
            f"applied exactly the acknowledged writes. Machine: {machine}."
        )
        return [floor, "", method, "", ELSEWHERE]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def save(results: Results, directory: Path) -> list[Path]:
    """Write cluster.json, cluster.md and, where matplotlib is installed, cluster.png."""
    directory.mkdir(parents=True, exist_ok=True)
    numbers, table, plot = (directory / f"cluster.{kind}" for kind in ("json", "md", "png"))
    numbers.write_text(json.dumps(results.as_json(), indent=2) + "\n", encoding="utf-8")
    table.write_text(results.as_markdown(), encoding="utf-8")
    written = [numbers, table]
    if _plot(results, plot):
        written.append(plot)
    return written


def _plot(results: Results, path: Path) -> bool:
    try:
        # Here, because the plot is all that needs it and it takes a second to load.
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # optional
        from matplotlib.figure import Figure  # noqa: PLC0415  # optional
    except ImportError:
        return False
    names = [f"{s.source}\n{s.in_flight:,}" for s in results.rounds]
    middles = [Round.median(rounds) for rounds in results.rounds.values()]
    places = range(len(names))
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    rates, times = figure.subplots(1, 2)
    bars = rates.bar(places, [m.writes_per_second for m in middles], color="#2a6f97")
    rates.bar_label(bars, fmt="{:,.0f}")
    rates.set(
        yscale="log",
        title="Throughput, synced to disk",
        xticks=places,
        xlabel=_PROPOSALS_AXIS,
        ylabel="writes per second",
    )
    rates.set_xticklabels(names)
    rates.margins(y=0.1)
    for shift, name, values in (
        (-0.2, "p50", [m.p50_ms for m in middles]),
        (0.2, "p99", [m.p99_ms for m in middles]),
    ):
        bars = times.bar([p + shift for p in places], values, width=0.4, label=name)
        times.bar_label(bars, fmt="{:.1f}", fontsize=8)
    floor = results.baseline.lmdb_commit_ms + results.baseline.stream_round_trip_ms
    times.axhline(floor, color="black", linestyle=":", label="one commit + one round trip")
    times.set(
        yscale="log",
        title="Time until propose returns",
        xticks=places,
        xlabel=_PROPOSALS_AXIS,
        ylabel="milliseconds",
    )
    times.set_xticklabels(names)
    times.margins(y=0.1)
    figure.legend(loc="outside lower right", ncols=3)
    figure.savefig(path, dpi=120)
    return True
