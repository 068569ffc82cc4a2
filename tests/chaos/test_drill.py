"""A drill notices what goes wrong, and a short one of each kind passes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from raftify.testing.history import Outcome
from tests.chaos.drill import Drill, Findings, Incident, compare, plan
from tests.chaos.faults import FAULTS
from tests.chaos.machine import Registers, Write
from tests.chaos.proxy import ProxyNetwork
from tests.chaos.report import as_text
from tests.chaos.volumes import Directory

ROOT = Path(__file__).resolve().parents[2]


def test_every_fault_comes_even_in_the_shortest_drill() -> None:
    assert set(plan(1, random.Random(1), can_freeze=True, only="")) == set(FAULTS)


def test_kills_are_counted_and_the_others_come_in_proportion() -> None:
    names = plan(250, random.Random(1), can_freeze=True, only="")
    assert names.count("kill") == 250
    assert {names.count(name) for name in FAULTS if name != "kill"} == {5}


def test_what_cannot_freeze_is_not_frozen() -> None:
    assert "disk frozen" not in plan(1, random.Random(1), can_freeze=False, only="")


async def test_a_drill_in_which_nothing_can_be_done_is_wrong(tmp_path: Path) -> None:
    drill = Drill(3, ProxyNetwork(), Directory, tmp_path, seed=1, say=lambda _: None)
    findings = await drill.run(1, only="disk frozen")
    assert findings.wrong == [
        "no fault of 'disk frozen' can be brought about here; give others by --only"
    ]
    assert not findings.incidents


def times_of(*writes: int) -> dict[str, bytearray]:
    machine = Registers()
    for number in writes:
        machine._count("c", number)
    return machine.times


@pytest.mark.parametrize(
    ("outcome", "writes", "field"),
    [
        (Outcome.OK, (), "lost"),
        (Outcome.OK, (1, 1), "doubled"),
        (Outcome.UNKNOWN, (1, 1), "doubled"),
        (Outcome.FAILED, (1,), "made_though_refused"),
    ],
)
def test_a_write_that_is_not_as_its_client_was_told_is_found(
    outcome: Outcome, writes: tuple[int, ...], field: str
) -> None:
    findings = Findings(3, "", "")
    compare({("c", 1): outcome}, times_of(*writes), findings)
    assert [len(getattr(findings, f)) for f in ("lost", "doubled", "made_though_refused")] == [
        int(f == field) for f in ("lost", "doubled", "made_though_refused")
    ]
    assert findings.wrong


@pytest.mark.parametrize(
    ("outcome", "writes"),
    [(Outcome.OK, (1,)), (Outcome.UNKNOWN, ()), (Outcome.UNKNOWN, (1,)), (Outcome.FAILED, ())],
)
def test_a_write_that_is_as_its_client_was_told_is_well(
    outcome: Outcome, writes: tuple[int, ...]
) -> None:
    findings = Findings(3, "", "")
    compare({("c", 1): outcome}, times_of(*writes), findings)
    assert not findings.wrong


async def test_the_state_machine_remembers_across_a_snapshot_how_often_a_write_was_applied() -> (
    None
):
    machine = Registers()
    assert await machine.apply(Write.put("k", "v", client="c", number=7)) == b"true"
    assert await machine.apply(Write.cas("k", "w", "x", client="c", number=8)) == b"false"
    other = Registers()
    await other.restore(await machine.snapshot())
    assert await other.apply(Write.cas("k", "v", "x", client="c", number=8)) == b"true"
    assert other.values == {"k": "x"}
    assert list(other.times["c"]) == [0] * 7 + [1, 2]


def test_the_report_says_what_is_wrong() -> None:
    findings = Findings(3, "net", "disk", incidents=[Incident("kill", 0.5, 2.0, 1)])
    findings.histories["linearizable"] = 1
    assert "linearizable: yes" in as_text([findings])
    assert "WRONG" not in as_text([findings])
    findings.histories["not linearizable"] = 1
    findings.wrong.append("stale read")
    assert "linearizable: NO" in as_text([findings])
    assert "stale read" in as_text([findings])


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("network", ["namespaces", "proxy"])
def test_a_short_drill_passes(network: str, tmp_path: Path) -> None:
    """Cuts and kills of three nodes; the whole list is `make chaos`."""
    command = [sys.executable, "-m", "tests.chaos", "--sizes", "3", "--cycles", "1"]
    command += ["--network", network, "--only", "kill all,one-way", "--results", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=170
    )
    if done.returncode == 2 and "no network namespaces" in done.stdout:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "chaos.json").read_text())
    assert report["wrong"] == []
    assert report["summary"]["faults"] == 3
    assert report["summary"]["writes acknowledged"] > 100
