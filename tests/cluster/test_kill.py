"""kill -9 under load: no acknowledged write is lost, none is applied twice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.processes import NodeProcess, ProcessCluster, Writer
from tests.ports import free_address

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def check(dumps: list[dict[str, Any]], writers: list[Writer]) -> None:
    """Every acknowledged write is everywhere once; all nodes hold the same in the same order."""
    acknowledged = {entry for writer in writers for entry in writer.acknowledged}
    possible = acknowledged | {entry for writer in writers for entry in writer.unknown}
    assert acknowledged
    for dump in dumps:
        assert acknowledged <= set(dump["order"])
        assert set(dump["order"]) <= possible
        assert set(dump["counts"].values()) == {1}
        assert dump["order"] == dumps[0]["order"]


async def write_while(cluster: ProcessCluster, act: Any) -> list[Writer]:
    """Run four writers; let `act(writers)` do its worst in between."""
    addresses = [node.address for node in cluster.nodes]
    writers = [Writer(addresses, f"w{i}") for i in range(4)]
    tasks = [asyncio.create_task(writer.run()) for writer in writers]
    try:
        await asyncio.gather(*(writer.until(20) for writer in writers))
        await act(writers)
        await asyncio.gather(*(writer.until(20) for writer in writers))
    finally:
        for writer in writers:
            writer.stop()
        await asyncio.gather(*tasks)
    return writers


async def test_the_leader_is_killed_under_load(tmp_path: Path) -> None:
    async with ProcessCluster(tmp_path) as cluster:
        await cluster.grow_to(3)

        async def act(writers: list[Writer]) -> None:
            leader = await cluster.leader()
            await leader.kill()
            await asyncio.gather(*(writer.until(20) for writer in writers))
            await leader.start()

        writers = await write_while(cluster, act)
        check(await cluster.dumps(), writers)


async def test_a_follower_is_killed_under_load_and_comes_back_by_snapshot(tmp_path: Path) -> None:
    async with ProcessCluster(tmp_path, snapshot_entries=100, snapshot_keep_entries=10) as cluster:
        await cluster.grow_to(3)
        victims: list[NodeProcess] = []

        async def act(writers: list[Writer]) -> None:
            leader = await cluster.leader()
            victim = next(n for n in cluster.nodes if n is not leader)
            victims.append(victim)
            await victim.kill()
            await asyncio.gather(*(writer.until(100) for writer in writers))
            await victim.start()

        writers = await write_while(cluster, act)
        dumps = await cluster.dumps()
        check(dumps, writers)
        assert dumps[cluster.nodes.index(victims[0])]["restored"] >= 1


async def test_all_nodes_are_killed_at_once(tmp_path: Path) -> None:
    addresses = {i: free_address() for i in range(1, 4)}
    initial = json.dumps(addresses)
    async with ProcessCluster(tmp_path) as cluster:
        await asyncio.gather(
            *(
                cluster.add("--node-id", str(i), "--initial-peers", initial, address=address)
                for i, address in addresses.items()
            )
        )

        async def act(writers: list[Writer]) -> None:
            await asyncio.gather(*(node.kill() for node in cluster.nodes))
            await asyncio.gather(*(node.start() for node in cluster.nodes))

        writers = await write_while(cluster, act)
        check(await cluster.dumps(), writers)


async def test_a_node_that_is_told_to_quit_ends_with_success(tmp_path: Path) -> None:
    async with ProcessCluster(tmp_path) as cluster:
        node = await cluster.add()
        assert await node.quit() == 0
