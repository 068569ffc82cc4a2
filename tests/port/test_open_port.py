"""The port of real processes under attack, the quick ones; all of them: `tests/soak/port.py`."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.port.attacks_by_content import BY_CONTENT
from tests.port.attacks_by_weight import (
    byte_by_byte,
    crowds_of_joiners,
    crowds_of_strangers,
    endless_headers,
    endless_snapshots,
    results_never_read,
    streams_opened_and_cut,
)
from tests.port.siege import Attack, besieged

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="measures by /proc"),
]

BY_WEIGHT = (
    streams_opened_and_cut,
    crowds_of_strangers,
    crowds_of_joiners,
    endless_snapshots,
    endless_headers,
    byte_by_byte,
    results_never_read,
)
#: What a node may hold at the worst of these attacks, in MiB; without any it has 50.
BOUND_MIB = 400


@pytest.mark.parametrize("attacks", [BY_CONTENT, BY_WEIGHT], ids=["content", "weight"])
async def test_attacks_cost_no_leader_no_write_and_no_memory(
    attacks: tuple[Attack, ...], tmp_path: Path
) -> None:
    random = Random(4)
    async with besieged(tmp_path) as siege:
        for attack in attacks:
            cost = await siege.endure(attack, random)
            assert not cost.faults, cost
            assert cost.peak_mib < BOUND_MIB, cost
