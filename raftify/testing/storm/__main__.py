"""Storms from the command line: many on all cores, or one with its trace and a drawing."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from raftify.testing.history import NotLinearizable, Undecided, save_picture
from raftify.testing.simulation.drawing import draw
from raftify.testing.simulation.trace import Trace
from raftify.testing.storm.many import many
from raftify.testing.storm.report import summary
from raftify.testing.storm.storm import run_storm


def replay(seed: int, trace_path: Path | None, drawing_path: Path | None) -> int:
    """Run one storm and show what happened; return the program's exit code.

    Beside a drawing of its messages there is one of the clients' operations, if there was no
    explaining them.
    """
    trace = Trace()
    failed = 0
    try:
        report = run_storm(seed, trace=trace)
    except Exception as error:  # noqa: BLE001 - it is shown
        traceback.print_exc()
        failed = 1
        if isinstance(error, NotLinearizable | Undecided) and drawing_path is not None:
            path = drawing_path.with_name(f"{drawing_path.stem}-history.html")
            save_picture(path, error.verdict)
            print(f"what the clients saw is drawn in {path}")
    else:
        print(report.line())
        print(summary([report]))
        print(f"digest {report.digest}")
    if trace_path is not None:
        trace_path.write_text(trace.text(), encoding="utf-8")
        print(f"the trace is in {trace_path}")
    if drawing_path is not None:
        drawing_path.write_text(draw(trace), encoding="utf-8")
        print(f"the drawing is in {drawing_path}")
    return failed


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few: give 1 or more")
    return number


def _writable(text: str) -> Path:
    """Return the path of a file that can be written: a storm takes long, and would be lost."""
    path = Path(text)
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        reason = f"{text} cannot be written: {error.strerror}"
        raise argparse.ArgumentTypeError(reason) from error
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; return the program's exit code."""
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(prog="python -m raftify.testing.storm", description=__doc__)
    parser.add_argument("--seeds", type=_at_least_one, default=100, help="how many storms to run")
    parser.add_argument("--first", type=int, default=0, help="the first of their seeds")
    parser.add_argument("--processes", type=_at_least_one, default=cores)
    parser.add_argument("--quiet", action="store_true", help="a line for failed seeds only")
    parser.add_argument("--seed", type=int, help="run this storm alone, and show it")
    parser.add_argument("--trace", type=_writable, help="with --seed: the file for every event")
    parser.add_argument(
        "--drawing",
        type=_writable,
        help="with --seed: the HTML file for a drawing of the messages; and beside it, "
        "NAME-history.html, one of what the clients saw if that cannot be explained",
    )
    given = parser.parse_args(arguments)
    if given.seed is not None:
        return replay(given.seed, given.trace, given.drawing)
    if given.trace or given.drawing:
        parser.error("--trace and --drawing are for one storm: give its --seed")
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
