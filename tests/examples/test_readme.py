"""Every Python snippet of the README runs, in order, as in one session of `python -m asyncio`."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import CodeType

import pytest

from examples.children import TOP
from raftify.cli.main import main as raftify_cli
from tests.ports import free_ports

README = (TOP / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^    raftify-cli (.*)$", README, re.MULTILINE)


def line_of(snippet: str) -> int:
    return README[: README.index(snippet)].count("\n") + 1


def compiled(snippet: str, ports: dict[str, int]) -> CodeType:
    """Compile a snippet so that errors name the README's lines; its ports become free ones."""
    padding = "\n" * (line_of(snippet) - 1)
    for written, free in ports.items():
        snippet = snippet.replace(written, str(free))
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(padding + snippet, "README.md", "exec", flags=flags, dont_inherit=True)
    return code


@pytest.mark.slow
async def test_the_snippets_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands for a shell are tried beside the running node, and after its end."""
    assert len(SNIPPETS) >= 9
    monkeypatch.chdir(tmp_path)
    written = sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", "".join(SNIPPETS))))
    ports = dict(zip(written, free_ports(len(written)), strict=True))
    namespace: dict[str, object] = {}
    for snippet in SNIPPETS:
        running = eval(compiled(snippet, ports), namespace)
        if inspect.isawaitable(running):
            await running
        if "raft.inspect()" in snippet:
            await show("describe node", ports, capsys)
            await show("describe metrics", ports, capsys)
    await show("describe logs", ports, capsys)
    await show("describe metadata", ports, capsys)


async def show(name: str, ports: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    """Run the README's command `name`; it must succeed and show something."""
    (command,) = (c for c in COMMANDS if c.startswith(name))
    for written, free in ports.items():
        command = command.replace(written, str(free))
    code = await asyncio.to_thread(raftify_cli, command.split())
    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert shown.out


def test_the_guide_shows_the_commands_for_a_shell() -> None:
    assert [command.split()[:2] for command in COMMANDS] == [
        ["describe", "node"],
        ["describe", "metrics"],
        ["describe", "logs"],
        ["describe", "metadata"],
        # Those need a fourth node; the commands of docs/cli.md are tried by tests/cli.
        ["member", "add-learner"],
        ["member", "promote"],
        ["transfer", "127.0.0.1:60061"],
    ]


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))
def test_links_lead_somewhere(target: str) -> None:
    assert (TOP / target).exists()
