"""Simulated threads: what one writes may be seen between any two reads of a step of the core."""

from __future__ import annotations

import asyncio

import pytest

from raftify.config import Config
from raftify.errors import OutcomeUnknown
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


@pytest.mark.parametrize("while_called", [False, True])
def test_what_a_node_leaves_running_is_found_also_while_somebody_waits_for_its_answer(
    *, while_called: bool
) -> None:
    """What a call began is its own affair until it is answered; the rest must have ended."""

    async def sleep_on(_raft: object) -> None:
        await asyncio.create_task(asyncio.sleep(1_000), name="of the call")

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        (node,) = await cluster.start(1)
        assert node.process is not None
        node.process.run(lambda: cluster.loop.create_task(asyncio.sleep(1_000), name="forgotten"))
        if while_called:
            calling = asyncio.create_task(node.call(sleep_on))
            await asyncio.sleep(0.1)
        await node.stop()
        if while_called:
            with pytest.raises(OutcomeUnknown):
                await calling

    with pytest.raises(AssertionError, match=r"left tasks over: forgotten\n"):
        simulate(scenario, machine=Tally)


def test_a_call_that_waits_is_nothing_that_a_node_left_over() -> None:
    """Storm 12176: a client of `join_cluster` looked for the leader when its node was stopped."""

    async def sleep_on(_raft: object) -> None:
        await asyncio.create_task(asyncio.sleep(1_000), name="of the call")

    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        (node,) = await cluster.start(1)
        calling = asyncio.create_task(node.call(sleep_on))
        await asyncio.sleep(0.1)
        await node.stop()
        with pytest.raises(OutcomeUnknown):
            await calling

    simulate(scenario, machine=Tally)
