"""Every Python snippet of the guides in docs/ runs, page by page, in order.

A page goes on behind the first two snippets of docs/getting-started.md: with a state machine
and with `start`, which runs a node on a network within the process. A snippet that only shows a
shape stands under a line `<!-- shape -->`; it must be Python all the same.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from examples.children import TOP
from raftify import Raft
from raftify.errors import RaftifyError

DOCS = TOP / "docs"
#: Pages with a test of their own.
ELSEWHERE = {"simulation.md", "security.md", "checking-histories.md", "chaos.md", "storage.md"}
SNIPPET = re.compile(r"^(<!-- shape -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_SHAPES = 2


def snippets(page: Path) -> list[tuple[bool, CodeType]]:
    """Return the snippets of a page with whether each is a mere shape; errors name its lines."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in SNIPPET.finditer(text):
        padding = "\n" * text[: match.start(2)].count("\n")
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile(
            padding + match[2], page.name, "exec", flags=flags, dont_inherit=True
        )
        found.append((bool(match[1]), code))
    return found


GUIDES = [p for p in sorted(DOCS.glob("*.md")) if p.name not in ELSEWHERE and snippets(p)]


async def run(code: CodeType, namespace: dict[str, Any]) -> None:
    running = eval(code, namespace)
    if inspect.isawaitable(running):
        await running


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
async def test_the_snippets_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = snippets(DOCS / "getting-started.md")[:2]
    own = snippets(page)
    namespace: dict[str, Any] = {"__name__": "guide"}
    try:
        for is_shape, code in own if page.name == "getting-started.md" else [*first, *own]:
            if not is_shape:
                await run(code, namespace)
    finally:
        await end(namespace)
    assert sum(is_shape for is_shape, _ in own) <= MOST_SHAPES


async def end(namespace: dict[str, Any]) -> None:
    """Stop every node that a page left running."""
    nodes = [one for one in namespace.values() if isinstance(one, Raft)]
    nodes += namespace.get("running", [])
    await asyncio.gather(*(node.quit() for node in nodes))
    tasks = namespace.get("tasks", [])
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert outcome is None or isinstance(outcome, RaftifyError), outcome


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), target


def test_the_index_has_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([a-z-]+\.md)\)", index))
    assert linked == {page.name for page in DOCS.glob("*.md")} - {"README.md"}
