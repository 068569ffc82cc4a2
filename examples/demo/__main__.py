"""The demonstration: a cluster of three processes, a leader killed under load, and the verdict.

Exits 0 only if every acknowledged write is on every node, none twice, and another node led on.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from examples.children import ChildFailed, Children
from examples.demo.audit import Finding, audit
from examples.demo.report import show_nodes, show_stream, show_verdict
from examples.demo.writers import History, Writers
from examples.process_cluster import (
    STEP_TIMEOUT_SECONDS,
    NotInTime,
    ProcessCluster,
    leader_of,
)
from raftify import create_client
from raftify.errors import RaftifyError

WRITERS = 16


class Story:
    """The steps of the demonstration, in order."""

    def __init__(self, console: Console, cluster: ProcessCluster) -> None:
        self.console = console
        self.cluster = cluster
        self.history = History()
        self.findings: list[Finding] = []

    async def tell(self) -> None:
        """Play every step.

        Raises:
            NotInTime, ChildFailed, RaftifyError, TimeoutError: a step could not be played.
        """
        await self.form()
        await self.propose()
        writers = Writers(list(self.cluster.addresses.values()), self.history, count=WRITERS)
        async with asyncio.TaskGroup() as group:
            group.create_task(writers.run())
            try:
                await self.kill_leader(writers)
            finally:
                writers.stop()
        await self.compare()

    async def form(self) -> None:
        self.console.rule("node 1 founds a cluster, nodes 2 and 3 join it")
        states = await self.cluster.form()
        show_nodes(self.console, states, self.cluster.pids())

    async def propose(self) -> None:
        self.console.rule("one write in each process, one from a client")
        for node_id, child in self.cluster.running.items():
            write_id = f"local-{node_id}"
            times = await child.call("propose", write_id)
            self.history.acknowledge(write_id, times.encode(), time.monotonic())
            self.console.print(
                f"  raft.propose({write_id!r}) in node {node_id}: applied {times} time"
            )
        async with create_client(self.cluster.addresses[3]) as client:
            answer = await client.propose(b"remote-1")
        self.history.acknowledge("remote-1", answer, time.monotonic())
        self.console.print(
            f"  client.propose('remote-1') through node 3: applied {answer.decode()} time"
        )
        # The rhythm of the stream below is not theirs.
        self.history.acknowledged_at.clear()

    async def kill_leader(self, writers: Writers) -> None:
        self.console.rule(f"{WRITERS} writers, and SIGKILL for the leader")
        now = asyncio.get_running_loop().time
        await writers.acknowledged_after(now() + 1.5, timeout=STEP_TIMEOUT_SECONDS)
        states = await self.cluster.states()
        old = leader_of(states)
        if old == 0:
            raise NotInTime("no leader that all nodes agree on while nothing was wrong")
        killed_at = now()
        await self.cluster.kill(old)
        await writers.acknowledged_after(killed_at + 0.25, timeout=STEP_TIMEOUT_SECONDS)
        states = await self.cluster.until(
            "another leader", lambda states: leader_of(states) not in (0, old)
        )
        new = leader_of(states)
        show_nodes(self.console, states, self.cluster.pids())
        await writers.acknowledged_after(now() + 1.0, timeout=STEP_TIMEOUT_SECONDS)
        silence = self.history.longest_silence_after(killed_at)
        show_stream(self.console, self.history, killed_at)
        self.console.print(
            f"  node {old} led and was killed, [bold]node {new} leads now[/]; "
            f"for [bold]{silence:.2f} s[/] no write succeeded"
        )
        self.findings.append(
            Finding(
                "another node led on", f"node {new}, {silence:.2f} s without a write", new != old
            )
        )
        await self.restart(old)

    async def restart(self, node_id: int) -> None:
        self.console.rule(f"node {node_id} comes back and catches up, while the writers go on")
        began = time.monotonic()
        states = await self.cluster.states()
        goal = max(state["committed"] for state in states.values() if state is not None)
        await self.cluster.start(node_id)
        states = await self.cluster.until(
            f"node {node_id} having applied entry {goal}",
            lambda states: node_id in states and states[node_id]["applied"] >= goal,
        )
        show_nodes(self.console, states, self.cluster.pids())
        self.console.print(f"  caught up to entry {goal:,} after {time.monotonic() - began:.2f} s")

    async def compare(self) -> None:
        self.console.rule("what every node holds, against what the writers were told")
        counts = {i: await child.call("times_applied") for i, child in self.cluster.running.items()}
        self.findings += audit(self.history, counts)
        codes = await self.cluster.quit()
        self.findings.append(
            Finding(
                "every node ends cleanly when asked to",
                ", ".join(f"node {i}: code {code}" for i, code in codes.items()),
                not any(codes.values()),
            )
        )


async def run(console: Console, directory: Path) -> bool:
    """Play the demonstration; return whether all that must hold did. SIGTERM cancels it."""
    task = asyncio.current_task()
    assert task is not None
    # Without this the process would end at once, and leave its directory behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began = time.monotonic()
    async with Children() as children:
        cluster = ProcessCluster(children, directory, "examples.demo.node")
        story = Story(console, cluster)
        told = False
        try:
            await story.tell()
            told = True
        except* (NotInTime, ChildFailed, RaftifyError, TimeoutError) as group:
            for error in group.exceptions:
                console.print(f"{type(error).__name__}: {error}", style="bold red", markup=False)
            for name, lines in cluster.log_tails().items():
                console.print(f"--- {name}", *lines, sep="\n", markup=False, highlight=False)
    if told:
        show_verdict(console, story.findings, time.monotonic() - began)
    return told and all(finding.holds for finding in story.findings)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep logs and stores in DIR, new or empty"
    )
    arguments = parser.parse_args()
    if arguments.keep is not None:
        fault = prepare(arguments.keep)
        if fault:
            parser.error(f"--keep: {fault}")
    console = Console()
    try:
        if arguments.keep is not None:
            return 0 if asyncio.run(run(console, arguments.keep.resolve())) else 1
        with tempfile.TemporaryDirectory(prefix="raftify-demo-") as directory:
            return 0 if asyncio.run(run(console, Path(directory))) else 1
    except KeyboardInterrupt:
        console.print("ended by Ctrl-C; no process is left behind")
        return 130
    except asyncio.CancelledError:
        console.print("ended by SIGTERM; no process is left behind")
        return 143


def prepare(directory: Path) -> str:
    """Make `directory` if need be; return why it cannot be used, or an empty text.

    Stores of an earlier demonstration would go on as the members they were, at ports of the past.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            return f"{directory} is not empty; name a new directory, or remove what is in it"
    except FileExistsError:
        return f"{directory} is a file; name a directory"
    except OSError as error:
        return f"cannot use {directory}: {error.strerror}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
