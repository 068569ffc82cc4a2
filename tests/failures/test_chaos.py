"""Whole clusters under faults from a seed; `python -m tests.soak.chaos` runs any number of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.client.virtual_time import VirtualTimeLoop
from tests.failures.chaos import Chaos

#: A few of each size. 5 members, 3 and 3; state machines with coroutines and with plain functions.
SEEDS = (4, 5, 7, 23, 73)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost_or_applied_twice(seed: int) -> None:
    """Crashes, cuts, slow disks, snapshots, joins, removals, all under load (failures b23)."""
    chaos = Chaos(seed, size=3 if seed % 3 else 5)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(chaos.run())
    assert len(chaos.acknowledged) > 100
    assert sum(chaos.faults.values()) == chaos.rounds
