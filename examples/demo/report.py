"""How the demonstration looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.demo.audit import Finding
from examples.demo.writers import History
from examples.process_cluster import NodeState

#: Below so many columns the table of nodes does without processes and ports.
_WIDE_COLUMNS = 78

BARS = " ▁▂▃▄▅▆▇█"


def show_nodes(
    console: Console, states: Mapping[int, NodeState | None], pids: Mapping[int, int]
) -> None:
    """Print one row per node; None stands for a node that is not running."""
    wide = console.width >= _WIDE_COLUMNS
    table = Table(box=box.ROUNDED, pad_edge=wide)
    for heading in ("node", "process", "port", "role") if wide else ("node", "role"):
        table.add_column(heading, no_wrap=True)
    for heading in ("term", "committed", "applied", "writes"):
        table.add_column(heading, justify="right")
    where: tuple[str, ...]
    for node_id, state in sorted(states.items()):
        if state is None:
            where = ("-", "-") if wide else ()
            table.add_row(str(node_id), *where, Text("killed", "bold red"))
            continue
        where = (str(pids[node_id]), str(state["address"]).rpartition(":")[2]) if wide else ()
        table.add_row(
            str(node_id), *where, _role(state), str(state["term"]),
            f"{state['committed']:,}", f"{state['applied']:,}", f"{state['writes']:,}",
        )  # fmt: skip
    console.print(table)


def _role(state: NodeState) -> Text:
    role = str(state["role"])
    if role == "follower" and state["leader_id"]:
        return Text(f"follows {state['leader_id']}", "cyan")
    return Text(role, "bold green" if role == "leader" else "yellow")


def show_stream(console: Console, history: History, killed_at: float) -> None:
    """Print the acknowledged writes in each tenth of a second around the kill, as bars."""
    start = max(killed_at - 1.5, history.acknowledged_at[0])
    tenths = [0] * (int((history.acknowledged_at[-1] - start) * 10) + 1)
    for moment in history.acknowledged_at:
        if moment >= start:
            tenths[int((moment - start) * 10)] += 1
    tenths = tenths[: console.width - 4]
    most = max(tenths)
    kill = int((killed_at - start) * 10)
    # Rounded up: a tenth with a single write in it must not look like silence.
    bars = "".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in tenths)
    console.print(f"  writes acknowledged in each tenth of a second, {most} at most:")
    console.print(Text("  ") + Text(bars[:kill], "green") + Text(bars[kill:], "cyan"))
    console.print(Text("  " + " " * kill + "↑ SIGKILL", "bold red"))


def show_verdict(console: Console, findings: Sequence[Finding], seconds: float) -> None:
    table = Table(box=box.ROUNDED, title="What had to hold")
    table.add_column("")
    table.add_column("claim")
    table.add_column("seen")
    for finding in findings:
        mark = Text("✓", "bold green") if finding.holds else Text("✗", "bold red")
        table.add_row(mark, finding.claim, finding.seen)
    console.print(table)
    if all(finding.holds for finding in findings):
        console.print(f"[bold green]All of it held[/], in {seconds:.1f} s.")
    else:
        console.print("[bold red]Not all of it held.[/]")
