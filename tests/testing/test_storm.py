"""Storms: a short run of them, the same seed twice, and the ways to fail."""

from __future__ import annotations

import asyncio
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raftify.errors import ConfigError, Rejected
from raftify.state_machine import AbstractStateMachine
from raftify.testing.history.checks import CheckFailed
from raftify.testing.history.history import History
from raftify.testing.history.linearizability import NotLinearizable, Undecided, Verdict, check
from raftify.testing.history.models import KeyValue
from raftify.testing.history.operation import Operation, Outcome
from raftify.testing.invariants import Invariants
from raftify.testing.simulation import InvariantViolation
from raftify.testing.storm import StoreWorkload, run_storm, summary
from raftify.testing.storm import storm as module
from raftify.testing.storm.__main__ import main
from raftify.testing.storm.many import many
from raftify.testing.storm.plan import Founding, draw_plan
from raftify.testing.storm.scene import NotPossible, Scene
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


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--seeds", "0"], "0 is too few"),
        (["--seeds", "-3"], "-3 is too few"),
        (["--seeds", "many"], "invalid"),
        (["--processes", "0"], "0 is too few"),
        (["--seed", "3", "--trace", "/missing/x"], "/missing/x cannot be written: No such file"),
        (["--seed", "3", "--drawing", "/missing/x"], "/missing/x cannot be written: No such file"),
        (["--trace", "{folder}/x"], "give its --seed"),
        (["--drawing", "{folder}/x"], "give its --seed"),
    ],
)
def test_the_command_line_refuses_what_makes_no_sense(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At once, and not after a storm that nobody gets to see."""
    with pytest.raises(SystemExit) as ended:
        main([each.format(folder=tmp_path) for each in arguments])
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert not captured.out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"size": 0}, "1 to 7 voters, not 0"),
        ({"size": 9}, "1 to 7 voters, not 9"),
        ({"seconds": -5}, "0 or more, not -5"),
        ({"seconds": math.inf}, "0 or more, not inf"),
        ({"seconds": math.nan}, "0 or more, not nan"),
    ],
)
def test_a_storm_that_cannot_be_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        run_storm(1, **options)


def test_no_process_runs_no_storms() -> None:
    with pytest.raises(ConfigError, match="one process at least, not 0"):
        list(many([1], 0))


@pytest.mark.parametrize(
    ("error", "kind"), [(NotLinearizable, "NotLinearizable"), (Undecided, "Undecided")]
)
def test_a_history_without_proof_fails_and_is_drawn(
    error: type[NotLinearizable | Undecided],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Too hard to judge is no proof either."""
    steps = {NotLinearizable: 200_000, Undecided: 1}[error]
    history = _told_wrong() if error is NotLinearizable else _told_right()
    verdict = check(history, KeyValue(), max_steps=steps)

    def judged(*_: object) -> list[Verdict]:
        return [verdict]

    monkeypatch.setattr(module, "check_history", judged)
    assert main(["--seeds", "1", "--first", "3", "--processes", "1"]) == 1
    out = capsys.readouterr().out
    assert f"seed 3: FAILED: {kind}" in out
    assert f"histories too hard to judge: {int(error is Undecided)}" in out
    assert main(["--seed", "3", "--drawing", str(tmp_path / "3.html")]) == 1
    assert f"what the clients saw is drawn in {tmp_path}/3-history.html" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "3-history.html").read_text()


def _told_wrong() -> History:
    """Return a history in which a read misses what was acknowledged before."""
    return History(
        [
            Operation("a", KeyValue.put("x", 1), None, 0.0, 1.0, Outcome.OK),
            Operation("b", KeyValue.get("x"), None, 2.0, 3.0, Outcome.OK),
        ]
    )


def _told_right() -> History:
    """Return a history that takes more than one step to judge."""
    return History(
        [Operation(f"{at}", KeyValue.put("x", at), None, 0.0, 1.0, Outcome.OK) for at in range(5)]
    )


def test_a_storm_without_operator_and_faults_is_calm() -> None:
    report = run_storm("calm", size=3, seconds=10, faults=(), operator=False)
    assert report.operations["ok"]
    assert not report.changes
    assert not report.undone
    assert not [name for name in report.faults if not name.startswith("cut off from the leader")]
    assert not report.milestones["moved to another address"]


def test_faults_are_counted_once_they_are_done() -> None:
    """What is refused, or has nothing that it could be done to, is no fault."""

    async def done(scene: Scene, random: Random) -> None:
        await asyncio.sleep(0)

    async def refused(scene: Scene, random: Random) -> None:
        raise Rejected("as always")

    async def impossible(scene: Scene, random: Random) -> None:
        raise NotPossible("as always")

    faults = [[done] * 4, [refused] * 4, [impossible] * 4]
    report = run_storm("counted 3", size=3, seconds=20, faults=faults, operator=False)
    assert report.faults["done"]
    assert report.undone["refused"]
    assert report.undone["impossible"]
    assert not set(report.faults) & {"refused", "impossible"}
    assert not set(report.faults) & set(report.milestones)
    text = summary([report])
    assert f"faults injected: {report.faults.total()} in all" in text
    assert f"refused or not possible: {report.undone.total()} in all" in text


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
