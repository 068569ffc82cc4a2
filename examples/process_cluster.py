"""Three nodes in processes of their own, on free ports of this machine, and questions to all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from examples.children import Child, Children, free_ports

NODE_IDS = (1, 2, 3)
STEP_TIMEOUT_SECONDS = 30.0

# What a node says of itself, as JSON.
NodeState = Mapping[str, Any]


class NotInTime(Exception):
    """Something did not happen that has to."""


class ProcessCluster:
    """The nodes' processes, directories and addresses. `module` is the program of one node.

    The program takes --raft-addr, --log-dir and, to join, --peer-addr; it answers the commands
    `state` and `quit`.
    """

    def __init__(self, children: Children, directory: Path, module: str) -> None:
        self._children = children
        self._directory = directory
        self._module = module
        ports = free_ports(len(NODE_IDS))
        self.addresses = {i: f"127.0.0.1:{port}" for i, port in zip(NODE_IDS, ports, strict=True)}
        self.running: dict[int, Child] = {}

    async def form(self) -> dict[int, NodeState | None]:
        """Let node 1 found a cluster and the others join it; return their states."""
        await self.start(1)
        await self.until("node 1 leading", lambda states: leader_of(states) == 1)
        for node_id in NODE_IDS[1:]:
            # One after the other, so that the cluster hands out the ids of our names for them.
            await self.start(node_id, peer=1)
            await self.running[node_id].call("state")
        return await self.until(
            "three voters, one leader",
            lambda states: (
                leader_of(states) != 0
                and all(len(s["membership"]["voters"]) == len(NODE_IDS) for s in states.values())
            ),
        )

    async def start(self, node_id: int, *, peer: int | None = None) -> None:
        arguments = ["--raft-addr", self.addresses[node_id]]
        arguments += ["--log-dir", str(self._directory / f"node-{node_id}")]
        if peer is not None:
            arguments += ["--peer-addr", self.addresses[peer]]
        log = self._directory / f"node-{node_id}.txt"
        self.running[node_id] = await self._children.spawn(self._module, *arguments, log=log)

    async def kill(self, node_id: int) -> None:
        await self.running.pop(node_id).kill()

    async def quit(self) -> dict[int, int]:
        """Ask every node to end; return their exit codes."""
        return {i: await self.running.pop(i).quit() for i in sorted(self.running)}

    async def states(self) -> dict[int, NodeState | None]:
        """Ask every running node for its state; None stands for one that does not run."""
        ids = sorted(self.running)
        answers = await asyncio.gather(*(self.running[i].call("state") for i in ids))
        return {**dict.fromkeys(NODE_IDS), **dict(zip(ids, answers, strict=True))}

    async def until(
        self, what: str, holds: Callable[[Mapping[int, NodeState]], bool]
    ) -> dict[int, NodeState | None]:
        """Ask until `holds` is true of the running nodes' states, and return the states.

        Raises:
            NotInTime: `what` did not happen within 30 seconds.
            ChildFailed: a node has ended.
        """
        try:
            async with asyncio.timeout(STEP_TIMEOUT_SECONDS):
                while True:
                    states = await self.states()
                    if holds({i: s for i, s in states.items() if s is not None}):
                        return states
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise NotInTime(f"{what}: not within {STEP_TIMEOUT_SECONDS:g} s") from None

    def pids(self) -> dict[int, int]:
        return {i: child.pid for i, child in self.running.items()}

    def log_tails(self, lines: int = 20) -> dict[str, list[str]]:
        """Return the last lines of each node's standard error, by file name."""
        files = sorted(self._directory.glob("*.txt"))
        return {f.name: f.read_text(errors="replace").splitlines()[-lines:] for f in files}


def leader_of(states: Mapping[int, NodeState | None]) -> int:
    """Return the id that all running nodes name as leader and that says so itself, or 0."""
    running = {i: state for i, state in states.items() if state is not None}
    named = {int(state["leader_id"]) for state in running.values()}
    leader_id = named.pop() if len(named) == 1 else 0
    state = running.get(leader_id)
    return leader_id if state is not None and str(state["role"]).lower() == "leader" else 0
