"""What a trace tells a person: who did what to whom, who asked what, and what ended the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from raftify.errors import ConfigError
from raftify.testing.simulation import Conditions, SimulatedCluster, Trace, draw, simulate
from raftify.testing.simulation.trace import Failed, Fault
from tests.cluster.machines import Tally


def traced(scenario: Callable[[SimulatedCluster[Tally]], object], seed: int = 0) -> Trace:
    """Return the trace of a run of `scenario` with three nodes."""
    trace = Trace()

    async def run(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(3)
        done = scenario(cluster)
        if asyncio.iscoroutine(done):
            await done

    simulate(run, machine=Tally, seed=seed, trace=trace)
    return trace


def faults(trace: Trace) -> list[str]:
    return [event.what for event in trace.events() if isinstance(event, Fault)]


def test_all_that_is_done_to_the_network_is_told_with_its_victims() -> None:
    def scenario(cluster: SimulatedCluster[Tally]) -> None:
        network = cluster.network
        network.cut("n1", "n2")
        network.cut("n1", "n3", both_ways=True)
        network.mend("n1", "n2")
        network.isolate("n3")
        network.set_link("n2", "n1", Conditions(delay=0.5, loss=0.1, bytes_per_second=1000))
        network.set_conditions(Conditions(corrupt=0.25))
        network.heal()

    assert faults(traced(scenario)) == [
        "cut n1 -> n2",
        "cut n1 <-> n3",
        "mend n1 <-> n2",
        "isolate n3",
        "link n2 -> n1: delay 0.5, loss 0.1, bytes_per_second 1000",
        "all links: corrupt 0.25",
        "heal the network",
    ]


def test_all_that_is_done_to_a_machine_is_told_with_its_name() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        first, second, third = cluster.nodes.values()
        first.storage.room_bytes = 500
        first.storage.room_bytes = None
        first.storage.fail_writes = False  # as it was: nothing happened
        second.disk_pace = 0.5
        second.disk_pace = 0.5
        second.crash(power_lost=False)
        third.crash_after(0)
        await third.ended()
        third.storage.return_old()
        third.wipe()

    told = faults(traced(scenario))
    assert told[:6] == [
        "disk of n1: has room for 500 B",
        "disk of n1: has room again",
        "n2: a disk write takes 0.5 s",
        "n2 is killed",
        "n3 is to crash after 0 callbacks",
        "n3 loses power",
    ]
    assert told[6].startswith("disk of n3: old again: the r")
    assert told[7:] == ["disk of n3: is wiped", "wipe n3"]


def test_calls_and_answers_of_nodes_and_of_clients_are_told() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        leader = await cluster.leader()
        assert await leader.raft.propose(b"mine") == b"mine:1"
        with pytest.raises(ConfigError):
            await leader.raft.propose(b"x", timeout=-1)
        async with cluster.client(leader.address) as client:
            await client.propose(b"yours")

    text = traced(scenario).text()
    assert "propose(b'mine')" in text
    assert ": b'mine:1' [" in text
    assert ": ConfigError [" in text
    assert "Propose b'yours' [" in text
    assert "answer to Propose b'yours': done [" in text


def test_the_last_event_is_the_failure_and_the_drawing_has_it_and_the_seed() -> None:
    async def scenario(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(1)
        raise ValueError(f"nothing\nwas found at {object()}")

    trace = Trace()
    with pytest.raises(ValueError, match="nothing"):
        simulate(scenario, machine=Tally, seed=41, trace=trace)
    last = trace.events()[-1]
    assert isinstance(last, Failed)
    assert last.what == "ValueError: nothing was found at <object object at 0x...>"
    page = draw(trace)
    assert "<h3>seed 41</h3>" in page
    assert "FAILED: ValueError: nothing was found" in page
    assert "<h3>by hand</h3>" in draw(trace, "by hand")
    assert "<h3>simulation</h3>" in draw(trace.events())


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda cluster: cluster.place(0), "a cluster needs a voter: size is 0"),
        (lambda cluster: cluster.place(3, first_leader=9), "node 9 cannot lead first: the voters"),
        (lambda cluster: cluster.network.cut("nX", "n1"), "no host 'nX' .* one of n1, n2, n3"),
        (lambda cluster: cluster.network.isolate("4"), "no host '4' on this network"),
        (lambda cluster: cluster.network.mend("n1", "?"), "no host '\\?' on this network"),
        (
            lambda cluster: cluster.network.set_link("n1", "?", Conditions()),
            "no host '\\?' on this network",
        ),
    ],
)
def test_wrong_arguments_are_refused(
    wrong: Callable[[SimulatedCluster[Tally]], object], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        traced(wrong)


def test_who_waits_in_vain_hears_for_what_and_how_the_nodes_are() -> None:
    async def leaderless(cluster: SimulatedCluster[Tally]) -> None:
        for node in list(cluster.nodes.values())[:2]:
            node.crash()
        await cluster.leader(5)

    async def never(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.until(lambda: False, 5)

    with pytest.raises(TimeoutError, match="no node that runs leads and can commit, after 5 s: n1"):
        traced(leaderless)
    with pytest.raises(TimeoutError, match=r"does not hold: .*never.*test_simulation_traces.py"):
        traced(never)


def test_a_scenario_that_hangs_ends_with_how_the_nodes_are() -> None:
    async def hangs(cluster: SimulatedCluster[Tally]) -> None:
        await cluster.start(1)
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="not over after 30 s of virtual time") as caught:
        simulate(hangs, machine=Tally, timeout=30)
    assert caught.value.__notes__[-1].startswith("n1 (node 1) is leader in term 2")
