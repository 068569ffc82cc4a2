"""However and whenever a node ends: `run` returns, nobody waits for ever, nothing is left behind.

This is b64 of docs/failures.md.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from raftify.errors import NodeStopped, OutcomeUnknown, RaftifyError
from raftify.raft import Raft
from raftify.storage.lmdb_storage import LmdbStorage
from raftify.testing.simulation import SimulatedCluster, SimulatedNode
from tests.cluster.local_cluster import LocalCluster, make_config
from tests.cluster.machines import Tally
from tests.failures.simulation import simulated
from tests.ports import free_address

ROOT = Path(__file__).resolve().parents[2]


class SlowRestore(Tally):
    async def snapshot(self) -> bytes:
        await asyncio.sleep(0.05)
        return await super().snapshot()

    async def restore(self, data: bytes) -> None:
        await asyncio.sleep(0.05)
        await super().restore(data)


async def busy(node: SimulatedNode) -> None:
    """Ask everything of `node` at once, again and again, until it has ended."""
    to = 1 + node.id % 3
    while node.running:
        calls = [
            node.raft.propose(b"x", timeout=1),
            node.raft.read_index(timeout=1),
            node.raft.make_snapshot(timeout=1),
            node.raft.transfer_leader(to, timeout=1),
            node.raft.campaign(timeout=1),
        ]
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(not isinstance(a, BaseException) or isinstance(a, RaftifyError) for a in answers)
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("how", ["quit", "cancel", "leave"])
def test_ending_at_any_moment(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """During restore, start, election, snapshots, transfers and proposals; nothing is left over."""
    logger = logging.getLogger("tests.endings")
    caplog.set_level(logging.DEBUG, logger="tests.endings")

    async def end(cluster: SimulatedCluster, step: int) -> None:
        await asyncio.gather(*(cluster.nodes[2].raft.propose(b"x") for _ in range(10)))
        await cluster.settle()
        node = cluster.nodes[1]
        await node.stop()
        node.start()
        asking = asyncio.create_task(busy(node))
        await asyncio.sleep(0.004 * step)
        began = cluster.now
        if how == "cancel":
            assert node.task is not None
            node.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await node.outcome()
        else:
            with suppress(RaftifyError):
                await (node.raft.quit() if how == "quit" else node.raft.leave(timeout=30))
            await node.stop()
            await node.outcome()
        assert node.released
        assert cluster.now - began < 35
        await asking
        with pytest.raises(NodeStopped):
            await node.raft.propose(b"late")

    # What is left over fails the simulation.
    for step in range(30):
        run = simulated(machine=SlowRestore, logger=logger, seed=step, snapshot_entries=3)
        run(end)(step)
    assert [r.message for r in caplog.records if r.levelno >= logging.ERROR] == []


@simulated(1)
async def test_being_cancelled_again_while_ending_releases_everything_all_the_same(
    cluster: SimulatedCluster,
) -> None:
    node = cluster.nodes[1]
    node.disk_pace = 0.5
    proposal = asyncio.create_task(node.raft.propose(b"x"))
    await asyncio.sleep(0.01)
    assert node.task is not None
    for _ in range(5):
        node.task.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await node.outcome()
    assert node.released
    with pytest.raises((NodeStopped, OutcomeUnknown)):
        await proposal
    node.start()
    assert await node.raft.propose(b"y") == b"y:1"


@simulated(1)
async def test_a_node_runs_once(cluster: SimulatedCluster) -> None:
    node = cluster.nodes[1]
    with pytest.raises(NodeStopped, match="runs once"):
        await node.raft.run()
    assert await node.raft.propose(b"x") == b"x:1"
    runtime = node.runtime
    await node.stop()
    with pytest.raises(NodeStopped, match="runs once"):
        await runtime.run()


class BrokenHandler(logging.Handler):
    broken = False

    def emit(self, record: logging.LogRecord) -> None:
        if self.broken:
            raise OSError("the log cannot be written")


def test_a_log_that_cannot_be_written_ends_a_node_cleanly_at_most() -> None:
    handler, logger = BrokenHandler(), logging.getLogger("tests.broken")
    logger.propagate = False
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)

    async def lose_the_log(cluster: SimulatedCluster) -> None:
        handler.broken = True
        (await cluster.leader()).crash()
        for node in cluster.running():
            async with asyncio.timeout(20):
                await node.ended()
            assert isinstance(node.failure, OSError)
            assert node.released
            with pytest.raises(NodeStopped):
                await node.raft.propose(b"x")
        handler.broken = False

    simulated(logger=logger)(lose_the_log)()
    logger.removeHandler(handler)


def descriptors() -> int:
    where = Path("/proc/self/fd")
    return len(list(where.iterdir())) if where.exists() else 0


async def live_and_die(directory: Path) -> None:
    """A cluster of three real nodes is founded, works, loses one, and ends."""
    async with LocalCluster(directory) as cluster:
        founder = await cluster.grow_to(3)
        await asyncio.gather(*(founder.raft.propose(f"k{i}".encode()) for i in range(100)))
        await founder.raft.make_snapshot()
        leaver = cluster.nodes.pop(3)
        await leaver.raft.leave()
        await leaver.task


async def test_nothing_is_left_of_clusters_that_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No descriptor, thread or task more after ten lives than after two; no error in the log."""
    counts = []
    for life in range(6):
        await live_and_die(tmp_path / str(life))
        gc.collect()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not [t for t in tasks if "raftify" in t.get_name()], tasks
        threads = [t.name for t in threading.enumerate() if t.name.startswith("raftify")]
        assert not threads
        counts.append(descriptors())
    assert counts[-1] <= counts[1] + 3, counts
    assert [r.message for r in caplog.records if r.levelno >= logging.ERROR] == []


async def test_the_port_and_the_store_are_free_when_quit_returns(tmp_path: Path) -> None:
    config, address = make_config(), free_address()
    for _ in range(5):
        storage = LmdbStorage.create(tmp_path, config)
        raft = Raft.bootstrap(1, address, storage, Tally(), config)
        task = asyncio.create_task(raft.run())
        await raft.wait_for_leader()
        await raft.quit()
        await task


ABANDONED = """
import asyncio, sys
from pathlib import Path
from tests.cluster.local_cluster import make_config
from tests.ports import free_address
from tests.cluster.machines import Tally
from raftify.raft import Raft
from raftify.storage.lmdb_storage import LmdbStorage

async def main() -> None:
    # How slow the machine is just now is not the question, and -X dev would tell.
    asyncio.get_running_loop().slow_callback_duration = 60
    config = make_config()
    storage = LmdbStorage.create(Path(sys.argv[1]), config)
    raft = Raft.bootstrap(1, free_address(), storage, Tally(), config)
    task = asyncio.create_task(raft.run())
    await raft.wait_for_leader()
    await raft.propose(b"x")
    print("done")

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_program_that_forgets_to_quit_ends_in_silence(tmp_path: Path) -> None:
    """The event loop cancels everything at its end; that is no reason for noise, or to hang."""
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", ABANDONED, str(tmp_path / "log")],
        cwd=ROOT, capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert (ended.stdout, ended.stderr, ended.returncode) == ("done\n", "", 0)
