"""Storms: a short run of them, the same seed twice, and the ways to fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raftify.state_machine import AbstractStateMachine
from raftify.testing.history.checks import CheckFailed
from raftify.testing.history.linearizability import NotLinearizable
from raftify.testing.invariants import Invariants
from raftify.testing.simulation import InvariantViolation
from raftify.testing.storm import StoreWorkload, run_storm, summary
from raftify.testing.storm.__main__ import main
from raftify.testing.storm.plan import Founding, draw_plan
from raftify.testing.storm.store import Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", range(20))
def test_a_cluster_lives_through_a_storm(seed: int) -> None:
    """Whatever goes wrong, nothing acknowledged is lost, and it works once that ends."""
    report = run_storm(f"short {seed}", seconds=8)
    assert report.operations["ok"]
    assert not report.undecided


def test_storms_differ_in_all_that_is_drawn() -> None:
    """Every size comes up, and the rare kinds of storms too."""
    plans = [draw_plan(seed) for seed in range(60)]
    assert {plan.size for plan in plans} == set(range(1, 8))
    assert {plan.founding for plan in plans} == set(Founding)
    assert {plan.learners for plan in plans} == {0, 1, 2}
    assert any(plan.first_leader for plan in plans)
    assert {plan.leases for plan in plans} == {plan.mixed for plan in plans} == {True, False}


def test_the_same_seed_gives_the_same_storm_in_another_process() -> None:
    """Also under another PYTHONHASHSEED: nothing hangs on the order of a set."""
    program = "from raftify.testing.storm import run_storm; print(run_storm(5, seconds=6).digest)"
    digests = [run_storm(5, seconds=6).digest]
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
        digests.append(done.stdout.strip())
    assert len(set(digests)) == 1


class Forgetful(Store):
    """Loses a write now and then, on every node alike."""

    def change(self, number: int, asked: Any) -> Any:
        return None if number % 10 == 7 else super().change(number, asked)


class Moody(Store):
    """Answers by the node it runs on."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Moody.made += 1
        self.mood = Moody.made

    def apply(self, data: bytes) -> bytes:
        return super().apply(data) if len(self.applied) < 20 else b"%d" % self.mood


class Repeating(Store):
    """Applies a write twice now and then."""

    def change(self, number: int, asked: Any) -> Any:
        if number % 10 == 7:
            super().change(number, asked)
        return super().change(number, asked)


class Stale(Store):
    """Answers reads by what was there before the last write."""

    def change(self, number: int, asked: Any) -> Any:
        self.before = dict(self.keys)
        return super().change(number, asked)

    def look(self, asked: Any) -> Any:
        kind, name = asked
        before: dict[str, Any] = getattr(self, "before", {})
        return before.get(name) if kind == "get" else super().look(asked)


class Over(StoreWorkload):
    """The usual workload over one kind of store."""

    def __init__(self, kind: type[Store]) -> None:
        self.kind = kind

    def machine(self, random: Random) -> AbstractStateMachine:
        return self.kind()


@pytest.mark.parametrize(
    ("kind", "error", "complaint"),
    [
        (Forgetful, CheckFailed, "was acknowledged, but is not there"),
        (Moody, InvariantViolation, "DeterministicResults"),
        (Repeating, CheckFailed, "was applied 2 times"),
        (Stale, (CheckFailed, NotLinearizable), "read your writes|not linearizable"),
    ],
)
def test_a_bad_state_machine_is_found(
    kind: type[Store], error: type[Exception], complaint: str
) -> None:
    """Whoever runs storms over a state machine of his own hears of it."""
    assert not draw_plan("a bad machine").leases
    with pytest.raises(error, match=complaint) as caught:
        run_storm("a bad machine", workload=Over(kind), size=3, seconds=10, faults=())
    assert any("seed 'a bad machine'" in note for note in caught.value.__notes__)


def test_the_command_line_shows_one_storm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, drawing = tmp_path / "trace.txt", tmp_path / "drawing.html"
    assert main(["--seed", "3", "--trace", str(trace), "--drawing", str(drawing)]) == 0
    assert "seed 3: ok" in capsys.readouterr().out
    assert "becomes leader" in trace.read_text() or "leader" in trace.read_text()
    assert "<svg" in drawing.read_text()


def test_the_command_line_runs_many_and_names_the_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says how to replay it; the program's end says that something was wrong."""

    def bad(self: Invariants, node: object) -> None:
        raise InvariantViolation("Made up", "nowhere", "to see what happens")

    assert main(["--seeds", "1", "--first", "3", "--processes", "1"]) == 0
    monkeypatch.setattr(Invariants, "on_step", bad)
    assert main(["--seeds", "1", "--first", "3", "--processes", "1"]) == 1
    out = capsys.readouterr().out
    assert "seed 3: FAILED: InvariantViolation: Made up" in out
    assert "python -m raftify.testing.storm --seed 3" in out
    assert "failed seeds: 3" in out


def test_a_summary_of_nothing_is_none() -> None:
    assert "failed seeds: none" in summary([])


def test_the_page_about_storms_shows_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "storms.md").read_text(encoding="utf-8")
    snippets = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(snippets) == 1
    exec(compile(snippets[0], "storms.md", "exec"), {"__name__": "storms"})
    assert capsys.readouterr().out.startswith("seed 1: ok")


@pytest.mark.slow
def test_many_storms_run_in_processes_of_their_own() -> None:
    """As a program, which is how `make sim` runs them: a process finds what it is to run."""
    command = [sys.executable, "-m", "raftify.testing.storm", "--first", "3", "--seeds", "2"]
    run = subprocess.run(
        [*command, "--processes", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "seed 3: ok" in run.stdout
    assert "2 seeds" in run.stdout


def test_killed_while_many_storms_run_it_leaves_no_process_behind() -> None:
    """The workers have its standard output: that ends when the last of them has ended."""
    command = [sys.executable, "-m", "raftify.testing.storm", "--seeds", "10000"]
    with subprocess.Popen(
        [*command, "--processes", "2"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline().startswith("seed ")
        program.kill()
        program.communicate(timeout=60)
