"""A message-sequence drawing of a trace: a lane for each node, an arrow for each packet."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from raftify.testing.simulation.trace import (
    Answered,
    Called,
    Delivered,
    Dropped,
    Ended,
    Event,
    Failed,
    Fault,
    Kept,
    NodeEvent,
    RoleChanged,
    Sent,
    Trace,
    text_of,
    what_of,
)

_LANE = 190
_ROW = 17
_LEFT = 110
_TOP = 40
#: So many events can still be looked at, or opened; of more, the last are drawn.
MAX_EVENTS = 4000

_STYLE = """
text { font: 11px monospace; fill: #222 } .time { fill: #888 } .lane { stroke: #ddd }
.sent { stroke: #3465a4; fill: none } .lost { stroke: #cc0000; stroke-dasharray: 4 3; fill: none }
.dead { stroke: #cc0000; stroke-width: 2 } .what { fill: #3465a4 } .fault { fill: #cc0000 }
.failed { fill: #cc0000; font-weight: bold } .disk { fill: #888 } .call { fill: #6a1b9a }
.leader { fill: #2e7d32; font-weight: bold }
"""


def draw(events: Iterable[Event], title: str = "") -> str:
    """Return a page of HTML that shows `events`; of more than MAX_EVENTS the last ones.

    A Trace without a `title` of the caller's is called by its seed.

    Time goes down, one row an event, so that a burst is as readable as a minute of silence.
    """
    title = title or (events.title if isinstance(events, Trace) else "") or "simulation"
    shown = list(events)[-MAX_EVENTS:]
    lanes = {name: _LEFT + _LANE * at + _LANE // 2 for at, name in enumerate(_names(shown))}
    height, width = _TOP + _ROW * (len(shown) + 2), _LEFT + _LANE * max(len(lanes), 2)
    parts = [
        f'<line class="lane" x1="{x}" y1="{_TOP}" x2="{x}" y2="{height}"/>'
        f'<text x="{x}" y="{_TOP - 12}" text-anchor="middle">{escape(name)}</text>'
        for name, x in lanes.items()
    ]
    left: dict[int, int] = {}
    for row, event in enumerate(shown):
        y = _TOP + _ROW * (row + 1)
        parts.append(f'<text class="time" x="4" y="{y + 4}">{event.time:.6f}</text>')
        parts.append(_draw(event, y, lanes, left))
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{_STYLE}</style></head><body><h3>{escape(title)}</h3>\n"
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">\n'
        f"{body}\n</svg></body></html>\n"
    )


def _names(events: list[Event]) -> list[str]:
    """Return who takes part, nodes before clients, each in the order of its number."""
    names: set[str] = set()
    for event in events:
        match event:
            case Sent() | Delivered() | Dropped():
                names |= {event.source, event.target}
            case Fault() | Failed():
                pass
            case _:
                names.add(event.node)
    return sorted(names, key=lambda name: (not name.startswith("n"), len(name), name))


def _draw(event: Event, y: int, lanes: dict[str, int], left: dict[int, int]) -> str:
    """Return the marks of one event. `left` remembers in which row a packet left."""
    match event:
        case Sent(_, source, _, number, what, _):
            left[number] = y
            return _mark(lanes[source], y, f"#{number} {what}", "what", tooltip=text_of(event))
        case Delivered(_, source, target, number, _):
            return _arrow(lanes[source], left.get(number, y), lanes[target], y, "sent", event)
        case Dropped(_, source, target, number, _):
            middle = (lanes[source] + lanes[target]) // 2
            return _arrow(lanes[source], left.get(number, y), middle, y, "lost", event)
        case Ended(_, node, how):
            x = lanes[node]
            cross = f"M{x - 6},{y - 6} L{x + 6},{y + 6} M{x + 6},{y - 6} L{x - 6},{y + 6}"
            return f'<path class="dead" d="{cross}"/>' + _mark(x + 6, y, how, "fault")
        case Fault(_, what):
            return f'<text class="fault" x="{_LEFT}" y="{y + 4}">{escape(what)}</text>'
        case Failed(_, what):
            return f'<text class="failed" x="{_LEFT}" y="{y + 4}">FAILED: {escape(what)}</text>'
        case _:
            style = _style_of(event)
            return _mark(lanes[event.node], y, what_of(event), style, tooltip=text_of(event))


def _style_of(event: NodeEvent) -> str:
    match event:
        case RoleChanged(_, _, "leader", _):
            return "leader"
        case Kept():
            return "disk"
        case Called() | Answered():
            return "call"
        case _:
            return ""


def _mark(x: int, y: int, text: str, style: str = "", *, tooltip: str = "") -> str:
    short = text if len(text) <= 26 else text[:25] + "~"
    title = f"<title>{escape(tooltip or text)}</title>"
    return (
        f'<circle cx="{x}" cy="{y}" r="2.5"/>'
        f'<text class="{style}" x="{x + 6}" y="{y + 4}">{escape(short)}{title}</text>'
    )


def _arrow(x1: int, y1: int, x2: int, y2: int, style: str, event: Event) -> str:
    back = 7 if x2 < x1 else -7
    title = f"<title>{escape(text_of(event))}</title>"
    head = f"M{x2 + back},{y2 - 4} L{x2},{y2} L{x2 + back},{y2 + 4}"
    return (
        f'<g><path class="{style}" d="M{x1},{y1} L{x2},{y2}"/>'
        f'<path class="{style}" d="{head}"/>{title}</g>'
    )
