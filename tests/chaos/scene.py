"""What a fault has to work with."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.chaos.cluster import SETTLE_SECONDS, Cluster, Machine, NotSettled
from tests.chaos.exits import DISK_FAILED
from tests.chaos.workload import Workload

#: The longest that a follower waits for word from a leader; see `node.make_config`.
ELECTION_SECONDS = 1.0
#: How long most faults last, in seconds.
LONG = (2 * ELECTION_SECONDS, 4 * ELECTION_SECONDS)

Fault = Callable[["Scene"], Awaitable[None]]


@dataclass
class Scene:
    """A cluster under load, and the source of all choices."""

    cluster: Cluster
    workload: Workload
    random: random.Random

    def machines(self) -> list[Machine]:
        return list(self.cluster.machines.values())

    async def leader_or_any(self) -> Machine:
        """Return the leader's machine half of the time, else that of a follower."""
        leader = await self.cluster.leader()
        if self.random.random() < 0.5:
            return leader
        return self.random.choice(self.others(leader))

    def others(self, *but: Machine) -> list[Machine]:
        return [m for m in self.machines() if m not in but]

    async def minority(self) -> list[Machine]:
        """Return machines that the rest can do without; the leader is among them half the time."""
        first = await self.leader_or_any()
        most = (len(self.cluster.machines) - 1) // 2
        more = self.random.randint(0, most - 1)
        return [first, *self.random.sample(self.others(first), more)]

    async def wait(self, least: float, most: float) -> None:
        """Let the fault last for a random time, in seconds."""
        await asyncio.sleep(self.random.uniform(least, most))

    async def another_leads(self, *those: Machine) -> None:
        """Return when a node on a machine that is none of `those` leads.

        Raises:
            NotSettled: none does for a minute.
        """
        names = {m.name for m in those}
        states: dict[str, Any] = {}
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while True:
                    states = await self.cluster.states(self.others(*those))
                    if any(s["role"] == "leader" for s in states.values()):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NotSettled(f"nobody leads in place of {names}: {states}") from None

    def stop(self, machine: Machine) -> None:
        """SIGSTOP."""
        os.kill(machine.node.pid, signal.SIGSTOP)

    def resume(self, machine: Machine) -> None:
        """SIGCONT."""
        os.kill(machine.node.pid, signal.SIGCONT)

    async def until_ended(self, machine: Machine, timeout: float) -> bool:
        """Say whether the node ended by itself within `timeout` seconds, because of its disk.

        Raises:
            NotSettled: it ended for another reason, or by a signal.
        """
        try:
            async with asyncio.timeout(timeout):
                await machine.node.gone()
        except TimeoutError:
            return False
        # By a signal, such as SIGBUS, it must not.
        await self.cluster.bury(machine, DISK_FAILED)
        return True

    async def make_leader(self, machine: Machine) -> None:
        """Hand leadership to the node on `machine`.

        Raises:
            NotSettled: it did not take over.
        """
        leader = await self.cluster.leader()
        if leader is not machine:
            await leader.node.call("transfer", machine.node_id, 5.0)
        if await self.cluster.leader() is not machine:
            raise NotSettled(f"{machine.name} was to lead")
