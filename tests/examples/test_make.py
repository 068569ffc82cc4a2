"""The Makefile and its set-up: what a newcomer meets first."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from examples.children import TOP

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def setup(*arguments: str, python: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(TOP / "scripts" / "setup.sh"), *arguments],
        env={"PATH": "/usr/bin:/bin", "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_make
def test_help_tells_of_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"^make ([\w-]+)", shown, re.MULTILINE) == targets.split()


def test_a_python_that_is_too_old_is_refused_with_what_to_do(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\n[ "$1" != -c ]\n')
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    done = setup(str(tmp_path / "venv"), "run", python=str(old))
    assert done.returncode == 1
    assert "is Python 3.9.2, and raftify needs 3.11 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = setup(str(tmp_path / "venv"), "run", python="no-such-python")
    assert done.returncode == 1
    assert "there is no 'no-such-python' here" in done.stderr


def test_every_dependency_set_is_an_extra_of_the_project() -> None:
    script = (TOP / "scripts" / "setup.sh").read_text()
    project = (TOP / "pyproject.toml").read_text()
    named = {name for names in re.findall(r"\.\[([\w,]+)\]", script) for name in names.split(",")}
    assert named == {"bench", "fast", "dev"}
    assert all(f"\n{name} = [" in project for name in named)
