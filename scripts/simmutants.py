"""Put one fault at a time into a copy of the package, and show which simulated storm finds it.

    python -m scripts.simmutants [--seeds N] [--jobs N] [--results FILE] [WORD ...]

The faults are in `scripts/sim_faults/*.toml`, see `fault_table`, with some of those of the core
from `scripts/faults`. A seed finds a fault if its storm fails with the fault and passes without it.
With WORDs only faults are tried whose name or file has one of them. Exit status 1 if a fault
survives all seeds, 2 if one cannot be tried.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts import fault_table
from scripts.fault_table import ROOT, CannotTry, Fault

FAULTS = ROOT / "scripts" / "sim_faults"
CORE_FAULTS = ROOT / "scripts" / "faults"
COPIED = ("raftify", "scripts")
#: Which of the core's faults storms should find as well, and why they cannot find others.
CORE_TOO = ROOT / "scripts" / "core_faults_in_storms.toml"
HEAD = """\
# Faults that the simulator finds

Written by `make sim-mutants`. Each fault is put into a copy of the package by itself, and storms
are run from seed 1 on until one fails that passes without the fault. The faults are in
`scripts/sim_faults` and `scripts/faults`. The last column names an invariant of
`raftify/testing/invariants`, a check of `raftify/testing/history` or of the storm, or an error by
which the node itself stopped. A seed is that of the code for which the fault was hunted; whatever
changes the storms or the nodes may let another seed find it.
"""
#: Of processor time. A seed takes a few; one that takes this long does not end.
SEED_SECONDS = 40
#: What stops a run for reasons that say nothing about the simulator.
BROKEN = ("NameError", "UnboundLocalError", "ImportError", "SyntaxError")


@dataclass(frozen=True)
class Verdict:
    """What became of a fault: `seed` found it after `tried` seeds, or None did."""

    fault: Fault
    tried: int
    seconds: float
    seed: int | None = None
    kind: str = ""
    what: str = ""
    #: The commit of the code in which the fault was hunted.
    version: str = "unknown"


def load() -> list[Fault]:
    """Return all faults: the simulator's own, and those of the core that it has to find as well."""
    own = fault_table.load(FAULTS, Path("raftify"))
    of_core = fault_table.load(CORE_FAULTS, Path("raftify/core"))
    too = set(tomllib.loads(CORE_TOO.read_text(encoding="utf-8"))["found"])
    return own + [fault for fault in of_core if fault.name in too]


def version_of(folder: Path) -> str:
    """Return the short hash of the commit in `folder`, marked if the package is not as it is there;
    "unknown" where there is none."""

    def git(*words: str) -> str:
        command = ("git", "-C", str(folder), *words)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", *COPIED)
        return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def copy_to(folder: Path) -> None:
    """Copy what storms need into `folder`."""
    for name in COPIED:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)


class Results:
    """Verdicts of earlier runs, kept in a file so that a run of hours can be broken off.

    A verdict counts as long as its fault is the same; one that survived is tried with more seeds.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept: dict[str, Any] = {}
        if path is not None and path.exists():
            self._kept = json.loads(path.read_text(encoding="utf-8"))

    def of(self, fault: Fault) -> Verdict | None:
        """Return the verdict on `fault` if it was found, None otherwise."""
        kept = self._kept.get(fault.name)
        if kept is None or kept["fault"] != repr(fault.edits) or kept["seed"] is None:
            return None
        version = kept.get("version", "unknown")
        return Verdict(fault, kept["tried"], 0.0, kept["seed"], kept["kind"], kept["what"], version)

    def tried(self, fault: Fault) -> int:
        """Return how many seeds have not found `fault`."""
        kept = self._kept.get(fault.name)
        return 0 if kept is None or kept["fault"] != repr(fault.edits) else int(kept["tried"])

    def keep(self, verdict: Verdict) -> None:
        """Write `verdict` down."""
        self._kept[verdict.fault.name] = {
            "fault": repr(verdict.fault.edits),
            "tried": verdict.tried,
            "seed": verdict.seed,
            "kind": verdict.kind,
            "what": verdict.what,
            "version": verdict.version,
        }
        if self._path is not None:
            self._path.write_text(json.dumps(self._kept, indent=1), encoding="utf-8")


class Hunter:
    """Runs storms in copies of the package, one of them without any fault."""

    def __init__(self, sound: Path, first: int, seeds: int, results: Results) -> None:
        self._sound = sound
        self._first = first
        self._seeds = seeds
        self._results = results
        self._lock = threading.Lock()
        self._sound_seeds: dict[int, bool] = {}

    def judge(self, fault: Fault, folder: Path) -> Verdict:
        """Try one fault in `folder`, and leave the folder as it was.

        Raises:
            CannotTry: it does not fit, or cannot run.
        """
        begin, end = time.monotonic(), self._first + self._seeds
        first = self._first + self._results.tried(fault)
        with fault.within(folder):
            while first < end:
                found = hunt(folder, first, end - first)
                if found is None:
                    break
                seed, kind, what = found["seed"], found["kind"], found["what"]
                if kind in BROKEN:
                    raise CannotTry(f"{fault.name}: it cannot run: {found['trace']}")
                if self._passes_soundly(seed):
                    seconds = time.monotonic() - begin
                    return Verdict(fault, seed - self._first + 1, seconds, seed, kind, what)
                first = seed + 1
        tried = max(self._seeds, self._results.tried(fault))
        return Verdict(fault, tried, time.monotonic() - begin)

    def _passes_soundly(self, seed: int) -> bool:
        with self._lock:
            if seed not in self._sound_seeds:
                found = hunt(self._sound, seed, 1)
                self._sound_seeds[seed] = found is None
                if found is not None:
                    print(f"without any fault seed {seed} fails: {found['what']}", file=sys.stderr)
            return self._sound_seeds[seed]


def hunt(folder: Path, first: int, count: int) -> dict[str, Any] | None:
    """Return what the first failing seed in `folder` says, None if all pass.

    Raises:
        CannotTry: the storms could not be run.
    """
    run = subprocess.run(
        [sys.executable, "-m", "scripts.simhunt", str(first), str(count), str(SEED_SECONDS)],
        cwd=folder,
        # Before what is installed, or there would be no fault in it.
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = run.stdout.splitlines()
    if run.returncode != 0 or not lines:
        raise CannotTry(f"simhunt ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    found: dict[str, Any] | None = json.loads(lines[-1])
    return found


def try_all(
    faults: Sequence[Fault], first: int, seeds: int, jobs: int, results: Results
) -> Iterator[Verdict]:
    """Try `faults`, `jobs` at a time; print a line for each, and yield it, as they end.

    Raises:
        CannotTry: see `Hunter.judge`.
    """
    folders: queue.SimpleQueue[Path] = queue.SimpleQueue()

    def in_a_folder(fault: Fault) -> Verdict:
        folder = folders.get()
        try:
            return hunter.judge(fault, folder)
        finally:
            folders.put(folder)

    with tempfile.TemporaryDirectory(prefix="raftify-simmutants-") as temporary:
        for number in range(jobs + 1):
            folder = Path(temporary, str(number))
            copy_to(folder)
            if number:
                folders.put(folder)
        hunter = Hunter(Path(temporary, "0"), first, seeds, results)
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for done in as_completed([pool.submit(in_a_folder, fault) for fault in faults]):
                    verdict = done.result()
                    print(line_of(verdict), flush=True)
                    yield verdict
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def line_of(verdict: Verdict) -> str:
    """Return a verdict as a line for people who watch."""
    if verdict.seed is None:
        found = f"not found by {verdict.tried} seeds"
    else:
        found = f"seed {verdict.seed:>4}  {verdict.kind}: {verdict.what[:120]}"
    return f"{verdict.fault.name:<68} {verdict.seconds:>6.1f} s  {found}"


def table_of(verdicts: Sequence[Verdict]) -> str:
    """Return the page with all verdicts."""
    found = [verdict for verdict in verdicts if verdict.seed is not None]
    tried = sorted(verdict.tried for verdict in found)
    middle = tried[len(tried) // 2] if tried else 0
    counts = (
        f"{len(verdicts)} faults, {len(verdicts) - len(found)} not found. Half of the others are "
        f"found by the first {middle} seeds, all by {max(tried, default=0)}."
    )
    versions = ", ".join(sorted({verdict.version for verdict in verdicts}))
    lines = [
        HEAD,
        counts,
        "",
        f"Hunted at commit {versions}.",
        "",
        "| Fault | From | Files | Seed | Seeds tried | Found by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for verdict in verdicts:
        fault = verdict.fault
        files = ", ".join(f"`{path.relative_to('raftify')}`" for path in fault.paths)
        seed = "not found" if verdict.seed is None else str(verdict.seed)
        kind = verdict.kind.replace("|", "/")
        lines.append(
            f"| {fault.name} | {fault.origin} | {files} | {seed} | {verdict.tried} | {kind} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the faults asked for, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("words", metavar="WORD", nargs="*", help="try only faults that have it")
    parser.add_argument("--first", type=int, default=1, help="the seed to begin with")
    parser.add_argument("--seeds", type=int, default=1000, help="how many, at most")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--results", type=Path, help="go on from the verdicts in this file")
    parser.add_argument("--markdown", type=Path, help="write the table of all to this file")
    options = parser.parse_args(arguments)
    results = Results(options.results)
    begin, version = time.monotonic(), version_of(ROOT)
    try:
        faults = fault_table.chosen(load(), options.words)
        known = [(fault.name, results.of(fault)) for fault in faults]
        verdicts = {name: found for name, found in known if found is not None}
        left = [fault for fault in faults if fault.name not in verdicts]
        for verdict in try_all(left, options.first, options.seeds, options.jobs, results):
            verdicts[verdict.fault.name] = replace(verdict, version=version)
            results.keep(verdicts[verdict.fault.name])
    except CannotTry as error:
        print(error, file=sys.stderr)
        return 2
    in_order = [verdicts[fault.name] for fault in faults]
    if options.markdown is not None and not options.words:
        options.markdown.write_text(table_of(in_order), encoding="utf-8")
    survivors = [verdict.fault.name for verdict in in_order if verdict.seed is None]
    print(
        f"{len(in_order)} faults, {len(survivors)} survive {options.seeds} seeds, "
        f"{time.monotonic() - begin:.0f} s with {options.jobs} at a time"
    )
    for name in survivors:
        print(f"survivor: {name}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
