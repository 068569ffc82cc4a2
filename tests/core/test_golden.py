"""Golden scripts: the core's Readies and messages, step by step, in tests/core/golden/*.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.datadriven import run
from tests.core.golden_runner import GoldenRunner, rewrite, rewritten

SCRIPTS = sorted((Path(__file__).parent / "golden").glob("*.txt"))


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) >= 25


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_golden(path: Path, request: pytest.FixtureRequest) -> None:
    """Compare with what the file says, or write it down with --rewrite-golden."""
    if request.config.getoption("--rewrite-golden", default=False):
        if rewrite(path):
            pytest.skip("rewritten: read the difference")
        return
    run(path, GoldenRunner().handle)


STORY = "# why\n\nadd-nodes 1\n----\n{}\n\nraft-state\n----\n{}\n"


def test_rewriting_keeps_all_but_the_output() -> None:
    right = STORY.format("ok", "1: FOLLOWER term=1 vote=0 leader=0 commit=1")
    assert rewritten(STORY.format("wrong\nlines", "wrong")) == right
    assert rewritten(STORY.format("wrong", "").rstrip("\n")) == right
    assert rewritten(right) == right


def test_a_difference_fails_and_rewriting_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text(STORY.format("ok", "1: LEADER"))
    with pytest.raises(
        AssertionError, match=r"story\.txt:7: expected\n1: LEADER\ngot\n1: FOLLOWER"
    ):
        run(path, GoldenRunner().handle)
    assert rewrite(path)
    run(path, GoldenRunner().handle)
    assert not rewrite(path)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("no-such 1\n----\n", "line 1: no command `no-such`"),
        ("add-nodes 1\n----\nok\n\nraft-state\n----\n\ncampaign 1 2\n----\n", "line 8: unknown"),
        ("add-nodes 1\n----\nok\n\ntransfer-leadership 1 to=(1 2)\n----\n", "line 5: to has one"),
        ("campaign\n----\n", "line 1: an argument is missing"),
    ],
)
def test_a_misspelt_script_fails(script: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        rewritten(script)
