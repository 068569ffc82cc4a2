"""The faults of `make mutants` and `make sim-mutants` fit the source as it is.

That tests and simulation catch them, the two programs show.
"""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import mutants, simmutants
from scripts.fault_table import ROOT, CannotTry, Edit, Fault

IN_CORE = mutants.load()
IN_RUNTIME = simmutants.load()
TABLES = pytest.mark.parametrize(
    ("faults", "at_least"), [(IN_CORE, 70), (IN_RUNTIME, 45)], ids=["core", "runtime"]
)


@TABLES
def test_there_are_faults_enough_and_each_has_a_name_and_an_origin(
    faults: list[Fault], at_least: int
) -> None:
    names = {fault.name for fault in faults}
    assert len(names) == len(faults) >= at_least
    assert all(fault.origin for fault in faults)


@TABLES
def test_every_fault_can_be_put_in(faults: list[Fault], at_least: int) -> None:
    """Where one cannot, its source has moved: adjust the fault."""
    misfits = []
    for fault in faults:
        try:
            broken = fault.broken(ROOT)
        except CannotTry as error:
            misfits.append(str(error))
        else:
            if all((ROOT / path).read_text() == text for path, text in broken.items()):
                misfits.append(f"{fault.name}: changes nothing")
    assert not misfits, "\n".join(misfits)


@pytest.mark.parametrize("source", ["x = 2\n", "x = 1\nx = 1\n", "x = 1\n"])
def test_a_fault_that_does_not_fit_is_refused(source: str) -> None:
    """Its text is not there, or twice, or the result is no Python."""
    with pytest.raises(CannotTry):
        Edit(Path("a.py"), "x = 1\n", "x = (\n").put_into(source)


def test_a_fault_is_gone_after_its_trial(tmp_path: Path) -> None:
    path = Path("a.py")
    (tmp_path / path).write_text("x = 1\ny = 1\n")
    fault = Fault("a fault", "paper", (Edit(path, "x = 1", "x = 2"), Edit(path, "y = 1", "y = 2")))
    with fault.within(tmp_path):
        assert (tmp_path / path).read_text() == "x = 2\ny = 2\n"
    assert (tmp_path / path).read_text() == "x = 1\ny = 1\n"


def test_the_tests_that_are_tried_first_are_there() -> None:
    for name in {name for fault in IN_CORE for name in fault.tests}:
        assert (ROOT / name).is_file(), name


def test_a_word_that_no_fault_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A hunt for nothing would say that nothing survives."""
    for program in (mutants, simmutants):
        assert program.main(["nosuchword"]) == 2
        assert "no fault has 'nosuchword' in its name or file" in capsys.readouterr().err


def test_the_faults_of_the_core_that_storms_find_and_those_they_leave_are_faults_of_the_core() -> (
    None
):
    table = tomllib.loads(simmutants.CORE_TOO.read_text())
    found, left = table["found"], table["left"]
    named = [*found, *left, *table["open"]]
    assert len(set(named)) == len(named)
    assert {*named} <= {fault.name for fault in IN_CORE}
    assert set(found) <= {fault.name for fault in IN_RUNTIME}
    assert all(left.values())


def test_a_hunt_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    """What was found stays found, what was not is tried with the next seeds, and a fault that was
    changed begins anew."""
    path = tmp_path / "results.json"
    found, survivor = IN_RUNTIME[:2]
    results = simmutants.Results(path)
    seen = ("ElectionSafety", "two leaders", "abc1234")
    results.keep(simmutants.Verdict(found, 3, 1.0, 3, *seen))
    results.keep(simmutants.Verdict(survivor, 10, 1.0))
    again = simmutants.Results(path)
    verdict = again.of(found)
    assert verdict is not None
    assert (verdict.seed, verdict.kind, verdict.version) == (3, "ElectionSafety", "abc1234")
    assert again.of(survivor) is None
    assert again.tried(survivor) == 10
    changed = replace(survivor, edits=found.edits)
    assert again.tried(changed) == 0


def test_the_table_says_what_was_not_found() -> None:
    found, survivor = IN_RUNTIME[:2]
    table = simmutants.table_of(
        [
            simmutants.Verdict(found, 3, 1.0, 3, "ElectionSafety", "two leaders", "abc1234"),
            simmutants.Verdict(survivor, 10, 1.0, version="def5678"),
        ]
    )
    assert "2 faults, 1 not found." in table
    assert "Hunted at commit abc1234, def5678." in table
    assert f"| {found.name} | {found.origin} |" in table
    assert "| 3 | 3 | ElectionSafety |" in table
    assert "| not found | 10 |  |" in table
