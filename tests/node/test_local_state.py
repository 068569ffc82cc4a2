"""What a node knows of itself: waiting for it."""

from __future__ import annotations

import asyncio

import pytest

from raftify.errors import ConfigError, DeadlineExceeded, NodeStopped
from raftify.node.local_state import LocalState, RunningState
from raftify.peers import Membership
from raftify.storage.base import StoreIdentity


def a_state() -> LocalState:
    state = LocalState(StoreIdentity("c", 1, "own"), "n1:1", Membership())
    state.running = RunningState.RUNNING
    return state


async def test_what_holds_already_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each proposal on a leader took a third of all writes a second."""

    def refuse(delay: float | None) -> asyncio.Timeout:
        raise AssertionError(f"a timer of {delay} s was made")

    monkeypatch.setattr(asyncio, "timeout", refuse)
    state = a_state()
    await state.wait_until(lambda: True, timeout=5, what="this")
    with pytest.raises(AssertionError, match="a timer of 5 s"):
        await state.wait_until(lambda: False, timeout=5, what="this")


async def test_waits_for_a_change_and_no_longer_than_it_may() -> None:
    state = a_state()
    waiting = asyncio.create_task(
        state.wait_until(lambda: state.term == 3, timeout=5, what="term 3")
    )
    await asyncio.sleep(0)
    state.term = 3
    state.notify()
    await waiting
    with pytest.raises(DeadlineExceeded, match="term 4 did not happen within 0 s"):
        await state.wait_until(lambda: state.term == 4, timeout=0, what="term 4")


async def test_nothing_holds_of_a_node_that_ended_or_runs_on_another_loop() -> None:
    state = a_state()
    waiting = asyncio.create_task(state.wait_for(lambda: False))
    await asyncio.sleep(0)
    state.running = RunningState.STOPPED
    state.notify()
    with pytest.raises(NodeStopped, match="node 1 is stopped"):
        await waiting
    with pytest.raises(NodeStopped, match="node 1 is stopped"):
        await state.wait_until(lambda: True, timeout=5, what="this")
    state = a_state()
    state.loop = asyncio.new_event_loop()
    try:
        with pytest.raises(ConfigError, match="runs on another event loop"):
            await state.wait_until(lambda: True, timeout=5, what="this")
    finally:
        state.loop.close()
