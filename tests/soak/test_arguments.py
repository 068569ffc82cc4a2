"""A long run of nothing says what was wrong with its arguments, and never that all is well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("tests.soak.load --minutes 0", "above 0"),
        ("tests.soak.load --minutes nan", "above 0"),
        ("tests.soak.load --writes 0", "at least 1"),
        ("tests.soak.load --reads x", "whole number"),
        ("tests.soak.port --minutes 0", "above 0"),
        ("tests.soak.port --only nonsense", "no attack"),
        ("tests.soak.storage 0", "at least 1"),
        ("tests.soak.storage x", "whole number"),
        ("tests.soak.storage 1 -1", "whole number"),
        ("tests.storage.damage DIR nokind 0 1", "invalid choice"),
        ("tests.storage.damage DIR flip 3 3", "are none"),
        ("tests.storage.kill_points DIR 3 3", "are none"),
        ("tests.storage.page_images DIR x 3", "whole number"),
        ("tests.testing.disk_lives 3 3", "are none"),
        ("tests.testing.crash_sweep --seeds 0", "at least 1"),
        ("tests.chaos --only nonsense", "no fault"),
        ("tests.chaos --only kill,nonsense", "no fault"),
        ("tests.chaos --cycles 0", "at least 1"),
        ("tests.chaos --sizes 0", "at least 1"),
        ("tests.chaos --sizes 3 2", "at least 3"),
    ],
)
def test_a_run_of_nothing_is_refused(command: str, word: str, tmp_path: Path) -> None:
    words = [str(tmp_path / "d") if word == "DIR" else word for word in command.split()]
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert word in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
