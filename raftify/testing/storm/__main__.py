"""Storms from the command line: many on all cores, or one with its trace and a drawing."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from raftify.testing.simulation.drawing import draw
from raftify.testing.simulation.trace import Trace
from raftify.testing.storm.many import many
from raftify.testing.storm.report import summary
from raftify.testing.storm.storm import run_storm


def replay(seed: int, trace_path: str | None, drawing_path: str | None) -> int:
    """Run one storm and show what happened; return the program's exit code."""
    trace = Trace()
    failed = 0
    try:
        report = run_storm(seed, trace=trace)
    except Exception:  # noqa: BLE001 - it is shown
        traceback.print_exc()
        failed = 1
    else:
        print(report.line())
        print(summary([report]))
        print(f"digest {report.digest}")
    if trace_path:
        Path(trace_path).write_text(trace.text(), encoding="utf-8")
        print(f"the trace is in {trace_path}")
    if drawing_path:
        Path(drawing_path).write_text(draw(trace), encoding="utf-8")
        print(f"the drawing is in {drawing_path}")
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; return the program's exit code."""
    parser = argparse.ArgumentParser(prog="python -m raftify.testing.storm", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many storms to run")
    parser.add_argument("--first", type=int, default=0, help="the first of their seeds")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quiet", action="store_true", help="a line for failed seeds only")
    parser.add_argument("--seed", type=int, help="run this storm alone, and show it")
    parser.add_argument("--trace", help="with --seed: write every event to this file")
    parser.add_argument("--drawing", help="with --seed: draw the messages into this HTML file")
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return replay(given.seed, given.trace, given.drawing)
    reports = []
    for report in many(range(given.first, given.first + given.seeds), given.processes):
        reports.append(report)
        if report.error or not given.quiet:
            print(report.line(), flush=True)
        if report.error:
            print(f"    again: python -m raftify.testing.storm --seed {report.seed}", flush=True)
    print(summary(reports))
    return 1 if any(report.error for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
