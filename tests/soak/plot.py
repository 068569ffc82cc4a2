"""Draws what a soak run measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.soak.vitals import Sample

#: Figure, its title with the unit, and the factor that makes the unit.
PANELS = (
    ("memory_kib", "memory of its own (RssAnon), MiB", 1 / 1024),
    ("disk_kib", "log directory on disk, MiB", 1 / 1024),
    ("log_kib", "LMDB pages in use, MiB", 1 / 1024),
    ("objects", "Python objects known to the collector, thousands", 1 / 1000),
    ("descriptors", "open file descriptors", 1),
    ("threads", "threads", 1),
    ("tasks", "asyncio tasks", 1),
    ("p99_ms", "writes: 99th percentile (thin: median), ms", 1),
)


def draw(samples: Sequence[Sample], path: Path, title: str) -> bool:
    """Write the plot to `path`; return False where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  # optional
        from matplotlib.figure import Figure  # noqa: PLC0415  # optional
    except ImportError:
        return False
    figure = Figure(figsize=(13, 13), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    steady = max((s.seconds for s in samples if s.phase == "steady"), default=0.0) / 60
    names = sorted({s.who for s in samples})
    for axes, (what, label, factor) in zip(figure.subplots(4, 2).flat, PANELS, strict=True):
        for who in names:
            mine = [s for s in samples if s.who == who]
            times = [s.seconds / 60 for s in mine]
            values = [getattr(s, what) * factor for s in mine]
            if not any(values):
                continue
            colour = f"C{names.index(who)}"
            axes.plot(times, values, label=who, linewidth=1.2, color=colour)
            if what == "p99_ms":
                axes.plot(times, [s.p50_ms for s in mine], color=colour, linewidth=0.5)
        axes.axvline(steady, color="black", linestyle=":", linewidth=1)
        axes.set(title=label, xlabel="minutes")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    note = "dotted line: from here on nodes are restarted"
    figure.legend(handles, labels, loc="outside lower center", ncols=len(names), title=note)
    figure.savefig(path, dpi=110)
    return True
