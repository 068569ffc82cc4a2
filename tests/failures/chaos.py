"""One life of a cluster under faults drawn from a seed, and what must hold at its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import NodeRemoved, OutcomeUnknown, RaftifyError, Rejected
from tests.cluster.machines import PlainTally, Tally
from tests.failures.simulated import SimulatedCluster, SimulatedNode

#: What a caller may see: it knows that nothing happened, or that it does not know.
CALL_SECONDS = 4.0


class Chaos:
    """Runs writers, readers and faults; see `run`."""

    def __init__(self, seed: int, *, size: int = 3, rounds: int = 25) -> None:
        machine = PlainTally if seed % 2 else Tally
        self.cluster = SimulatedCluster(
            seed, make_machine=machine, snapshot_entries=40, snapshot_keep_entries=5
        )
        self.random = self.cluster.random
        self.size = size
        self.rounds = rounds
        self.acknowledged: set[str] = set()
        self.refused: set[str] = set()
        self.unknown: set[str] = set()
        self.errors: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.stale: list[str] = []
        self.broken: list[BaseException] = []
        self.left: list[SimulatedNode] = []
        self._number = 0
        self._over = False

    async def run(self) -> None:
        cluster = self.cluster
        await cluster.static(self.size)
        callers = [asyncio.create_task(self._write()) for _ in range(4)]
        callers += [asyncio.create_task(self._read()) for _ in range(2)]
        for _ in range(self.rounds):
            await asyncio.sleep(self.random.uniform(0.1, 3))
            await self._fault()
        await self._heal()
        await asyncio.sleep(5)
        self._over = True
        # Whoever has called is answered: this is where a lost future would show.
        async with asyncio.timeout(10 * CALL_SECONDS):
            await asyncio.gather(*callers)
        await self._check()
        await cluster.close()

    # -- callers ----------------------------------------------------------------------------

    def _any(self) -> SimulatedNode | None:
        running = self.cluster.running()
        return self.random.choice(running) if running else None

    async def _write(self) -> None:
        while not self._over:
            await asyncio.sleep(self.random.expovariate(10))
            node = self._any()
            if node is None:
                continue
            burst = self.random.choice([1, 1, 1, 20])
            await asyncio.gather(*(self._propose(node) for _ in range(burst)))

    async def _propose(self, node: SimulatedNode) -> None:
        self._number += 1
        entry = f"e{self._number}"
        timeout = self.random.choice([0.3, CALL_SECONDS])
        try:
            async with asyncio.timeout(timeout + 2):
                result = await node.raft.propose(entry.encode(), timeout=timeout)
        except OutcomeUnknown as error:
            self.unknown.add(entry)
            self.errors[type(error).__name__] += 1
        except Rejected as error:
            self.refused.add(entry)
            self.errors[type(error).__name__] += 1
        except RaftifyError as error:
            self.unknown.add(entry)
            self.errors[type(error).__name__] += 1
        else:
            assert result == f"{entry}:1".encode(), result
            self.acknowledged.add(entry)

    async def _read(self) -> None:
        while not self._over:
            await asyncio.sleep(self.random.expovariate(3))
            node = self._any()
            if node is None:
                continue
            known = set(self.acknowledged)
            try:
                async with asyncio.timeout(CALL_SECONDS + 2):
                    await node.raft.read_index(timeout=CALL_SECONDS)
            except RaftifyError:
                continue
            missing = known - set(node.machine.counts)
            if missing:
                self.stale.append(f"node {node.id} lacks {sorted(missing)[:5]}")

    # -- faults -----------------------------------------------------------------------------

    async def _fault(self) -> None:
        faults = [
            self._cut, self._isolate, self._mend, self._mend, self._crash, self._crash,
            self._stop, self._restart, self._restart, self._restart, self._transfer,
            self._snapshot, self._slow_disk, self._slow_apply, self._fast, self._join,
            self._leave, self._remove,
        ]  # fmt: skip
        fault = self.random.choice(faults)
        self.faults[fault.__name__] += 1
        with suppress(RaftifyError):
            await fault()

    async def _cut(self) -> None:
        addresses = [n.address for n in self.cluster.nodes.values()]
        source, target = self.random.sample(addresses, 2)
        self.cluster.network.cut(source, target)

    async def _isolate(self) -> None:
        node = self._any()
        if node is not None:
            self.cluster.network.isolate(node.address)

    async def _mend(self) -> None:
        self.cluster.network.heal()

    async def _crash(self) -> None:
        node = self._any()
        if node is not None:
            await node.crash()

    async def _stop(self) -> None:
        node = self._any()
        if node is not None:
            await node.stop()

    async def _restart(self) -> None:
        for node in self.cluster.nodes.values():
            if not node.running and node not in self.left:
                self._look_at_end(node)
                node.start()
                return

    async def _transfer(self) -> None:
        node = self._any()
        if node is not None:
            to = self.random.choice(list(self.cluster.nodes))
            await node.raft.transfer_leader(to, timeout=CALL_SECONDS)

    async def _snapshot(self) -> None:
        node = self._any()
        if node is not None:
            await node.raft.make_snapshot(timeout=CALL_SECONDS)

    async def _slow_disk(self) -> None:
        node = self._any()
        if node is not None:
            node.disk_delay = self.random.choice([0.05, 0.5, 7.0])

    async def _slow_apply(self) -> None:
        node = self._any()
        if node is not None:
            node.apply_delay = self.random.choice([0.05, 0.5, 3.0])

    async def _fast(self) -> None:
        for node in self.cluster.nodes.values():
            node.disk_delay, node.apply_delay = 0.001, 0.0001

    async def _join(self) -> None:
        node = self._any()
        if node is not None and len(self.cluster.nodes) < self.size + 3:
            await self.cluster.join(node)

    async def _leave(self) -> None:
        node = self._any()
        if node is not None and node.raft.get_cluster_size() > self.size:
            await node.raft.leave(timeout=CALL_SECONDS)
            self.left.append(node)

    async def _remove(self) -> None:
        """Have somebody else remove a node, which learns of it by being refused."""
        node, other = self._any(), self._any()
        if node is None or other is None or node.raft.get_cluster_size() <= self.size:
            return
        single = ConfChangeSingle(ConfChangeType.REMOVE_NODE, other.id)
        await node.raft.change_config(ConfChangeV2(changes=(single,)), timeout=CALL_SECONDS)

    async def _heal(self) -> None:
        self.cluster.network.heal()
        await self._fast()
        for node in self.cluster.nodes.values():
            if not node.running and node not in self.left:
                self._look_at_end(node)
                node.start()

    def _look_at_end(self, node: SimulatedNode) -> None:
        if node.task is not None and not node.task.cancelled():
            error = node.task.exception()
            if error is not None:
                self.errors[f"node ended: {type(error).__name__}"] += 1
                self.broken.append(error)

    # -- what must hold ---------------------------------------------------------------------

    async def _check(self) -> None:
        assert not self.stale, self.stale
        leader = await self.cluster.leader()
        members = leader.raft._node.state.membership.member_ids()
        # Who was removed while it could not be told is refused now, and says so.
        for node in list(self.cluster.nodes.values()):
            if node.id not in members:
                if node not in self.left and node.running:
                    assert node.task is not None
                    async with asyncio.timeout(60):
                        with suppress(NodeRemoved):
                            await node.task
                self.cluster.nodes.pop(node.id)
        for node in self.cluster.nodes.values():
            assert node.running, (node.id, node.task)
        await self.cluster.settle()
        orders = {tuple(node.machine.order) for node in self.cluster.nodes.values()}
        assert len(orders) == 1, "the logs differ"
        order = orders.pop()
        for node in self.cluster.nodes.values():
            assert not node.machine.twice(), f"applied twice on {node.id}"
            views = node.raft._node.state.membership
            assert views == leader.raft._node.state.membership
        lost = self.acknowledged - set(order)
        assert not lost, f"acknowledged and lost: {sorted(lost)}"
        ghosts = self.refused & set(order)
        assert not ghosts, f"refused and applied: {sorted(ghosts)}"
        strangers = set(order) - self.acknowledged - self.unknown
        assert not strangers, strangers
        unexpected = [error for error in self.broken if not isinstance(error, NodeRemoved)]
        assert not unexpected, unexpected
