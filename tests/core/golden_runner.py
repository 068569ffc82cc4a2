"""Runs golden scripts: commands with what they print, in the `datadriven` format.

A script is one cluster's story. `tests/core/golden_commands.py` lists the commands. To write down
what the core does now instead of comparing: `make golden`; read every line of the difference before
committing it, since a golden file that records a bug is worse than none.
"""

from __future__ import annotations

from pathlib import Path

from tests.core.datadriven import Directive, parse
from tests.core.golden_cluster import GoldenCluster
from tests.core.golden_commands import COMMANDS, Arguments

#: What a command prints that has nothing to say.
_NOTHING = "ok"


class GoldenRunner:
    """Runs the commands of one script, in order, on a cluster of its own."""

    def __init__(self) -> None:
        self._cluster = GoldenCluster()

    def handle(self, directive: Directive) -> str:
        """Run one command and return what it prints.

        Raises:
            ValueError: there is no such command, or it does not take such an argument.
        """
        command = COMMANDS.get(directive.command)
        if command is None:
            raise ValueError(f"line {directive.line}: no command `{directive.command}`")
        arguments = Arguments(directive)
        self._cluster.out.clear()
        command(self._cluster, arguments)
        arguments.finish()
        return "\n".join(self._cluster.out or [_NOTHING]) + "\n"


def rewritten(text: str) -> str:
    """Return the script `text` with what its commands print now; all else stays as it is."""
    lines = text.splitlines()
    runner = GoldenRunner()
    kept: list[str] = []
    position = 0
    for directive in parse(text):
        separator = lines.index("----", directive.line - 1)
        kept += lines[position : separator + 1]
        kept += runner.handle(directive).splitlines()
        position = separator + 1 + directive.expected.count("\n")
    return "\n".join([*kept, *lines[position:]]).rstrip("\n") + "\n"


def rewrite(path: Path) -> bool:
    """Rewrite a script; True if that changed it."""
    before = path.read_text(encoding="utf-8")
    after = rewritten(before)
    path.write_text(after, encoding="utf-8")
    return after != before
