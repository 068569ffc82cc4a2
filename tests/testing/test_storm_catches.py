"""What storms demand of the verbs that look on and wait: each demand fails where it is broken."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from raftify.core.types import Entry
from raftify.facade.log import Log
from raftify.leading import LeaderWork
from raftify.node.local_state import LocalState
from raftify.node.metrics import Gauge, Metrics
from raftify.storage.log_archive import LogArchive
from raftify.testing.invariants.committed import Configurations
from raftify.testing.simulation import InvariantViolation
from raftify.testing.storm import StormFailed, run_storm
from raftify.testing.storm.fences import Fences
from raftify.testing.storm.plan import draw_plan
from raftify.waiting import Wait, Watch
from tests.testing.views import FakeNode

Break = Callable[[pytest.MonkeyPatch], None]


def make_entry(term: int, index: int, data: bytes) -> Entry:
    return Entry(term=term, index=index, data=data)


def run_all(seeds: Sequence[int | str], **arguments: Any) -> None:
    """Run these storms; the first that finds something raises it."""
    for seed in seeds:
        run_storm(seed, size=3, **arguments)


def wait_for_nothing(patch: pytest.MonkeyPatch) -> None:
    async def until(self: Wait, *_: object) -> Metrics:
        return self._node.gauge.read()

    patch.setattr(Wait, "until", until)


def wait_too_long(patch: pytest.MonkeyPatch) -> None:
    whole = LocalState.wait_until

    async def longer(self: LocalState, holds: Any, *, timeout: float, what: str) -> None:
        await whole(self, holds, timeout=timeout * 1.2, what=what)

    patch.setattr(LocalState, "wait_until", longer)


def give_up_too_early(patch: pytest.MonkeyPatch) -> None:
    whole = LocalState.wait_until

    async def shorter(self: LocalState, holds: Any, *, timeout: float, what: str) -> None:
        await whole(self, holds, timeout=timeout / 2, what=what)

    patch.setattr(LocalState, "wait_until", shorter)


def follow_for_a_while(patch: pytest.MonkeyPatch) -> None:
    whole, told = Watch.__anext__, Counter[Watch]()

    async def tire(self: Watch) -> Metrics:
        told[self] += 1
        if told[self] > 2:
            await asyncio.sleep(1000)
        return await whole(self)

    patch.setattr(Watch, "__anext__", tire)


def follow_without_a_pause(patch: pytest.MonkeyPatch) -> None:
    whole = Watch.__init__

    def hasty(self: Watch, node: Any, interval: float) -> None:
        whole(self, node, interval / 3)

    patch.setattr(Watch, "__init__", hasty)


def go_back(patch: pytest.MonkeyPatch) -> None:
    whole = Gauge.read

    def older(self: Gauge) -> Metrics:
        metrics, loop = whole(self), self._state.loop
        old = loop is not None and loop.time() % 2 < 1
        return replace(metrics, applied=metrics.applied - old)

    patch.setattr(Gauge, "read", older)


def recover_at_once(patch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Log, *, timeout: float | None = None) -> int:
        return self._node.state.applied - 1

    patch.setattr(Log, "wait_for_recovery", hasty)


def never_stop(patch: pytest.MonkeyPatch) -> None:
    async def forget(self: LeaderWork, working: asyncio.Task[None], _term: int) -> None:
        working.cancel()

    patch.setattr(LeaderWork, "_wind_up", forget)


def never_start(patch: pytest.MonkeyPatch) -> None:
    async def refuse(self: LeaderWork, _term: int) -> bool:
        return False

    patch.setattr(LeaderWork, "_is_confirmed", refuse)


def start_everywhere(patch: pytest.MonkeyPatch) -> None:
    async def follow(self: LeaderWork) -> None:
        await self._node.state.wait_for(lambda: bool(self._node.state.leader_id))
        await self._lead(self._node.state.term)

    patch.setattr(LeaderWork, "_follow", follow)
    patch.setattr(LeaderWork, "_leads", lambda self, term: self._node.state.term == term)


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (wait_for_nothing, "returned Metrics"),
        (wait_too_long, "s late"),
        (give_up_too_early, "ended after"),
        (follow_for_a_while, "was told .* at last"),
        (follow_without_a_pause, "more often than each"),
        (go_back, "applied went back"),
        (recover_at_once, "has recovered up to"),
        (never_stop, "StoppedJobs|begins a job in .* at Job|taken from it|these are at work"),
        (never_start, "these are at work: {}"),
        (start_everywhere, "begins a (second )?job"),
    ],
)
def test_what_breaks_a_promise_is_found(
    monkeypatch: pytest.MonkeyPatch, break_it: Break, complaint: str
) -> None:
    break_it(monkeypatch)
    with pytest.raises((StormFailed, InvariantViolation), match=complaint):
        run_all([f"promise {seed}" for seed in range(5)], seconds=15, faults=())


def test_a_hole_in_an_archive_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second batch that was to be archived is not."""
    whole, count = LogArchive.append, 0

    def forget(self: LogArchive, entries: Sequence[Entry]) -> None:
        nonlocal count
        count += 1
        if count % 2:
            whole(self, entries)

    monkeypatch.setattr(LogArchive, "append", forget)
    seeds = [f"hole {i}" for i in range(40) if draw_plan(f"hole {i}").archived]
    with pytest.raises(StormFailed, match="neither in its log nor in its archive"):
        run_all(seeds[:8], seconds=8, faults=())


def test_an_entry_behind_its_fence_is_found() -> None:
    fences = Fences({b"fenced": 3}, lambda node_id: node_id == 2)
    node: Any = FakeNode(1)
    lost: Any = FakeNode(2)
    fences.on_apply(lost, [make_entry(3, 9, b""), make_entry(4, 10, b"fenced")], [b"", b""])
    fences.on_apply(node, [make_entry(3, 5, b"fenced"), make_entry(4, 6, b"free")], [b"", b""])
    assert fences.reached_before(4) == 5
    with pytest.raises(InvariantViolation, match="proposed for term 3 only"):
        fences.on_apply(node, [make_entry(4, 7, b"fenced")], [b""])


def test_a_storm_says_that_it_lost_track_of_the_configurations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is demanded of them ends with the first gap, and a storm could pass without any."""
    lost = "configurations not followed to the end"
    assert not run_storm(1, size=3, seconds=2, operator=False).looks[lost]
    monkeypatch.setattr(Configurations, "follow", lambda *_: None)
    assert run_storm(1, size=3, seconds=2, operator=False).looks[lost] == 1
