"""The matching engine over real processes: its client, its programs, what its README says."""

from __future__ import annotations

import asyncio
import itertools
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from examples.children import Children
from examples.matchengine.amounts import SCALE
from examples.matchengine.answers import Answer, Cancelled, Placed, Refused
from examples.matchengine.client import MatchClient
from examples.matchengine.flow import order_flow
from examples.matchengine.machine import MatchMachine
from examples.matchengine.orders import CancelOrder, Command
from examples.process_cluster import ProcessCluster, leader_of
from raftify.errors import NoLeader, OutcomeUnknown, RaftifyError
from tests.examples.matchengine_orders import buy, sell
from tests.examples.processes import names_in, program
from tests.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@asynccontextmanager
async def cluster_of_three(directory: Path) -> AsyncIterator[ProcessCluster]:
    async with Children() as children:
        cluster = ProcessCluster(children, directory, "examples.matchengine.bench_node")
        await cluster.form()
        yield cluster


async def until_known(client: MatchClient, order: Command) -> Answer:
    """Send `order` until its outcome is known: a leader may die with it in its hands.

    The nodes take 5 to 10 s to elect another, and a call looks for it for 10 s.
    """
    async with asyncio.timeout(60):
        while True:
            with suppress(OutcomeUnknown, NoLeader):
                return await client.place(order)


async def test_the_client_finds_the_leader_and_asks_and_orders(tmp_path: Path) -> None:
    """Also while the leader dies; what is sent again is entered once."""
    async with cluster_of_three(tmp_path) as cluster:
        leader = leader_of(await cluster.states())
        async with MatchClient(*cluster.addresses.values()) as client:
            assert isinstance(await client.place(sell("s1", "10", "2")), Placed)
            many = await client.place_many(
                [
                    buy("b1", "10", "0.5"),
                    buy("b1", "9", "1"),
                    buy("b2", "9", "1"),
                    CancelOrder("b2"),
                ]
            )
            kinds = [type(answer) for answer in many]
            assert kinds == [Placed, Refused, Placed, Cancelled]
            await cluster.kill(leader)
            again = await until_known(client, buy("b1", "10", "0.5"))
            assert again == many[0]
            assert await client.cancel("s1") == Cancelled("s1", SCALE * 3 // 2)
            order = await client.order("s1")
            assert order is not None
            assert (order["status"], order["remaining"]) == ("cancelled", "1.5")
            assert await client.order("none") is None
            assert await client.book("CD") is None
            assert await client.book("AB", depth=1) == {
                "symbol": "AB", "sequence": 3, "bids": [], "asks": [],
            }  # fmt: skip
            page = await client.trades(symbol="AB")
            assert [(t["maker"], t["taker"], t["price"]) for t in page["trades"]] == [
                ("s1", "b1", "10")
            ]
            assert (await client.trades(symbol="CD"))["trades"] == []
            with pytest.raises(RaftifyError, match="depth is a number from 1"):
                await client.book("AB", depth=0)
        assert set((await cluster.quit()).values()) == {0}


async def test_a_node_that_was_away_gets_the_same_bytes_by_snapshot(tmp_path: Path) -> None:
    async with cluster_of_three(tmp_path) as cluster:
        leads = leader_of(await cluster.states())
        away = next(i for i in cluster.running if i != leads)
        await cluster.kill(away)
        addresses = [cluster.addresses[i] for i in cluster.running]
        flow = list(itertools.islice(order_flow(5), 300))
        async with MatchClient(*addresses) as client:
            # Twice: what was sent to the node just when it was killed may still reach it later.
            await client.place_many(flow[:50])
            await client.place_many(flow[50:200])
            leader = cluster.running[leader_of(await cluster.states())]
            snapshot = await leader.call("snapshot")
            await cluster.start(away)
            await client.place_many(flow[200:])
        machine = MatchMachine()
        for command in flow:
            machine.execute(command.encode())
        await cluster.until(
            "the node that was away having applied everything",
            lambda states: {s["orders"] for s in states.values()} == {machine.engine.sequence},
        )
        states = await cluster.states()
        came_back = states[away]
        assert came_back is not None
        assert came_back["first_index"] > snapshot, "it was given the log, not the snapshot"
        checksums = {await child.call("checksum") for child in cluster.running.values()}
        assert checksums == {zlib.crc32(machine.snapshot())}
        await cluster.quit()


async def test_a_quick_measurement_runs_and_leaves_nothing(tmp_path: Path) -> None:
    async with program(
        "-m", "examples.matchengine.bench", "--quick", "--dir", str(tmp_path)
    ) as bench:
        output, _ = await bench.communicate()
    assert bench.returncode == 0, output.decode()
    assert b"all nodes hold the same state" in output
    assert b"| client, batches of 100, 8 under way |" in output
    assert names_in(tmp_path) == []


async def test_who_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    raft, http = (f"127.0.0.1:{port}" for port in free_ports(2))
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = f"127.0.0.1:{server.getsockname()[1]}"
        for raft_addr, http_addr, message in (
            ("nowhere", http, b"nowhere"),
            (raft, "nowhere", b"--http-addr"),
            (raft, taken, b"in use"),
            (taken, http, b"cannot listen"),
        ):
            async with program(
                "-m", "examples.matchengine", "--raft-addr", raft_addr, "--http-addr", http_addr,
                "--log-dir", str(tmp_path / "log"),
            ) as node:  # fmt: skip
                output, _ = await node.communicate()
            last = output.splitlines()[-1]
            assert node.returncode == 2, output.decode()
            assert last.startswith(b"matchengine: ")
            assert message in last
