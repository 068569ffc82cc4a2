"""A node dies at every single `await` of a stretch, and in every disk write, by a power failure
and by kill -9; the stretch holds a few entries, their snapshots and purges."""

from __future__ import annotations

import pytest

from tests.testing.crash_sweep import at_await, in_write, sweep


@pytest.mark.parametrize("power_lost", [True, False], ids=["power lost", "kill -9"])
@pytest.mark.parametrize(("leads", "least"), [(True, 60), (False, 25)], ids=["leader", "follower"])
def test_a_crash_at_any_await_loses_nothing_acknowledged(
    *, leads: bool, least: int, power_lost: bool
) -> None:
    assert sweep(at_await(power_lost=power_lost), leads=leads, places=400) in range(least, 400)


@pytest.mark.parametrize("power_lost", [True, False], ids=["power lost", "kill -9"])
@pytest.mark.parametrize("leads", [True, False], ids=["leader", "follower"])
def test_a_crash_in_any_write_loses_nothing_acknowledged(*, leads: bool, power_lost: bool) -> None:
    for seed in range(2):  # the write where it dies is done, or not
        found = sweep(in_write(power_lost=power_lost), leads=leads, places=100, seed=seed)
        assert found in range(6, 100)
