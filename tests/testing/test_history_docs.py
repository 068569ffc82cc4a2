"""The snippets of docs/checking-histories.md run, in their order."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checking-histories.md"


async def test_the_snippets_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    snippets = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(snippets) == 7
    namespace: dict[str, object] = {}
    for snippet in snippets:
        padding = "\n" * text[: text.index(snippet)].count("\n")
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        running = eval(
            compile(padding + snippet, PAGE.name, "exec", flags=flags, dont_inherit=True), namespace
        )
        if inspect.isawaitable(running):
            await running
    assert (tmp_path / "stale-read.html").is_file()
    shown = re.sub(r"\d+\.\d{6}", "t", capsys.readouterr().out)
    written = re.search(r"^    not linearizable.*?^(?=\S)", text, re.MULTILINE | re.DOTALL)
    assert written is not None
    expected = re.sub(r"\d+\.\d{6}", "t", inspect.cleandoc(written[0])).strip()
    assert shown.startswith(expected)
