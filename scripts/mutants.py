"""Put one fault at a time into a copy of the core, and show which test catches it.

    python -m scripts.mutants [--jobs N] [WORD ...]

The faults are in `scripts/faults/*.toml`, see `fault_table`. With WORDs only faults are tried whose
name or file has one of them. Exit status 1 if a fault survives, 2 if one cannot be tried.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts import fault_table
from scripts.fault_table import ROOT, CannotTry, Fault

FAULTS = ROOT / "scripts" / "faults"
CORE = Path("raftify/core")
#: What a fault is tried on: the core with what it and its tests import, and the tests that know
#: nothing else. Without the rest of the package a run takes half the time.
COPIED = (
    "raftify/core",
    "raftify/wire",
    "raftify/errors.py",
    "tests/core",
    "tests/properties",
    "docs/paper.md",
    "pyproject.toml",
)
#: Tried in this order after a fault's own tests, until one fails.
ALL_TESTS = (("tests/core",), ("tests/properties",))
TEST_SECONDS = 20
RUN_SECONDS = 180
#: A fault that cannot even be run shows nothing about the tests.
BROKEN = re.compile(r" - (NameError|UnboundLocalError|ImportError|SyntaxError)\b")


@dataclass(frozen=True)
class Verdict:
    """What became of a fault: `caught_by` is a test's id, or None if all passed."""

    fault: Fault
    caught_by: str | None
    seconds: float


def load() -> list[Fault]:
    """Return all faults, file by file in the order in which they stand there."""
    return fault_table.load(FAULTS, CORE)


def copy_to(folder: Path) -> None:
    """Copy what is needed to run the core's tests in `folder`."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    # Else the installed package would be found, and no fault in it.
    (folder / "raftify" / "__init__.py").touch()


def first_failure(folder: Path, tests: Sequence[str]) -> str | None:
    """Run `tests` in `folder`; return the summary line of the first that fails, None if all pass.

    Raises:
        CannotTry: the tests could not be run.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    command += [f"--timeout={TEST_SECONDS}", "--hypothesis-seed=0", *tests]
    environment = {**os.environ, "COLUMNS": "400"}
    environment.pop("PYTHONPATH", None)
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"(no end within {RUN_SECONDS} s)"
    if run.returncode == 0:
        return None
    failed = re.search(r"^FAILED (.*)$", run.stdout, re.MULTILINE)
    if run.returncode != 1 or failed is None:
        raise CannotTry(f"pytest ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    return failed[1]


def judge(fault: Fault, folder: Path) -> Verdict:
    """Try one fault in `folder`, and leave the folder as it was.

    Raises:
        CannotTry: see there.
    """
    begin = time.monotonic()
    failure = None
    with fault.within(folder):
        for tests in (fault.tests, *ALL_TESTS):
            failure = first_failure(folder, tests)
            if failure is not None:
                break
    if failure is not None and BROKEN.search(failure):
        raise CannotTry(f"{fault.name}: it cannot run: {failure}")
    caught_by = None if failure is None else failure.split(" - ")[0]
    return Verdict(fault, caught_by, time.monotonic() - begin)


def try_all(faults: Sequence[Fault], jobs: int) -> list[Verdict]:
    """Try `faults`, `jobs` at a time; print a line for each, in their order.

    Raises:
        CannotTry: the tests fail without any fault, or see `judge`.
    """
    folders: queue.SimpleQueue[Path] = queue.SimpleQueue()

    def in_a_folder(fault: Fault) -> Verdict:
        folder = folders.get()
        try:
            return judge(fault, folder)
        finally:
            folders.put(folder)

    with tempfile.TemporaryDirectory(prefix="raftify-mutants-") as temporary:
        for number in range(jobs):
            folder = Path(temporary, str(number))
            copy_to(folder)
            folders.put(folder)
        for tests in ALL_TESTS:
            failure = first_failure(folder, tests)
            if failure is not None:
                raise CannotTry(f"without any fault there fails {failure}")
        verdicts = []
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for verdict in pool.map(in_a_folder, faults):
                    verdicts.append(verdict)
                    print(line_of(verdict), flush=True)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return verdicts


def line_of(verdict: Verdict) -> str:
    """Return a verdict's line of the table."""
    fault = verdict.fault
    caught_by = "SURVIVES" if verdict.caught_by is None else verdict.caught_by
    return f"{fault.name:<68} {fault.origin:<38} {verdict.seconds:>5.1f} s  {caught_by}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the faults asked for, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("words", metavar="WORD", nargs="*", help="try only faults that have it")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    try:
        faults = fault_table.chosen(load(), options.words)
        verdicts = try_all(faults, options.jobs)
    except CannotTry as error:
        print(error, file=sys.stderr)
        return 2
    survivors = [verdict.fault.name for verdict in verdicts if verdict.caught_by is None]
    print(
        f"{len(verdicts)} faults, {len(survivors)} survive, "
        f"{time.monotonic() - begin:.0f} s with {options.jobs} at a time"
    )
    for name in survivors:
        print(f"survivor: {name}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
