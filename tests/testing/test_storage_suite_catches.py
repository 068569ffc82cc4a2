"""The storage suite finds every store that is broken on purpose, by the case that is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.broken import lives, suites
from tests.testing.broken.kept import KeptStorage
from tests.testing.nested import Results, run_suites

FILE = Path(suites.__file__)
SOUND = ["TestKeptStorage", "TestFileStorage"]
SHOWN_BY_A_KILL = [lives.KeepsWhenClosedOnly, lives.WritesByHalves]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the suite says, but for the cases that kill: all of it of the sound stores and of those
    that only a kill shows; of each other one the case that has to find it."""
    whole = [*SOUND, *(f"Test{broken.__name__}" for broken in SHOWN_BY_A_KILL)]
    cases = [f"::Test{broken.__name__}::{broken.caught_by}" for broken in suites.BROKEN]
    only = [*(f"::{name}" for name in whole), *cases]
    return run_suites(tmp_path_factory.mktemp("broken"), FILE, "-k", "not killed", only=only)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_store_passes(results: Results, name: str) -> None:
    assert name not in results.failed
    assert results.passed[name] > 50


@pytest.mark.parametrize("broken", suites.BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_store_is_caught(results: Results, broken: type[KeptStorage]) -> None:
    assert broken.caught_by in results.failed[f"Test{broken.__name__}"]


@pytest.mark.parametrize("broken", SHOWN_BY_A_KILL)
def test_only_a_kill_shows_it(results: Results, broken: type[KeptStorage], tmp_path: Path) -> None:
    """All else is as it should be, so nothing but the durability half can tell."""
    name = f"Test{broken.__name__}"
    assert name not in results.failed
    assert results.passed[name] > 50
    killed = run_suites(tmp_path, FILE, "-k", f"{name} and {broken.caught_by}")
    assert killed.failed == {name: {broken.caught_by}}


def test_a_sound_store_outlives_kills(tmp_path: Path) -> None:
    killed = run_suites(tmp_path, FILE, "-k", "TestFileStorage and killed")
    assert killed.failed == {}
    assert killed.passed == {"TestFileStorage": 2}
