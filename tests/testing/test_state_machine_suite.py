"""The suite for state machines passes sound ones, and finds each that is broken on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.broken import machines
from tests.testing.broken.machines import Words
from tests.testing.nested import Results, run_suites

FILE = Path(machines.__file__)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_suites(tmp_path_factory.mktemp("machines"), FILE, "-k", "not another_process")


@pytest.mark.parametrize("sound", machines.SOUND)
def test_a_sound_machine_passes(results: Results, sound: type[Words]) -> None:
    name = f"Test{sound.__name__}"
    assert name not in results.failed
    assert results.passed[name] >= 11


@pytest.mark.parametrize(
    "broken", [machine for machine in machines.BROKEN if "another" not in machine.caught_by]
)
def test_a_broken_machine_is_found(results: Results, broken: type[Words]) -> None:
    assert broken.caught_by in results.failed[f"Test{broken.__name__}"]


def test_other_hashes_give_the_same(tmp_path: Path) -> None:
    """Within one process the order of a set is always the same."""
    found = run_suites(
        tmp_path, FILE, "-k", "(TestKeepsWordsInASet or TestWords) and another_process"
    )
    broken = machines.KeepsWordsInASet
    assert found.failed == {"TestKeepsWordsInASet": {broken.caught_by}}
    assert found.passed == {"TestWords": 2}
