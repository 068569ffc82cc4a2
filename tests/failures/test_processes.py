"""Faults that only real processes can have: pauses, full disks, snapshots of hundreds of megabytes.

Numbers like b45 are those of docs/failures.md.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from raftify.client import create_client
from raftify.errors import OutcomeUnknown
from tests.cluster.processes import NodeProcess, ProcessCluster
from tests.cluster.test_kill import check, write_while

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MIB = 1 << 20


def anonymous_bytes(node: NodeProcess) -> int:
    """Return the memory that is the process's own; mapped files are the kernel's to give back."""
    for line in Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    pytest.skip("this kernel does not tell")


async def watch_memory(nodes: list[NodeProcess], growth: dict[int, int]) -> None:
    """Keep in `growth` the most that each node has grown by."""
    before: dict[int, int] = {}
    while True:
        for node in list(nodes):
            if node.node_id:
                now = anonymous_bytes(node)
                grown = now - before.setdefault(node.node_id, now)
                growth[node.node_id] = max(growth.get(node.node_id, 0), grown)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("machine", "size", "copies"), [("BigStream", 300 * MIB, 0), ("BigBytes", 100 * MIB, 3)]
)
async def test_a_snapshot_of_300_megabytes(
    tmp_path: Path, machine: str, size: int, copies: int
) -> None:
    """b45, b50: to a new member, with the leader in office, and a few chunks of memory.

    Of a state machine that makes bytes of its state there are those, at most `copies` times.
    """
    # The default's pace: a test is no place to find out how slow a busy machine can get.
    settings: dict[str, Any] = {"snapshot_keep_entries": 0, "tick_interval": 0.1}
    which = ("--machine", f"tests.failures.machines:{machine}")
    growth: dict[int, int] = {}
    async with ProcessCluster(tmp_path, **settings) as cluster:
        founder = await cluster.add(*which)
        second = await cluster.add(*which, "--peer", founder.address)
        async with create_client([founder.address, second.address], timeout=30) as client:
            await client.propose(f"size:{size}".encode())
            leader = await cluster.leader()
            before = (await leader.ask("dump"))["term"]
            watching = asyncio.create_task(watch_memory(cluster.nodes, growth))
            index = await leader.ask("snapshot")
            joiner = await cluster.add(*which, "--peer", founder.address)
            await client.propose(b"after")
        joined = await joiner.ask("read")
        watching.cancel()
        assert joined["order"] == [f"size:{size}", "after"]
        assert joined["restored"] == 1
        assert joined["snapshot_index"] >= index
        assert (await leader.ask("dump"))["role"] == "leader"
        assert joined["term"] == before
    assert max(growth.values()) < copies * size + 48 * MIB, growth


async def test_a_leader_that_was_stopped_for_a_while_follows(tmp_path: Path) -> None:
    """b55: SIGSTOP past the election timeout; it knows nothing of it, and must not answer reads."""
    async with ProcessCluster(tmp_path) as cluster:
        await cluster.grow_to(3)
        seen: list[dict[str, Any]] = []
        acknowledged: list[set[str]] = []

        async def act(writers: list[Any]) -> None:
            old = await cluster.leader()
            old.process.send_signal(signal.SIGSTOP)
            # Asked while it stands still, it answers when it goes on.
            reading = asyncio.create_task(old.ask("read"))
            await asyncio.gather(*(writer.until(20) for writer in writers))
            acknowledged.append({e for writer in writers for e in writer.acknowledged})
            old.process.send_signal(signal.SIGCONT)
            await reading
            seen.append(await old.ask("read"))
            await asyncio.gather(*(writer.until(20) for writer in writers))

        writers = await write_while(cluster, act)
        check(await cluster.dumps(), writers)
        assert acknowledged[0] <= set(seen[0]["order"])
        assert seen[0]["leader_id"] not in (0, seen[0]["node_id"])


@contextmanager
def small_disk(where: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk of that size; skip the test where one may not."""
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(where)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield where
    finally:
        subprocess.run(["umount", str(where)], check=True)


@pytest.mark.parametrize("leads", [True, False])
async def test_a_disk_that_is_really_full(tmp_path: Path, leads: bool) -> None:
    """b58: the node says so and ends, the others go on; with room again it goes on where it was."""
    with small_disk(tmp_path / "small", 4) as disk:
        async with ProcessCluster(tmp_path) as cluster:
            cluster.directory = disk
            first = await cluster.add()
            cluster.directory = tmp_path
            for _ in range(2):
                await cluster.add("--peer", first.address)
            victim = first
            async with create_client([n.address for n in cluster.nodes], timeout=30) as client:
                target = victim if leads else cluster.nodes[1]
                await client.transfer_leader(target.node_id)
                filler = disk / "filler"
                with filler.open("wb", buffering=0) as file:
                    try:
                        while file.write(bytes(4096)) == 4096:
                            pass
                    except OSError:
                        pass
                acknowledged = []
                for i in range(40):
                    entry = f"{i:04}" + "x" * 20_000
                    # The one that a leader cannot write has no answer yet, and must not be lost.
                    with suppress(OutcomeUnknown):
                        await client.propose(entry.encode())
                        acknowledged.append(entry)
                assert len(acknowledged) >= 39
                assert await victim._read("failed") == "StorageFull"
                await victim.process.wait()
                filler.unlink()
                await victim.start()
                await client.propose(b"after")
            dumps = await cluster.dumps()
        for dump in dumps:
            assert dump["order"] == dumps[0]["order"]
            assert set(acknowledged) <= set(dump["order"])
            assert set(dump["counts"].values()) == {1}
