"""Where the operations of a picture stand: what is shown, in which lane, from where to where."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from raftify.testing.history.explanation import labelled
from raftify.testing.history.model import Model
from raftify.testing.history.operation import Operation
from raftify.testing.history.search import Found

#: Lengths in pixels. A character's width is that of a monospaced font of 12 pixels, rounded up.
CHARACTER = 7.4
GAP = 12.0
#: Room for the number before the label: at its sides, and for each digit.
BADGE_SIDES = 16.0
DIGIT = 7.0
ROW = 34.0
BAR = 24.0
LANE_GAP = 10.0
MARGIN = 14.0
#: A label longer than this many characters is cut; the whole stands in the tooltip.
LABEL = 44
#: How many placed operations before the stuck one are shown, and how many at all if none is.
SHOWN_BEFORE = 16
SHOWN = 60


@dataclass(frozen=True)
class Bar:
    """One operation as it is drawn: `number` is its place in the order, 0 if it has none."""

    operation: Operation
    label: str
    label_at: float
    number: int
    state: Any
    stuck: bool
    left: float
    right: float
    top: float


@dataclass(frozen=True)
class Lane:
    """What one client did: `height` includes the gap below."""

    client: Hashable
    top: float
    height: float


@dataclass(frozen=True)
class Layout:
    """A picture's geometry, and how many operations of the part it leaves out."""

    bars: tuple[Bar, ...]
    lanes: tuple[Lane, ...]
    width: float
    height: float
    left_out: int


def lay_out(model: Model[Any], operations: Sequence[Operation], found: Found) -> Layout:
    """Place the operations of one part that show best what was found."""
    placed = found.order
    if placed is None:
        placed = found.dead_ends[0].order if found.dead_ends else ()
    places = {id(each): (number, state) for number, (each, state) in enumerate(placed, 1)}
    shown = _shown(operations, found, [each for each, _ in placed])
    labels = {id(each): _cut(labelled(model, each)) for each in shown}
    digits = len(str(len(placed)))
    indent = BADGE_SIDES + digits * DIGIT
    needed = {each: indent + len(label) * CHARACTER + GAP for each, label in labels.items()}
    spans, width = _spans(shown, needed)
    bars, lanes, top = [], [], MARGIN
    for client, rows in _rows(shown, spans).items():
        lanes.append(Lane(client, top, len(rows) * ROW + LANE_GAP))
        for row in rows:
            for each in row:
                number, state = places.get(id(each), (0, None))
                left, right = spans[id(each)]
                label = labels[id(each)]
                stuck = each is found.stuck
                label_at = left + (indent if number or stuck else GAP / 2)
                bars.append(Bar(each, label, label_at, number, state, stuck, left, right, top))
            top += ROW
        top += LANE_GAP
    return Layout(tuple(bars), tuple(lanes), width, top, len(operations) - len(shown))


def _shown(
    operations: Sequence[Operation], found: Found, placed: Sequence[Operation]
) -> list[Operation]:
    """Return what happened about when the order ends: what comes later explains nothing."""
    if found.stuck is None:
        return list(operations[:SHOWN])
    begin = min((each.called for each in placed[-SHOWN_BEFORE:]), default=-math.inf)
    near = {id(each) for each in placed[-SHOWN_BEFORE:]}
    return [
        each
        for each in operations
        if each.called <= found.stuck.ends
        and (id(each) in near or begin <= (each.called if each.ends == math.inf else each.ends))
    ]


def _spans(
    shown: Iterable[Operation], needed: dict[int, float]
) -> tuple[dict[int, tuple[float, float]], float]:
    """Return from where to where each bar goes, and where the last one ends.

    Every call and return has a place of its own, in the order of their times, and every bar is
    as long as its label at least. Lengths say nothing about durations.
    """
    shown = list(shown)
    events = [(each.called, 0, number) for number, each in enumerate(shown)]
    events += [(each.ends, 1, number) for number, each in enumerate(shown) if each.ends < math.inf]
    lefts: dict[int, float] = {}
    spans: dict[int, tuple[float, float]] = {}
    at = MARGIN
    for _, is_return, number in sorted(events):
        key = id(shown[number])
        if is_return:
            at = max(at, lefts[key] + needed[key])
            spans[key] = lefts[key], at
        else:
            lefts[key] = at
        at += GAP
    endless = [each for each in shown if id(each) not in spans]
    width = max([at, *(lefts[id(each)] + needed[id(each)] + GAP for each in endless)])
    for each in endless:
        spans[id(each)] = lefts[id(each)], width
    return spans, width + MARGIN


def _rows(
    shown: Iterable[Operation], spans: dict[int, tuple[float, float]]
) -> dict[Hashable, list[list[Operation]]]:
    """Return the operations of each client in as few rows as let none cover another."""
    clients: dict[Hashable, list[list[Operation]]] = {}
    for each in sorted(shown, key=lambda one: one.called):
        rows = clients.setdefault(each.client, [])
        left = spans[id(each)][0]
        for row in rows:
            if spans[id(row[-1])][1] <= left:
                row.append(each)
                break
        else:
            rows.append([each])
    return dict(sorted(clients.items(), key=lambda item: str(item[0])))


def _cut(label: str) -> str:
    return label if len(label) <= LABEL else f"{label[: LABEL - 1]}…"
