"""The same seed is the same run, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raftify.state_machine import AbstractStateMachine
from raftify.testing.simulation import SimulatedCluster, Trace, simulate
from raftify.testing.simulation.trace import Applied, Event, Kept, Sent
from tests.testing.simulated_lives import live


class Blind(AbstractStateMachine):
    """Answers and keeps the same whatever it gets."""

    async def apply(self, data: bytes) -> bytes:
        return b"done"

    async def snapshot(self) -> bytes:
        return self.encode()

    async def restore(self, data: bytes) -> None:
        pass

    def encode(self) -> bytes:
        return b"nothing"

    @classmethod
    def decode(cls, data: bytes) -> Blind:
        return cls()


ROOT = Path(__file__).resolve().parents[2]


def test_the_same_seed_gives_the_same_trace_twice_in_one_process() -> None:
    first, second = Trace(), Trace()
    live(3, first)
    live(4)
    live(3, second)
    pairs = zip(first.events(), second.events(), strict=False)
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert first.digest() == second.digest()


def test_another_seed_gives_another_trace() -> None:
    assert live(5).trace.digest() != live(6).trace.digest()


def digest_elsewhere(seeds: list[int], hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.testing.simulated_lives", *map(str, seeds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split()


def test_other_processes_with_other_hashes_give_the_same_trace() -> None:
    here = [live(seed).trace.digest() for seed in (7, 8)]
    assert digest_elsewhere([7, 8], "1") == here
    # In another order, so that nothing is left over from the run before.
    assert digest_elsewhere([8, 7], "2") == here[::-1]


def digest_of(content: bytes, *, through_a_client: bool = False) -> str:
    """Return the digest of a run that proposes `content` and no more; nothing else differs."""

    async def scenario(cluster: SimulatedCluster[Blind]) -> None:
        await cluster.start(3)
        if through_a_client:
            async with cluster.client() as client:
                await client.propose(content)
        else:
            await (await cluster.leader()).raft.propose(content)
        await cluster.converge()

    return simulate(scenario, machine=Blind, seed=1).trace.digest()


@pytest.mark.parametrize("through_a_client", [False, True])
def test_one_byte_of_content_makes_another_trace(*, through_a_client: bool) -> None:
    """The packets are as large, as many and at the same times: only what is in them differs."""
    first, again, other = (
        digest_of(content, through_a_client=through_a_client)
        for content in (b"a" * 100 + b"x", b"a" * 100 + b"x", b"a" * 100 + b"y")
    )
    assert first == again
    assert first != other


def test_an_answer_alone_makes_another_trace() -> None:
    """A state machine that answers by what is not in the log is found out by the digest."""

    def digest_with(answer: bytes) -> str:
        class Answering(Blind):
            async def apply(self, data: bytes) -> bytes:
                return answer

        async def scenario(cluster: SimulatedCluster[Answering]) -> None:
            (node,) = await cluster.start(1)
            await node.raft.propose(b"x")

        return simulate(scenario, machine=Answering).trace.digest()

    assert digest_with(b"a") == digest_with(b"a") != digest_with(b"b")


def test_every_kind_of_event_that_has_content_tells_it_apart() -> None:
    """What a packet, a state machine and a disk got is in the events: they show where two runs
    that should be one part."""

    def events(content: bytes) -> list[Event]:
        async def scenario(cluster: SimulatedCluster[Blind]) -> None:
            (node,) = await cluster.start(1)
            async with cluster.client() as client:
                await client.propose(content)
            await node.raft.make_snapshot()

        trace = Trace()
        simulate(scenario, machine=Blind, trace=trace)
        return trace.events()

    pairs = list(zip(events(b"x"), events(b"y"), strict=True))
    assert {type(one) for one, other in pairs if one != other} == {Applied, Kept, Sent}
    assert all(type(one) is type(other) and one.time == other.time for one, other in pairs)


def test_what_a_node_says_of_itself_is_the_same_in_each_run() -> None:
    """The place of the state machine in memory was in it."""
    kept: list[Blind] = []

    def machine() -> Blind:
        kept.append(Blind())  # so that the next one is at another place
        return kept[-1]

    async def scenario(cluster: SimulatedCluster[Blind]) -> None:
        await cluster.start(1)
        async with cluster.client() as client:
            await client.debug_node()

    first, again = (simulate(scenario, machine=machine).trace.digest() for _ in range(2))
    assert first == again


def test_a_storm_is_the_same_in_another_process() -> None:
    """With everything that storms do; seed 1 once had two traces."""
    command = [sys.executable, "-m", "raftify.testing.storm", "--seed", "1"]
    runs = [
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    digests = {line for run in runs for line in run.splitlines() if line.startswith("digest")}
    assert len(digests) == 1
