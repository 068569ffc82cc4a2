"""Simulated threads: what one writes may be seen between any two reads of a step of the core."""

from __future__ import annotations

import asyncio

import pytest

from raftify.config import Config
from raftify.testing.simulation import SimulatedCluster, simulate
from raftify.testing.simulation.worker import Pace, SimulatedWorker
from tests.cluster.machines import Tally


@pytest.mark.parametrize("reads", [1, 3])
def test_a_call_has_its_effect_before_the_read_that_was_drawn(reads: int) -> None:
    seen: list[str] = []

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        loop = cluster.loop
        pace = Pace(lambda: (0.01, 0.02))
        worker = SimulatedWorker(loop, loop.process("p"), pace, lambda: reads)
        done = worker.run(seen.append, "written")
        begin = loop.now
        worker.before_read()
        assert not seen  # it has not come so far
        await asyncio.sleep(0.0101)
        for _ in range(reads - 1):
            worker.before_read()
            assert not seen
        worker.before_read()
        assert seen == ["written"]
        worker.before_read()
        await done
        assert seen == ["written"]
        assert loop.now - begin == pytest.approx(0.0305)

    simulate(scenario, machine=Tally)


def test_a_call_that_nobody_reads_meanwhile_waits_but_a_moment() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        loop = cluster.loop
        pace = Pace(lambda: (0.01, 0.02))
        worker = SimulatedWorker(loop, loop.process("p"), pace, lambda: 5)
        begin = loop.now
        assert await worker.run(lambda: 7) == 7
        assert loop.now - begin == pytest.approx(0.0305)
        with pytest.raises(ValueError, match="invalid literal"):
            await worker.run(int, "x")

    simulate(scenario, machine=Tally)


def test_writes_are_seen_in_the_middle_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted = 0
    before_read = SimulatedWorker.before_read

    def counted(worker: SimulatedWorker) -> None:
        nonlocal interrupted
        had = worker._done
        before_read(worker)
        interrupted += had is None and worker._done is not None

    monkeypatch.setattr(SimulatedWorker, "before_read", counted)

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        leader = await cluster.leader()
        for number in range(200):
            await leader.raft.propose(b"%d" % number)

    simulate(scenario, machine=Tally, config=Config(snapshot_entries=20))
    assert interrupted > 5
