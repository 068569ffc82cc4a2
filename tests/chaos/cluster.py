"""The machines of a drill: started, killed, replaced, and asked how they are."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.children import Child, ChildFailed, Children
from tests.chaos.exits import NOT_JOINED
from tests.chaos.network import Network
from tests.chaos.volumes import Directory

#: How long everybody has to find together again after a fault has ended.
SETTLE_SECONDS = 60.0
ASK_SECONDS = 5.0
LEAVE_SECONDS = 20.0
#: Snapshots and purges come often, a stalled disk is noticed soon, calls to the dead end soon.
SETTINGS: dict[str, Any] = {
    "snapshot_entries": 400,
    "snapshot_keep_entries": 100,
    "disk_stall_timeout": 1.0,
    "entry_cache_bytes": 1 << 20,
}


class NotSettled(Exception):
    """The cluster did not become one again; the text says how it stands."""


@dataclass
class Machine:
    """A computer with an address and a disk, on which a node may run."""

    name: str
    address: str
    volume: Directory
    child: Child | None = None
    node_id: int = 0

    @property
    def log_dir(self) -> Path:
        return self.volume.path / "log"

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.running

    @property
    def node(self) -> Child:
        """The node's process.

        Raises:
            ChildFailed: none runs.
        """
        if self.child is None:
            raise ChildFailed(
                "ChildGone", f"{self.name} is down", rejected=False, outcome_unknown=True
            )
        return self.child


@dataclass
class Cluster:
    """All machines, by name. `directory` is where their disks and the nodes' output lie."""

    network: Network
    volume_kind: type[Directory]
    directory: Path
    children: Children
    machines: dict[str, Machine] = field(default_factory=dict)
    _made: int = 0

    async def form(self, size: int) -> None:
        for _ in range(size):
            await self.start(await self.add_machine())

    async def add_machine(self) -> Machine:
        """Set up a machine with an empty disk; no node runs there yet."""
        self._made += 1
        name = f"m{self._made}"
        volume = self.volume_kind(self.directory / name)
        await volume.open()
        machine = Machine(name, await self.network.attach(name), volume)
        self.machines[name] = machine
        for other in self.running():
            await other.node.call("routes", self.network.routes(other.name))
        return machine

    async def remove_machine(self, machine: Machine) -> None:
        """Take a machine away, with its disk and all that is on it."""
        await self.end(machine)
        del self.machines[machine.name]
        await self.network.detach(machine.name)
        await machine.volume.close()

    async def start(self, machine: Machine, **settings: Any) -> None:
        """Start the node; return when it is a member that answers.

        Raises:
            ChildFailed: it ended instead.
        """
        child = await self._spawn(machine, settings)
        await self._member(machine, child)

    async def try_to_join(self, machine: Machine) -> bool:
        """Start a node that is to join; say whether it became a member.

        Raises:
            NotSettled: it ended for another reason than that whom it asked could not do it.
        """
        child = await self._spawn(machine, {})
        try:
            await self._member(machine, child)
        except ChildFailed:
            await self._judge(machine, child, NOT_JOINED)
            return False
        return True

    async def _member(self, machine: Machine, child: Child) -> None:
        state = await child.call("state", timeout=SETTLE_SECONDS)
        # From here on clients may ask it.
        machine.child, machine.node_id = child, state["node_id"]

    async def start_in_vain(self, machine: Machine, seconds: float) -> None:
        """Start the node, and kill -9 it after `seconds`, however far it has come.

        Raises:
            NotSettled: it had ended before, by itself.
        """
        child = await self._spawn(machine, {})
        await asyncio.sleep(seconds)
        await child.kill()
        await self._judge(machine, child, -signal.SIGKILL)

    async def _spawn(self, machine: Machine, settings: dict[str, Any]) -> Child:
        arguments = [
            "--raft-addr", machine.address,
            "--log-dir", str(machine.log_dir),
            "--settings", json.dumps({**SETTINGS, **settings}),
            "--routes", json.dumps(self.network.routes(machine.name)),
        ]  # fmt: skip
        others = [m for m in self.running() if m is not machine]
        if machine.node_id == 0 and others:
            arguments += ["--peer-addr", others[0].address]
        return await self.children.spawn(
            "tests.chaos.node",
            *arguments,
            log=self.directory / f"{machine.name}.txt",
            under=self.network.prefix(machine.name),
        )

    async def leave(self, machine: Machine) -> None:
        """Have the node leave the cluster, whereupon it ends by itself, perhaps before it says so.

        Raises:
            ChildFailed: it could not.
            NotSettled: it failed on the way.
        """
        child = machine.node
        try:
            await child.call("leave", LEAVE_SECONDS, timeout=2 * LEAVE_SECONDS)
        except ChildFailed as error:
            if error.kind != "ChildGone":
                raise
        machine.child = None
        code = await child.quit()
        if code != 0:
            raise NotSettled(f"{machine.name} was to leave, and ended with {code}")

    async def kill(self, machine: Machine) -> None:
        """kill -9, if a node is there.

        Raises:
            NotSettled: it had ended before, by itself.
        """
        child, machine.child = machine.child, None
        if child is not None:
            await child.kill()
            await self._judge(machine, child, -signal.SIGKILL)

    async def end(self, machine: Machine) -> None:
        """Let the node end in good order, if one is there.

        Raises:
            NotSettled: it did not, or had ended before, by itself.
        """
        await self.bury(machine, 0)

    async def bury(self, machine: Machine, code: int) -> None:
        """Return when the node has ended, if one was there; it is asked to.

        Raises:
            NotSettled: not with `code`.
        """
        child, machine.child = machine.child, None
        if child is not None:
            await self._judge(machine, child, code)

    async def _judge(self, machine: Machine, child: Child, code: int) -> None:
        found = await child.quit()
        if found != code:
            raise NotSettled(
                f"{machine.name} ended with {found} instead of {code}; see {child.log}"
            )

    def running(self) -> list[Machine]:
        return [m for m in self.machines.values() if m.running]

    async def states(self, of: Sequence[Machine] = ()) -> dict[str, dict[str, Any]]:
        """Return what each running node says of itself, by machine; without those that do not.

        Asks all, or only those `of` some machines.
        """
        running = [m for m in of or self.machines.values() if m.running]
        answers = await asyncio.gather(
            *(m.node.call("state", timeout=ASK_SECONDS) for m in running), return_exceptions=True
        )
        return {
            machine.name: answer
            for machine, answer in zip(running, answers, strict=True)
            if not isinstance(answer, BaseException)
        }

    async def leader(self) -> Machine:
        """Return the machine whose node leads, with the highest term if two believe to.

        Raises:
            NotSettled: there is none for a minute.
        """
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while True:
                    states = await self.states()
                    leaders = [(s["term"], n) for n, s in states.items() if s["role"] == "leader"]
                    if leaders:
                        return self.machines[max(leaders)[1]]
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NotSettled(f"no leader: {await self.states()}") from None

    async def term(self) -> int:
        """Return the highest term that a node knows of."""
        states = await self.states()
        return max((int(s["term"]) for s in states.values()), default=0)

    async def settled(self, timeout: float = SETTLE_SECONDS) -> None:
        """Return when every machine runs, follows one leader and has applied what is committed.

        Raises:
            NotSettled: not within `timeout` seconds.
        """
        index = 0
        try:
            async with asyncio.timeout(timeout):
                while True:
                    states = await self.states()
                    if self._agree(states):
                        index = index or max(s["committed"] for s in states.values())
                        if all(s["applied"] >= index for s in states.values()):
                            return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NotSettled(f"not settled within {timeout:g} s: {self._told(states)}") from None

    def _agree(self, states: dict[str, dict[str, Any]]) -> bool:
        """Say whether all machines run and are the members, and one of them leads."""
        said = list(states.values())
        ids = {m.node_id for m in self.machines.values()}
        return (
            len(said) == len(self.machines)
            and len({(s["leader_id"], s["term"]) for s in said}) == 1
            and said[0]["leader_id"] in ids
            and all(set(s["membership"]["voters"]) == ids for s in said)
            and not any(s["membership"]["voters_outgoing"] for s in said)
        )

    def _told(self, states: dict[str, dict[str, Any]]) -> str:
        keys = ("node_id", "role", "term", "leader_id", "committed", "applied")
        told = {n: {k: s[k] for k in keys} for n, s in states.items()}
        down = [m.name for m in self.machines.values() if not m.running]
        return f"{told}; down: {down or 'none'}; see {self.directory}"

    async def dumps(self) -> dict[str, dict[str, Any]]:
        """Return every machine's digest of its state, and the counts of applied writes."""
        return {name: await machine.node.call("dump") for name, machine in self.machines.items()}

    async def close(self) -> None:
        """End every node and remove every machine."""
        for machine in list(self.machines.values()):
            child, machine.child = machine.child, None
            if child is not None:
                await child.kill()
            await self.remove_machine(machine)
