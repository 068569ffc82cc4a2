"""Where the output goes: tables of facts for people, JSON lines for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


class PipedConsole(Console):
    """A console whose broken pipe is the caller's to judge; rich would end the program with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def make_console() -> Console:
    """Return a console on standard output: coloured on a terminal, plain and unwrapped in a pipe.

    Markup is off: what a table shows comes from logs and from the network.
    """
    return PipedConsole(
        file=sys.stdout, markup=False, highlight=False, emoji=False, soft_wrap=False
    )


def print_note(text: str) -> None:
    """Write a remark for people to standard error, where it is in no script's way."""
    sys.stdout.flush()
    print(f"note: {text}", file=sys.stderr)


def print_json(value: object) -> None:
    """Write `value` as one line of JSON, with escapes where the output is not UTF-8."""
    is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, ensure_ascii=not is_utf8) + "\n")


def cell(value: object, style: str = "") -> Text:
    """Return `value` as a table shows it, with nothing in it that could steer the terminal."""
    if value is None or value == "":
        return Text("-", style="dim")
    if isinstance(value, bool):
        value = "yes" if value else "no"
    text = value if isinstance(value, str) else str(value)
    shown = "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return Text(shown, style=style, overflow="fold")


def facts_table(title: str, facts: Iterable[tuple[str, object]]) -> Table:
    """Return a table of names and values."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, cell(value))
    return table


def rows_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, numeric: int = 1
) -> Table:
    """Return a table of rows, the first `numeric` columns of which are set flush right."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for position, name in enumerate(columns):
        table.add_column(name, justify="right" if position < numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    return table


def bytes_text(size: int) -> str:
    """Return a size in bytes for people."""
    if size < 1024:
        return f"{size} B"
    amount = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1024:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"
