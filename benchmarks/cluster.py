"""Writes per second and their latency in a cluster of three processes; writes to bench-results/."""

from __future__ import annotations

import argparse
import asyncio
import pstats
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

import raftify
from benchmarks.baseline import BaselineMeter
from benchmarks.load import Round, run_round
from benchmarks.results import Results, Scenario, save
from examples.children import TOP, Child, ChildFailed, Children
from examples.process_cluster import NotInTime, ProcessCluster, leader_of
from raftify import create_client

SCENARIOS = (
    Scenario("local", 1),
    Scenario("local", 64),
    Scenario("local", 1024),
    Scenario("client", 1),
    Scenario("client", 256),
)


class Measurement:
    """One run over a cluster that has formed."""

    def __init__(self, console: Console, cluster: ProcessCluster, seconds: float) -> None:
        self._console = console
        self._cluster = cluster
        self._seconds = seconds
        self._leader_id = 0
        self._acknowledged = 0

    async def find_leader(self) -> Child:
        self._leader_id = leader_of(await self._cluster.states())
        return self._cluster.running[self._leader_id]

    async def measure(self, meter: BaselineMeter, *, rounds: int, warm_up: float) -> Results:
        leader = await self.find_leader()
        found: dict[Scenario, list[Round]] = {scenario: [] for scenario in SCENARIOS}
        async with create_client(list(self._cluster.addresses.values())) as client:

            async def one(scenario: Scenario, seconds: float) -> Round:
                if scenario.source == "client":
                    done = await run_round(
                        client.propose, in_flight=scenario.in_flight, seconds=seconds
                    )
                else:
                    done = Round(**await leader.call("load", scenario.in_flight, seconds))
                self._acknowledged += done.acknowledged
                return done

            for scenario in SCENARIOS:
                await one(scenario, warm_up)
            for number in range(1, rounds + 1):
                await meter.sample(100)
                for scenario in SCENARIOS:
                    done = await one(scenario, self._seconds)
                    found[scenario].append(done)
                    self._console.print(
                        f"round {number} of {rounds}: {scenario.name}: "
                        f"{done.writes_per_second:,.0f} writes/s",
                        highlight=False,
                    )
        await self.check()
        return Results(meter.result(), found, self._seconds, warm_up)

    async def check(self) -> None:
        """Make sure that what was measured is what was meant.

        Raises:
            NotInTime: a node does not have exactly the writes that were acknowledged.
            RuntimeError: another node leads now.
        """
        if leader_of(await self._cluster.states()) != self._leader_id:
            raise RuntimeError("the leader changed during the measurement; the figures are void")
        await self._cluster.until(
            f"every node having applied the {self._acknowledged:,} acknowledged writes, once each",
            lambda states: all(s["writes"] == self._acknowledged for s in states.values()),
        )


async def run(arguments: argparse.Namespace, console: Console, work: Path) -> None:
    results_dir: Path = arguments.results
    async with Children() as children:
        cluster = ProcessCluster(children, work, "benchmarks.node")
        try:
            await cluster.form()
            measurement = Measurement(console, cluster, 0.3 if arguments.quick else 2.0)
            if arguments.profile is not None:
                leader = await measurement.find_leader()
                await profile(
                    console,
                    leader,
                    in_flight=arguments.profile,
                    seconds=1.0 if arguments.quick else 5.0,
                    path=results_dir / "leader.prof",
                )
                return
            async with BaselineMeter.open(children, work) as meter:
                results = await measurement.measure(
                    meter,
                    rounds=1 if arguments.quick else arguments.rounds,
                    warm_up=0.2 if arguments.quick else 1.0,
                )
            await cluster.quit()
        except (ChildFailed, NotInTime):
            for name, lines in cluster.log_tails().items():
                console.print(f"--- {name}", *lines, sep="\n", markup=False, highlight=False)
            raise
    console.print(Markdown(results.as_markdown()))
    for path in save(results, results_dir):
        console.print(f"wrote {path}", highlight=False)


async def profile(
    console: Console, leader: Child, *, in_flight: int, seconds: float, path: Path
) -> None:
    """Profile the leader's event loop under load; print what took most and keep the data."""
    await leader.call("load", in_flight, 1.0)
    done = await leader.call("profile", in_flight, seconds, str(path))
    rate = done["writes_per_second"]
    console.print(f"{rate:,.0f} writes/s under the profiler, {in_flight} local proposals in flight")
    pstats.Stats(str(path)).sort_stats("tottime").print_stats(35)
    console.print(f"wrote {path}; look closer with: python -m pstats {path}", highlight=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of two seconds (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run at all?")
    parser.add_argument(
        "--profile", type=int, nargs="?", const=1024, metavar="IN_FLIGHT",
        help="profile the leader under local load instead (default: 1024 in flight)",
    )  # fmt: skip
    parser.add_argument("--results", type=Path, default=TOP / "bench-results", metavar="DIR")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    arguments.results.mkdir(parents=True, exist_ok=True)
    console = Console()
    try:
        # Beside the results, because the system's temporary directory may lie in memory.
        with (
            tempfile.TemporaryDirectory(prefix="work-", dir=arguments.results) as work,
            asyncio.Runner(loop_factory=raftify.new_event_loop) as runner,
        ):
            runner.run(run(arguments, console, Path(work)))
    except KeyboardInterrupt:
        console.print("ended by Ctrl-C; no process is left behind")
        return 130
    except (ChildFailed, NotInTime, RuntimeError) as error:
        console.print(f"{type(error).__name__}: {error}", style="bold red", markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
