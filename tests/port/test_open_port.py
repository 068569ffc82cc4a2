"""The port of real processes under attack; for longer, and in any order: `tests/soak/port.py`."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.port.attacks_by_content import BY_CONTENT
from tests.port.attacks_by_request import BY_REQUEST
from tests.port.attacks_by_weight import BY_WEIGHT
from tests.port.bounds import ELECTION
from tests.port.machines import MEANT_FOR_OTHERS, Sink
from tests.port.siege import Cost, besieged, changes, too_much
from tests.port.target import Attack


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="measures by /proc")
@pytest.mark.parametrize(
    "attacks", [(*BY_CONTENT, *BY_REQUEST), BY_WEIGHT], ids=["content", "weight"]
)
async def test_attacks_cost_no_leader_no_write_and_no_memory(
    attacks: tuple[Attack, ...], tmp_path: Path
) -> None:
    random = Random(4)
    # Twice as much as in soak, which has the machine for itself.
    async with besieged(tmp_path, worst_write=2 * ELECTION) as siege:
        for attack in attacks:
            cost = await siege.endure(attack, random)
            assert not cost.faults, cost


@pytest.mark.parametrize(
    ("written", "cost", "fault"),
    [
        (9, Cost("x", seconds=2.0, peak_mib=60, worst_write=0.1), ""),
        (0, Cost("x", seconds=0.1, peak_mib=60, worst_write=0.1), ""),
        (0, Cost("x", seconds=1.0, peak_mib=60, worst_write=0.1), "only 0 writes"),
        (3, Cost("x", seconds=8.0, peak_mib=60, worst_write=0.1), "only 3 writes"),
        (9, Cost("x", seconds=2.0, peak_mib=60, worst_write=2.1), "a write took over 2 s"),
        (9, Cost("x", seconds=2.0, peak_mib=101, worst_write=0.1), "memory rose by more than 100"),
    ],
)
def test_what_an_attack_must_not_cost_is_a_fault(written: int, cost: Cost, fault: str) -> None:
    found = too_much(cost, most_mib=100, written=written, worst_write=2.0)
    assert [fault in text for text in found] == [True] * bool(fault)


async def test_what_was_meant_for_others_is_remembered_and_a_fault() -> None:
    sink = Sink()
    await sink.apply(b"honest")
    assert not sink.counts
    await sink.apply(MEANT_FOR_OTHERS)
    other = Sink()
    await other.restore(await sink.snapshot())
    assert (other.number, other.counts) == (2, {"meant for others": 1})
    same = ("term", "leader_id", "role", "voters", "learners", "addresses", "max_id_kept")
    old = {**dict.fromkeys(same, 0), "node_id": 1, "descriptors": 9, "tasks": 9, "counts": {}}
    assert changes(old, old) == []
    assert changes(old, {**old, "counts": other.counts}) == [
        "node 1: counts {} -> Counter({'meant for others': 1})"
    ]
