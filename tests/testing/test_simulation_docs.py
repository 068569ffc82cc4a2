"""The snippets of docs/simulation.md run, in their order, and do what the page says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from raftify.testing.simulation import InvariantViolation

PAGE = Path(__file__).resolve().parents[2] / "docs" / "simulation.md"


def snippets() -> list[str]:
    return re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def the_test() -> tuple[Any, Callable[[], None]]:
    """Return the state machine of the page, and the test of it."""
    namespace: dict[str, Any] = {}
    exec(compile(snippets()[0], PAGE.name, "exec"), namespace)
    return namespace["Counter"], cast("Callable[[], None]", namespace["test_counter"])


def test_the_snippets_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = snippets()
    namespace: dict[str, object] = {}
    exec(compile(first, PAGE.name, "exec"), namespace)
    cast("Callable[[], None]", namespace["test_counter"])()
    exec(compile(second, PAGE.name, "exec"), namespace)
    assert re.fullmatch(r"\d+\.\d s, trace [0-9a-f]{8}\n", capsys.readouterr().out)
    assert "<h3>seed 7</h3>" in (tmp_path / "seed-7.html").read_text()
    assert "is leader in term" in (tmp_path / "seed-7.txt").read_text()


def test_the_scenario_is_a_test_of_ten_lines() -> None:
    scenario = re.search(r"^async def scenario.*?(?=\n\n)", snippets()[0], re.MULTILINE | re.DOTALL)
    assert scenario is not None
    assert len(scenario[0].splitlines()) <= 10


async def restores_nothing(self: Any, data: bytes) -> None:
    """A restore that forgets to do it."""


async def snapshots_nothing(self: Any) -> bytes:
    """A snapshot of the beginning."""
    return b"0"


@pytest.mark.parametrize(
    ("method", "wrong"),
    [("restore", restores_nothing), ("snapshot", snapshots_nothing)],
)
def test_it_catches_a_machine_whose_snapshots_are_wrong(
    method: str, wrong: Callable[..., object]
) -> None:
    counter, test = the_test()
    setattr(counter, method, wrong)
    with pytest.raises(AssertionError) as caught:
        test()
    assert caught.value.__notes__[0].startswith("seed ")


def test_it_says_why_a_machine_that_is_not_deterministic_is_wrong() -> None:
    counter, test = the_test()

    async def apply(self: Any, data: bytes) -> bytes:
        self.total += int(data) + os.urandom(1)[0]
        return str(self.total).encode()

    counter.apply = apply
    with pytest.raises(InvariantViolation, match="`apply` depends on more than state and entry"):
        test()
