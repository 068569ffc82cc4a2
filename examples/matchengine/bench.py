"""Commands per second: through the engine alone, and through a cluster of three processes."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import raftify
from examples.children import TOP, ChildFailed, Children
from examples.matchengine.flow import order_flow
from examples.matchengine.load import Done, Load, LoadFailed, run_load
from examples.matchengine.machine import MatchMachine
from examples.matchengine.orders import Kind, PlaceOrder, Side
from examples.process_cluster import NotInTime, ProcessCluster, leader_of
from raftify import create_client


@dataclass(frozen=True, slots=True)
class Scenario:
    """How commands reach the cluster: "local" from within the leader's process, or a "client"."""

    source: str
    batch: int
    in_flight: int
    #: Commands of one round, as a part of what is asked for.
    part: float

    @property
    def name(self) -> str:
        return f"{self.source}, batches of {self.batch:,}, {self.in_flight} under way"


SCENARIOS = (
    Scenario("local", 1, 1, 0.01),
    Scenario("local", 100, 1, 0.25),
    Scenario("local", 100, 8, 1),
    Scenario("local", 1_000, 2, 1),
    Scenario("client", 100, 8, 1),
)


def measure_engine(commands: int, rounds: int) -> float:
    """Return commands per second of processor time, decoding included; the median of rounds."""
    encoded = [command.encode() for command in itertools.islice(order_flow(1), commands)]
    found = []
    for _ in range(rounds):
        execute = MatchMachine().execute
        started = process_time()
        for data in encoded:
            execute(data)
        found.append(commands / (process_time() - started))
    return statistics.median(found)


def measure_snapshot(commands: int) -> tuple[float, float, int]:
    """Return the seconds to write and to read an engine after so many commands, and its bytes."""
    machine = MatchMachine()
    for command in itertools.islice(order_flow(1), commands):
        machine.engine.execute(command)
    started = process_time()
    data = machine.snapshot()
    written = process_time()
    MatchMachine().restore(data)
    return written - started, process_time() - written, len(data)


def measure_sweep() -> float:
    """Return the seconds that the worst command takes: a market order through a full engine."""
    engine = MatchMachine().engine
    most = engine.limits.max_open_orders
    for n in range(most):
        engine.execute(PlaceOrder(f"s-{n}", "AB", Side.SELL, Kind.LIMIT, n + 1, 1))
    started = process_time()
    engine.execute(PlaceOrder("sweep", "AB", Side.BUY, Kind.MARKET, 0, most))
    return process_time() - started


async def measure_cluster(
    work: Path, commands: int, rounds: int, say: Callable[[str], None]
) -> dict[Scenario, list[Done]]:
    """Return what each round of each scenario gave.

    Raises:
        LoadFailed: an answer was wrong, or the nodes' states differ at the end.
    """
    async with Children() as children:
        cluster = ProcessCluster(children, work, "examples.matchengine.bench_node")
        try:
            return await measure_formed(cluster, commands, rounds, say)
        except (ChildFailed, NotInTime, LoadFailed):
            for name, lines in cluster.log_tails().items():
                say("\n".join((f"--- {name}", *lines)))
            raise


async def measure_formed(
    cluster: ProcessCluster, commands: int, rounds: int, say: Callable[[str], None]
) -> dict[Scenario, list[Done]]:
    found: dict[Scenario, list[Done]] = {scenario: [] for scenario in SCENARIOS}
    await cluster.form()
    leader = cluster.running[leader_of(await cluster.states())]
    seeds = itertools.count(1)
    async with create_client(list(cluster.addresses.values())) as client:
        for number in range(rounds + 1):
            for scenario in SCENARIOS:
                count = max(scenario.batch, round(commands * scenario.part))
                load = Load(next(seeds), count, scenario.batch, scenario.in_flight)
                if scenario.source == "client":
                    done = await run_load(client.propose_many, load)
                else:
                    done = Done(*await leader.call("load", *load, timeout=300.0))
                if number:  # the first round warms up
                    found[scenario].append(done)
                    say(f"round {number}: {scenario.name}: {done.per_second:,.0f}/s")
    await check_alike(cluster)
    await cluster.quit()
    return found


async def check_alike(cluster: ProcessCluster) -> None:
    """Raise LoadFailed unless all nodes hold the same state, to the bit."""
    await cluster.until(
        "every node having applied everything",
        lambda states: len({int(state["applied"]) for state in states.values()}) == 1,
    )
    checksums = {i: await child.call("checksum") for i, child in cluster.running.items()}
    if len(set(checksums.values())) != 1:
        raise LoadFailed(f"the nodes' states differ: {checksums}")


def as_markdown(found: dict[Scenario, list[Done]]) -> str:
    lines = ["| Through the cluster | commands/s | one call |", "|---|---:|---:|"]
    for scenario, rounds in found.items():
        rate = statistics.median(done.per_second for done in rounds)
        call = statistics.median(done.call_ms for done in rounds)
        lines.append(f"| {scenario.name} | {rate:,.0f} | {call:.1f} ms |")
    return "\n".join(lines)


async def run(arguments: argparse.Namespace) -> None:
    commands, rounds = arguments.commands, arguments.rounds
    rate = measure_engine(commands, rounds)
    write, read, size = measure_snapshot(commands)
    print("by itself, in processor time:")
    print(f"the engine: {rate:,.0f} commands/s (median of {rounds} rounds of {commands:,})")
    print(
        f"a snapshot after {commands:,} commands: {size:,} bytes, written in {write:.2f} s, "
        f"read in {read:.2f} s"
    )
    if not arguments.quick:
        print(f"a market order through a full engine: {measure_sweep():.2f} s", flush=True)
    print("through three processes, in real time:", flush=True)
    with tempfile.TemporaryDirectory(prefix="matchengine-", dir=arguments.dir) as work:
        found = await measure_cluster(
            Path(work), commands, rounds, lambda text: print(text, flush=True)
        )
    print(f"all nodes hold the same state\n\n{as_markdown(found)}")


def main() -> int:
    """Return the exit code: 0, or 1 if a measurement failed."""
    parser = argparse.ArgumentParser(prog="python -m examples.matchengine.bench")
    parser.add_argument("--rounds", type=int, default=5, help="rounds to take the median of")
    parser.add_argument("--commands", type=int, default=10_000, help="in one round")
    parser.add_argument("--quick", action="store_true", help="a short round: does it run at all?")
    parser.add_argument(
        "--dir", type=Path, default=TOP, help="where the logs lie meanwhile (default: here)"
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.commands = 1, 1_000
    if arguments.rounds < 1 or arguments.commands < 1:
        parser.error("--rounds and --commands must be at least 1")
    try:
        with asyncio.Runner(loop_factory=raftify.new_event_loop) as runner:
            runner.run(run(arguments))
    except KeyboardInterrupt:
        print("ended by Ctrl-C; no process is left behind")
        return 130
    except (ChildFailed, NotInTime, LoadFailed) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
