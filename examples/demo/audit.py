"""The verdict: what the nodes hold against what the writers were told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from examples.demo.writers import History

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must hold, what was seen, and whether it held."""

    claim: str
    seen: str
    holds: bool


def audit(history: History, nodes: Mapping[int, Counts]) -> list[Finding]:
    """Compare the nodes' counts of each write with the history.

    Every acknowledged write is applied exactly once on every node; one of unknown outcome at most
    once; nothing else is there; and all nodes hold the same.
    """
    acknowledged, unknown = set(history.acknowledged), set(history.unknown)
    missing = {(n, w) for n, counts in nodes.items() for w in acknowledged if w not in counts}
    twice = {(n, w) for n, counts in nodes.items() for w, times in counts.items() if times != 1}
    twice |= {(0, w) for w in history.repeated}
    strangers = {w for counts in nodes.values() for w in counts} - acknowledged - unknown
    first = next(iter(nodes.values()))
    different = [n for n, counts in nodes.items() if counts != first]
    took_effect = sum(write in first for write in unknown)
    return [
        Finding(
            "every acknowledged write is on every node",
            f"{len(acknowledged):,} acknowledged, {_examples(missing) or 'none missing'}",
            bool(acknowledged) and not missing,
        ),
        Finding(
            "no write was applied twice",
            f"{_examples(twice) or 'none'}; {history.refused} were refused and sent again",
            not twice,
        ),
        Finding(
            "nothing is there that nobody wrote",
            f"{len(unknown)} of unknown outcome, {took_effect} of them took effect; "
            + (_examples({(0, w) for w in strangers}) or "no others"),
            not strangers,
        ),
        Finding(
            "all nodes hold the same",
            f"{len(first):,} writes each" if not different else f"nodes {different} differ",
            not different,
        ),
    ]


def _examples(found: set[tuple[int, str]]) -> str:
    if not found:
        return ""
    shown = ", ".join(f"{w} on node {n}" if n else w for n, w in sorted(found)[:3])
    return f"{len(found)}: {shown}" + (", ..." if len(found) > 3 else "")
