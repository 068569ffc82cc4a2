"""The snippets of docs/simulation.md run, in their order, and do what the page says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "simulation.md"


def test_the_snippets_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    first, second = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    namespace: dict[str, object] = {}
    exec(compile(first, PAGE.name, "exec"), namespace)
    cast("Callable[[], None]", namespace["test_counter"])()
    exec(compile(second, PAGE.name, "exec"), namespace)
    assert re.fullmatch(r"\d+\.\d s, trace [0-9a-f]{8}\n", capsys.readouterr().out)
    assert "<svg" in (tmp_path / "seed-7.html").read_text()


def test_the_scenario_is_a_test_of_ten_lines() -> None:
    text = PAGE.read_text(encoding="utf-8")
    scenario = re.search(r"^async def scenario.*?(?=\n\n)", text, re.MULTILINE | re.DOTALL)
    assert scenario is not None
    assert len(scenario[0].splitlines()) <= 10
