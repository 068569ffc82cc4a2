"""A pytest within this one, that runs suites which must fail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Plugins that would take over timers or settings of the run around.
_WITHOUT = ("cacheprovider", "asyncio", "timeout", "cov", "hypothesispytest", "terminal")


class Results:
    """Gathers, per class, which cases failed and how many passed."""

    def __init__(self) -> None:
        self.failed: dict[str, set[str]] = defaultdict(set)
        self.passed: dict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, cls, case = report.nodeid.split("::")
        if report.failed:
            self.failed[cls].add(case.partition("[")[0])
        elif report.when == "call":
            self.passed[cls] += 1


def run_suites(
    directory: Path, file: Path, *selection: str, only: Sequence[str] = ("",)
) -> Results:
    """Run the classes in `file`, or those and their cases that `only` names ("::Class::case").

    `selection` is what pytest gets besides, such as "-k" and an expression.
    """
    results = Results()
    without = [argument for plugin in _WITHOUT for argument in ("-p", f"no:{plugin}")]
    settings = directory / "pytest.ini"
    settings.write_text("[pytest]\npython_files = *.py\n")
    arguments = [
        "-c", str(settings), "--rootdir", str(ROOT), "--import-mode=importlib",
        "--basetemp", str(directory / "nested"), *without, *(f"{file}{name}" for name in only),
    ]  # fmt: skip
    code = pytest.main([*arguments, *selection], plugins=[results])
    assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return results
