"""What the drills found, as a table for people and as JSON."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.chaos.drill import Findings
from tests.chaos.faults import FAULTS


def as_json(all_findings: Sequence[Findings]) -> dict[str, Any]:
    """Return everything, each incident included."""
    return {
        "wrong": [wrong for findings in all_findings for wrong in findings.wrong],
        "summary": summary(all_findings),
        "drills": [asdict(findings) for findings in all_findings],
    }


def summary(all_findings: Sequence[Findings]) -> dict[str, Any]:
    """Return the totals of all drills."""
    counts = sum((Counter(f.counts) for f in all_findings), Counter[str]())
    histories = sum((Counter(f.histories) for f in all_findings), Counter[str]())
    return {
        "faults": sum(len(f.incidents) for f in all_findings),
        "kills": sum("kill" in i.fault for f in all_findings for i in f.incidents),
        **counts,
        "histories": dict(histories),
        "lost": sum(len(f.lost) for f in all_findings),
        "doubled": sum(len(f.doubled) for f in all_findings),
        "made though refused": sum(len(f.made_though_refused) for f in all_findings),
    }


def as_text(all_findings: Sequence[Findings]) -> str:
    """Return a table of faults and what follows from all."""
    lines = []
    for findings in all_findings:
        lines += _drill(findings)
    total = summary(all_findings)
    wrong = [w for f in all_findings for w in f.wrong]
    broken = total["lost"] or total["doubled"] or total["made though refused"]
    linear = set(total["histories"]) == {"linearizable"}
    lines += [
        f"faults: {total['faults']:,}, of them with kill -9: {total['kills']:,}",
        "operations: " + ", ".join(f"{total.get(k, 0):,} {k}" for k in _KINDS),
        (
            f"lost writes: {total['lost']}, doubled writes: {total['doubled']}, "
            f"made though refused: {total['made though refused']}"
        ),
        (
            f"linearizable: {'yes' if linear else 'NO'} "
            f"({sum(total['histories'].values()):,} histories checked)"
        ),
    ]
    if wrong or broken or not linear:
        lines += ["", "WRONG:", *wrong]
    return "\n".join(lines)


_KINDS = (
    "writes acknowledged", "writes of unknown outcome", "writes refused",
    "reads", "reads without answer",
)  # fmt: skip


def _drill(findings: Findings) -> list[str]:
    lines = [
        (
            f"{findings.size} nodes; {findings.network}; {findings.volume}; "
            f"{findings.seconds / 60:.1f} minutes"
        ),
        "",
        "| fault | times | unavailable, median s | worst | settled, median s | worst | new terms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in FAULTS:
        mine = [i for i in findings.incidents if i.fault == name]
        if mine:
            gaps, whole = [i.unavailable for i in mine], [i.seconds for i in mine]
            lines.append(
                f"| {name} | {len(mine)} | {statistics.median(gaps):.2f} | {max(gaps):.2f} "
                f"| {statistics.median(whole):.1f} | {max(whole):.1f} "
                f"| {sum(i.terms for i in mine)} |"
            )
    return [*lines, ""]
