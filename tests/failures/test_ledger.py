"""docs/failures.md names tests that exist, and has a row for every line."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "failures.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for paragraph in TEXT.splitlines():
        current = Path()
        for path, name in re.findall(r"`([\w/]+\.py)?(?:::(\w+))?`", paragraph):
            if path:
                # The cases that every storage must pass are a product, and lie with it.
                current = (ROOT if path.startswith("raftify/") else ROOT / "tests") / path
            if not path and not name:
                continue
            if not current.is_file() or (name and f"def {name}(" not in current.read_text()):
                missing.append((str(current), name))
    assert not missing


def test_every_line_has_a_row() -> None:
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)]
    assert rows == [number for number in range(1, 65) if number != 56]
