"""docs/paper.md names tests; a name that leads nowhere would promise what nobody checks."""

from __future__ import annotations

import re
from pathlib import Path

CORE = Path(__file__).parent
ROOT = CORE.parents[1]
_NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_row_names_tests_that_exist() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "paper.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| What it says"))
    ]
    assert len(rows) > 60
    for row in rows:
        named = _NAMED.findall(row)
        assert named, f"no test in: {row}"
        for file, test in named:
            path = ROOT / file if "/" in file else CORE / file
            assert f"\ndef {test}(" in path.read_text(encoding="utf-8"), f"{file} has no {test}"


def test_every_test_of_the_paper_has_a_row() -> None:
    table = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    missing = [
        test
        for path in sorted(CORE.glob("test_raft_paper*.py"))
        for test in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        if test not in table
    ]
    assert missing == []
