"""Whom a leader that goes lets lead, and how long it waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from raftify.config import Config
from raftify.core.raw_node import RawNode
from raftify.errors import TransferRejected
from raftify.node.core_calls import CoreCalls
from raftify.node.local_state import LocalState
from raftify.node.succession import Succession

CONFIG = Config()
PATIENCE = 2 * CONFIG.raft_config.election_tick * CONFIG.tick_interval
#: Up to where each voter's log matches; node 6 is silent.
MATCHED = {1: 9, 2: 7, 3: 7, 4: 5, 5: 4, 6: 8}


class Calls:
    """Notes who was chosen and for how long, and then refuses."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []

    async def ask(self, act: Callable[[Any, float], None], timeout: float) -> int:
        future = asyncio.get_running_loop().create_future()
        act(future, 0.0)
        self.asked.append((await future, timeout))
        raise TransferRejected("nobody there")


def office(calls: Calls, matched: dict[int, int] = MATCHED) -> Succession:
    progress = {i: SimpleNamespace(matched=at) for i, at in matched.items()}
    raw = SimpleNamespace(
        raft=None,
        status=lambda: SimpleNamespace(progress=progress),
        transfer_leader=lambda to: None,
    )
    conf = SimpleNamespace(voters=(1, 2, 3, 4, 6))
    state = SimpleNamespace(is_leader=True, node_id=1, membership=SimpleNamespace(conf_state=conf))
    return Succession(
        state=cast("LocalState", state),
        raw=cast("RawNode", raw),
        calls=cast("CoreCalls", calls),
        is_silent=lambda node_id: node_id == 6,
        config=CONFIG,
    )


@pytest.mark.parametrize(
    ("given", "waited"), [(None, PATIENCE), (60.0, PATIENCE), (0.25, 0.25), (0.0, 0.0)]
)
async def test_it_waits_no_longer_than_it_was_told(given: float | None, waited: float) -> None:
    """A change has no time left after others took it; 0 was taken for no limit."""
    calls = Calls()
    await office(calls).hand_over(timeout=given)
    assert calls.asked == [(2, waited)]


@pytest.mark.parametrize(("among", "chosen"), [({3, 4}, 3), ({4, 5, 1}, 4), ({3, 6}, 3)])
async def test_it_chooses_among_the_voters_that_stay(among: set[int], chosen: int) -> None:
    calls = Calls()
    await office(calls).hand_over(among=among)
    assert [to for to, _ in calls.asked] == [chosen]


async def test_it_lets_it_be_where_nobody_can_take_over() -> None:
    calls = Calls()
    await office(calls).hand_over(among={5, 6})
    assert calls.asked == []


async def test_without_an_id_a_transfer_goes_to_whoever_has_most_of_the_log() -> None:
    calls = Calls()
    with pytest.raises(TransferRejected, match="nobody there"):
        await office(calls).transfer(0, timeout=1)
    assert calls.asked == [(2, 1)]


async def test_a_transfer_to_nobody_says_so() -> None:
    with pytest.raises(TransferRejected, match=r"no other voter was heard of .* bring one back"):
        await office(Calls(), {1: 9, 6: 8}).transfer(0, timeout=1)
