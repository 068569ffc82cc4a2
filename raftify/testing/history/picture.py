"""Draw what a check found: one HTML page that needs nothing else, for light and dark screens."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from raftify.testing.history.explanation import counted_from
from raftify.testing.history.linearizability import Answer, Part, Verdict
from raftify.testing.history.model import Model
from raftify.testing.history.operation import Outcome
from raftify.testing.history.picture_layout import BAR, Bar, Layout, lay_out

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1b1f24; --soft: #57606a;
  --line: #d0d7de; --lane: #f6f8fa; --bar: #ddeafb; --edge: #3574c4; --open: #f4efdc;
  --open-edge: #9a6700; --bad: #ffdcd7; --bad-edge: #c1121f; --badge: #1f4f91;
  --on-badge: #ffffff; --aside: #eceff2; --aside-edge: #8c959f; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --text: #e6e9ed; --soft: #9aa4af;
  --line: #343b44; --lane: #1b2026; --bar: #1d3554; --edge: #6ba3ea; --open: #3a3015;
  --open-edge: #d4a72c; --bad: #571b1b; --bad-edge: #ff7b72; --badge: #8fbcf5;
  --on-badge: #0d1b2e; --aside: #2a3038; --aside-edge: #77818c; } }
body { background: var(--page); color: var(--text); margin: 1.5rem;
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .5rem; }
p { margin: .25rem 0; color: var(--soft); max-width: 70rem; }
.picture { display: flex; margin: 1rem 0; border: 1px solid var(--line); }
.clients { flex: none; max-width: 14rem; overflow: hidden; border-right: 1px solid var(--line); }
.time { overflow-x: auto; }
svg { display: block; font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
svg text { fill: var(--text); dominant-baseline: central; }
.lane { fill: var(--lane); }
.bar { fill: var(--bar); stroke: var(--edge); }
.aside { fill: var(--aside); stroke: var(--aside-edge); }
.unknown { fill: var(--open); stroke: var(--open-edge); stroke-dasharray: 5 3; }
.stuck { fill: var(--bad); stroke: var(--bad-edge); stroke-width: 2.5; }
.badge { fill: var(--badge); }
svg .number { fill: var(--on-badge); text-anchor: middle; font-weight: 600; font-size: 11px; }
svg .mark { fill: var(--bad-edge); text-anchor: middle; font-weight: 700; font-size: 15px; }
pre { font: 12px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  overflow-x: auto; background: var(--lane); border: 1px solid var(--line); padding: .75rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.legend svg { display: inline-block; vertical-align: middle; margin-right: .35rem; }
"""
#: What is marked stands at the right end.
_TO_THE_END = "<script>document.querySelector('.time').scrollLeft = 1e6</script>"
_LEGEND = (
    ("bar", "1", "answered; its number in the first order"),
    ("aside", "", "answered, not in that order"),
    ("unknown", "", "outcome unknown: any time from here on, or never"),
    ("stuck", "!", "no order explains it"),
)


def draw(verdict: Verdict, part: Part | None = None) -> str:
    """Return a picture of a part as an HTML page: a lane for each client, time from left to right.

    Args:
        verdict: what `check` found.
        part: one of its parts; the offending one, or else the first, unless given.

    Raises:
        ValueError: the history has no operations, so that there is nothing to draw.
    """
    part = part or verdict.offending or next(iter(verdict.parts), None)
    if part is None:
        raise ValueError("the history is empty: there is nothing to draw")
    layout = lay_out(verdict.model, part.operations, part.found)
    whose = "" if part.name is None else f" at {part.name!r}"
    head = escape(f"{part.answer.value.capitalize()}{whose}")
    pieces = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{head}</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{head}</h1>",
        f"<p>{escape(_summary(part, layout))}</p>",
        f"<p>{escape(counted_from(verdict.began))}</p>",
        _legend(),
        '<div class="picture">',
        _clients(layout),
        _time(verdict.model, layout, verdict.began),
        "</div>",
    ]
    if part is verdict.offending:
        pieces += [f"<pre>{escape(verdict.explain())}</pre>", _TO_THE_END]
    return "\n".join([*pieces, "</body></html>\n"])


def save_picture(path: Path | str, verdict: Verdict, part: Part | None = None) -> None:
    """Write the page that `draw` returns to `path`.

    Raises:
        ValueError: as `draw`.
        OSError: the file cannot be written.
    """
    Path(path).write_text(draw(verdict, part), encoding="utf-8")


def _summary(part: Part, layout: Layout) -> str:
    shown = len(layout.bars)
    text = f"{shown} of {shown + layout.left_out} operations, in the order of calls and returns"
    if part.answer is Answer.LINEARIZABLE:
        return f"{text}; the numbers are an order that explains them."
    if part.answer is Answer.UNDECIDED:
        return f"{text}; the search was broken off at the operation marked."
    return f"{text}. What came after the operation marked makes no difference."


def _legend() -> str:
    items = [
        f'<span><svg width="34" height="20"><rect class="{kind}" x="2" y="2" width="30" '
        f'height="16" rx="4"/>{_badge(number, 12.0, 10.0)}</svg>{text}</span>'
        for kind, number, text in _LEGEND
    ]
    return f'<p class="legend">{"".join(items)}</p>'


def _badge(number: str, x: float, y: float) -> str:
    if not number:
        return ""
    if number == "!":
        return f'<text class="mark" x="{x:.1f}" y="{y:.1f}">!</text>'
    half = 4.5 + 3.5 * len(number)
    return (
        f'<rect class="badge" x="{x - half:.1f}" y="{y - 8:.1f}" width="{2 * half:.1f}" '
        f'height="16" rx="8"/><text class="number" x="{x:.1f}" y="{y:.1f}">{number}</text>'
    )


def _clients(layout: Layout) -> str:
    names = [str(lane.client) for lane in layout.lanes]
    width = 24 + 8 * max(map(len, names), default=0)
    rows = [
        f'<text x="12" y="{lane.top + BAR / 2:.1f}">{escape(name)}</text>'
        for lane, name in zip(layout.lanes, names, strict=True)
    ]
    size = f'width="{width}" height="{layout.height:.0f}"'
    return f'<div class="clients"><svg {size} role="img">{"".join(rows)}</svg></div>'


def _time(model: Model[Any], layout: Layout, began: float) -> str:
    width = f"{layout.width:.0f}"
    stripes = [
        f'<rect class="lane" x="0" y="{lane.top - 5:.1f}" width="{width}" '
        f'height="{lane.height:.1f}"/>'
        for lane in layout.lanes[::2]
    ]
    bars = [_bar(model, bar, began) for bar in layout.bars]
    size = f'width="{width}" height="{layout.height:.0f}"'
    body = "\n".join([*stripes, *bars])
    return f'<div class="time"><svg {size} role="img">{body}</svg></div>'


def _bar(model: Model[Any], bar: Bar, began: float) -> str:
    operation = bar.operation
    kind = "bar" if bar.number else "aside"
    if operation.outcome is Outcome.UNKNOWN:
        kind = "unknown"
    if bar.stuck:
        kind = "stuck"
    middle = bar.top + BAR / 2
    number = "!" if bar.stuck else str(bar.number or "")
    badge_at = (bar.left + bar.label_at) / 2 - 1
    return (
        f"<g><title>{escape(_tooltip(model, bar, began))}</title>"
        f'<rect class="{kind}" x="{bar.left:.1f}" y="{bar.top:.1f}" '
        f'width="{bar.right - bar.left:.1f}" height="{BAR:.0f}" rx="4"/>'
        f"{_badge(number, badge_at, middle)}"
        f'<text x="{bar.label_at:.1f}" y="{middle:.1f}">{escape(bar.label)}</text></g>'
    )


def _tooltip(model: Model[Any], bar: Bar, began: float) -> str:
    operation = bar.operation
    lines = [f"{operation.client}: {model.describe(operation.input)}"]
    if operation.outcome is Outcome.OK:
        lines.append(f"answer: {model.describe_answer(operation.input, operation.output)}")
    else:
        lines.append(f"outcome: {operation.outcome.value}")
    end = "" if operation.returned is None else f"{operation.returned - began:.6f}"
    lines.append(f"from {operation.called - began:.6f} to {end or 'the end'} s")
    if bar.number:
        lines.append(f"number {bar.number} in the order; then {model.describe_state(bar.state)}")
    return "\n".join(lines)
