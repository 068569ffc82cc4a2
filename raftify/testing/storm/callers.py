"""The clients of a storm: each calls one operation after the other, and notes what it sees."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from raftify.client.service_client import RaftServiceClient
from raftify.errors import RaftifyError
from raftify.raft import Raft
from raftify.testing.history.recorder import Call
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm.scene import Scene, name_of, patient

#: How much later than its deadline an answer may come, in seconds: what is under way then is
#: seen through, such as one request to another node.
GRACE = 3.0


class Caller:
    """One client. Its calls go to any node that runs, or to a client outside that finds the leader.

    Every call must be answered by its deadline, unless its node was paused or its clock wrong.
    """

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.name = name
        self.random = Random(f"{scene.plan.seed}/{name}")
        self._remote: RaftServiceClient | None = None

    async def run(self) -> None:
        """Call until the storm is over."""
        scene, random = self.scene, self.random
        while not scene.over:
            await patient(scene, random.expovariate(scene.plan.pace))
            if not scene.over:
                await self.one()
        await self.close()

    async def close(self) -> None:
        """Release what is open."""
        if self._remote is not None:
            await self._remote.close()

    async def one(self) -> None:
        """Call one operation."""
        random, scene = self.random, self.scene
        chance = random.random()
        if chance < 0.1:
            await self._write_remotely()
            return
        if chance < 0.15:
            await self._query_remotely()
            return
        node = scene.any_node(random)
        if node is None:
            return
        asked = None if chance < 0.6 else scene.workload.draw_read(random)
        timeout = random.choice([0.3, 2.0, 5.0])
        if asked is None:
            await self.write(node, timeout)
        elif chance < 0.65:
            await self.write(node, timeout, asked)
        elif chance < 0.9:
            await self.read(node, asked, timeout)
        else:
            self._read_stale(node, asked)

    async def write(
        self, node: SimulatedNode, timeout: float, asked: Any = None, *, steadfast: bool = False
    ) -> Call:
        """Propose what is asked, by default something drawn, at `node`.

        With `steadfast` it asks any leader, and waits until the deadline; what any node may refuse
        as too large it does not propose.
        """
        workload, number = self.scene.workload, self.scene.number()
        if asked is None:
            asked = workload.draw_write(self.random, number)
        data = workload.encode(asked, number)
        while steadfast and len(data) > self.scene.plan.proposal_bytes:
            number = self.scene.number()
            asked = workload.draw_write(self.random, number)
            data = workload.encode(asked, number)
        call = self.scene.recorder.call(self.name, asked)
        self.scene.writes.append((number, call))

        # A leader may ask for its own term only; who asks may give up before the answer.
        fenced = node.raft.is_leader() and not steadfast and self.random.random() < 0.2
        term = node.runtime.state.term if fenced else None
        if term is not None:
            self.scene.fence(data, term)
        patience = timeout + GRACE
        if not steadfast and self.random.random() < 0.05:
            patience = self.random.uniform(0, 0.2)

        async def begin(raft: Raft) -> Any:
            return workload.decode(asked, await raft.propose(data, timeout=timeout, term=term))

        await self._ask(node, call, timeout, begin, patience)
        return call

    async def read(self, node: SimulatedNode, asked: Any, timeout: float) -> Call:
        """Read at `node` what was acknowledged anywhere."""
        workload, scene = self.scene.workload, self.scene
        question = workload.question(asked) if self.random.random() < 0.3 else None

        async def begin(raft: Raft) -> Any:
            if question is not None:
                return workload.decode(asked, await raft.query(question, timeout=timeout))
            await raft.read_index(timeout=timeout)
            return workload.read(raft.state_machine(), asked)

        recorder = scene.stale if scene.plan.reads_may_be_stale else scene.recorder
        call = recorder.call(self.name, asked)
        await self._ask(node, call, timeout, begin)
        return call

    def _read_stale(self, node: SimulatedNode, asked: Any) -> None:
        """Read what is there, however old."""
        if not node.paused:
            call = self.scene.stale.call(self.name, asked)
            call.ok(self.scene.workload.read(node.machine, asked))

    async def _ask(
        self,
        node: SimulatedNode,
        call: Call,
        timeout: float,
        begin: Callable[[Raft], Awaitable[Any]],
        patience: float | None = None,
    ) -> None:
        """Note what `begin` brings; the caller waits for `patience` seconds and no more."""
        scene, machine = self.scene, self.scene.machine(node)
        called, incarnation = scene.now, node.incarnation
        try:
            async with asyncio.timeout(timeout + GRACE if patience is None else patience):
                answer = await node.call(begin)
        except TimeoutError:
            call.unknown()
            same = node.running and node.incarnation == incarnation
            gave_up = patience is not None and patience < timeout
            if same and not gave_up and machine.odd_until < called and not machine.is_odd():
                scene.fail(f"{call.input} at {node} had no answer {GRACE} s after its deadline")
        except RaftifyError as error:
            self._note_error(call, error)
        else:
            call.ok(answer)
            scene.succeeded(call)

    async def _write_remotely(self) -> None:
        """Propose through a client outside of the cluster."""
        scene, number = self.scene, self.scene.number()
        asked = scene.workload.draw_write(self.random, number)
        call = scene.recorder.call(self.name, asked)
        scene.writes.append((number, call))
        data = scene.workload.encode(asked, number)
        await self._ask_remotely(call, lambda client: client.propose(data))

    async def _query_remotely(self) -> None:
        """Ask the leader's state machine through a client outside of the cluster."""
        scene = self.scene
        asked = scene.workload.draw_read(self.random)
        question = None if asked is None else scene.workload.question(asked)
        if question is not None:
            recorder = scene.stale if scene.plan.reads_may_be_stale else scene.recorder
            call = recorder.call(self.name, asked)
            await self._ask_remotely(call, lambda client: client.query(question))

    async def _ask_remotely(
        self, call: Call, begin: Callable[[RaftServiceClient], Awaitable[bytes]]
    ) -> None:
        scene, timeout = self.scene, 3.0
        if self._remote is None:
            addresses = [
                node.address
                for node in scene.cluster.nodes.values()
                if not scene.machine(node).lost
            ]
            self._remote = scene.cluster.client(*addresses, name=self.name, timeout=timeout)
        try:
            async with asyncio.timeout(timeout + GRACE):
                result = await begin(self._remote)
        except TimeoutError:
            call.unknown()
            scene.fail(f"{call.input} by {self.name} had no answer {GRACE} s after its deadline")
        except RaftifyError as error:
            self._note_error(call, error)
        else:
            call.ok(scene.workload.decode(call.input, result))
            scene.succeeded(call)

    def _note_error(self, call: Call, error: RaftifyError) -> None:
        self.scene.outcomes[name_of(error)] += 1
        if isinstance(error, self.scene.recorder.nothing_happened):
            call.failed()
        else:
            call.unknown()
