"""Work of the leader alone, and proposals that only the leader of one term may make."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from raftify.errors import ConfigError, NotLeader
from tests.cluster.local_cluster import LocalCluster, LocalNode


class Journal:
    """What a node's leader work did, and a way to wait for it."""

    def __init__(self, node: LocalNode) -> None:
        self.node = node
        self.events: list[tuple[str, int]] = []
        self.news = asyncio.Event()

    def note(self, what: str, term: int) -> None:
        self.events.append((what, term))
        self.news.set()

    async def start(self, term: int) -> None:
        self.note("start", term)
        try:
            await asyncio.Event().wait()
        finally:
            self.note("cancelled", term)

    def stop(self, term: int) -> None:
        self.note("stop", term)

    async def reaches(self, event: tuple[str, int]) -> None:
        async with asyncio.timeout(20):
            while event not in self.events:
                self.news.clear()
                await self.news.wait()


async def test_it_follows_leadership(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        await cluster.static(3)
        leader = await cluster.leader()
        other = next(n for n in cluster.nodes.values() if n is not leader)
        here, there = Journal(leader), Journal(other)
        works = [j.node.raft.on_leader_change(j.start, j.stop) for j in (here, there)]
        term = leader.raft.metrics().term
        await here.reaches(("start", term))
        await leader.raft.transfer_leader(other.id)
        await here.reaches(("stop", term))
        assert here.events == [("start", term), ("cancelled", term), ("stop", term)]
        later = other.raft.metrics().term
        await there.reaches(("start", later))
        assert there.events == [("start", later)]
        await works[1].close()
        assert there.events[1:] == [("cancelled", later), ("stop", later)]
        await works[1].close()
        await works[0].close()
        assert len(here.events) == 3


async def test_it_ends_with_the_node(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        journal = Journal(node)
        node.raft.on_leader_change(journal.start, journal.stop)
        term = node.raft.metrics().term
        await journal.reaches(("start", term))
        await node.stop()
        assert journal.events[-1] == ("stop", term)


async def test_what_it_raises_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        journal = Journal(node)

        def broken(term: int) -> None:
            journal.note("broken", term)
            raise ZeroDivisionError("of all things")

        with caplog.at_level(logging.ERROR):
            work = node.raft.on_leader_change(broken, journal.stop)
            term = node.raft.metrics().term
            await journal.reaches(("broken", term))
            assert await node.raft.propose(b"e1") == b"e1:1"
            await work.close()
        assert journal.events == [("broken", term), ("stop", term)]
        assert "what node 1 does as the leader of term" in caplog.text
        with pytest.raises(ConfigError, match="a function of the term"):
            node.raft.on_leader_change(None)  # type: ignore[arg-type]


async def test_a_deposed_leader_is_fenced_off(tmp_path: Path) -> None:
    """Failure 63: its proposals must not go on under the next leader's term."""
    async with LocalCluster(tmp_path) as cluster:
        await cluster.static(3)
        leader = await cluster.leader()
        term = leader.raft.metrics().term
        assert await leader.raft.propose(b"e1", term=term) == b"e1:1"
        other = next(n for n in cluster.nodes.values() if n is not leader)
        with pytest.raises(NotLeader):
            await other.raft.propose(b"e2", term=term)
        await leader.raft.transfer_leader(other.id)
        with pytest.raises(NotLeader):
            await leader.raft.propose(b"e3", term=term)
        await other.raft.transfer_leader(leader.id)
        await leader.raft.wait(10).leader(leader.id)
        with pytest.raises(NotLeader, match=f"for the leader of term {term}"):
            await leader.raft.propose(b"e4", term=term)
        assert set(leader.machine.counts) == {"e1"}
        for wrong in (0, -1, True, 1.5):
            with pytest.raises(ConfigError, match="term"):
                await leader.raft.propose(b"e5", term=wrong)  # type: ignore[arg-type]


async def test_a_restarted_node_has_recovered(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        for number in range(20):
            await node.raft.propose(f"e{number}".encode())
        await node.stop()
        again = cluster.start(node.id, node.address, node.log_dir)
        await again.raft.wait_for_recovery()
        assert again.machine.order == [f"e{n}" for n in range(20)]
