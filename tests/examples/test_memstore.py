"""memstore over real processes, spoken to as its users do: over HTTP and with signals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from pathlib import Path

import pytest

from examples.children import TOP
from raftify import create_client
from tests.examples.memstore_node import MemstoreNode, StaticNode, grown_cluster
from tests.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def test_what_is_put_through_any_node_is_read_on_every_node(tmp_path: Path) -> None:
    async with grown_cluster(tmp_path) as nodes:
        assert await nodes[1].ask("PUT", "/store/fruit/apple") == (200, "apple")
        await nodes[2].put("a%2Fb", "slashes / and %25")
        for node in nodes:
            assert await node.get("fruit") == "apple"
            assert await node.get("a%2Fb") == "slashes / and %25"
            assert sorted(await node.json("GET", "/peers")) == ["1", "2", "3"]
        assert await nodes[0].ask("PUT", "/store/empty", b"") == (200, "")
        assert await nodes[1].get("empty") == ""


async def test_operation_over_http(tmp_path: Path) -> None:
    """Leader, debug, snapshot, transfer, campaign: each answers, and does what it says."""
    async with grown_cluster(tmp_path) as nodes:
        await nodes[0].put("k", "v")
        assert (await nodes[0].json("GET", "/leader"))["is_leader"]
        debug = await nodes[0].json("GET", "/debug")
        assert (debug["node_id"], debug["role"], debug["leader_id"]) == (1, "leader", 1)
        assert (await nodes[0].json("POST", "/snapshot"))["index"] == debug["applied"]
        await nodes[0].json("POST", "/transfer_leader/2")
        assert (await nodes[1].json("GET", "/debug"))["role"] == "leader"
        status, text = await nodes[1].ask("POST", "/campaign")
        assert (status, json.loads(text)["error"]) == (409, "LeadsAlready")
        assert (await nodes[2].json("POST", "/campaign")) == {"campaigning": 3}
        status, text = await nodes[2].ask("POST", "/leave_joint")
        assert (status, json.loads(text)["error"]) == (409, "NotJoint")
        await nodes[2].put("k", "after all that")


async def test_refusals_are_json_with_a_fitting_status(tmp_path: Path) -> None:
    async with MemstoreNode(tmp_path) as node:
        await node.start()

        async def refused(method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
            status, text = await node.ask(method, path, body)
            answer = json.loads(text)
            assert answer["message"]
            return status, answer["error"]

        assert await refused("GET", "/store/none") == (404, "NoSuchKey")
        assert await refused("GET", "/nowhere") == (404, "Not Found")
        assert await refused("GET", "/leave") == (405, "Method Not Allowed")
        assert await refused("PUT", "/store/k", bytes(17 << 20)) == (413, "ProposalTooLarge")
        assert await refused("POST", "/transfer_leader/x") == (400, "ConfigError")
        assert await refused("POST", "/transfer_leader/9") == (409, "TransferRejected")
        assert await refused("POST", "/leave") == (409, "ConfChangeRejected")
        await node.put("k", "still alive")


async def test_a_killed_leader_is_replaced_and_comes_back(tmp_path: Path) -> None:
    """Nothing acknowledged is lost; the second start needs no --peer-addr, and bears one."""
    async with grown_cluster(tmp_path) as nodes:
        await nodes[1].put("before", "1")
        assert (await nodes[0].json("GET", "/leader"))["is_leader"]
        assert await nodes[0].stop(signal.SIGKILL) == -signal.SIGKILL
        await nodes[2].put("meanwhile", "2")
        await nodes[0].start()
        assert (await nodes[0].get("before"), await nodes[0].get("meanwhile")) == ("1", "2")
        assert await nodes[2].stop(signal.SIGKILL) == -signal.SIGKILL
        await nodes[0].put("before", "3")
        await nodes[2].start("--peer-addr", nodes[1].raft_addr)
        assert (await nodes[2].get("before"), await nodes[2].get("meanwhile")) == ("3", "2")
        assert sorted(await nodes[2].json("GET", "/peers")) == ["1", "2", "3"]


async def test_who_leaves_ends_and_the_others_go_on(tmp_path: Path) -> None:
    async with grown_cluster(tmp_path) as nodes:
        assert await nodes[0].json("POST", "/leave") == {"left": 1}
        assert await nodes[0].ended() == 0
        for node in nodes[1:]:
            await node.put("k", "v")
            assert sorted(await node.json("GET", "/peers")) == ["2", "3"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
async def test_a_signal_ends_a_node_quietly(tmp_path: Path, number: signal.Signals) -> None:
    async with MemstoreNode(tmp_path) as node:
        await node.start()
        await node.put("k", "v")
        assert await node.stop(number) == 0
        assert node.errors() == ""
        await node.start()
        assert await node.get("k") == "v"


async def test_a_joiner_may_start_before_its_peer(tmp_path: Path) -> None:
    async with (
        MemstoreNode(tmp_path / "peer") as peer,
        MemstoreNode(tmp_path / "joiner") as joiner,
    ):
        await joiner.spawn("--peer-addr", peer.raft_addr)
        await peer.start()
        await joiner.answering()
        await joiner.put("k", "v")
        assert sorted(await peer.json("GET", "/peers")) == ["1", "2"]


async def test_the_static_variant(tmp_path: Path) -> None:
    ports = free_ports(3)
    text = (TOP / "examples" / "memstore" / "cluster.example.toml").read_text()
    for written, free in zip(("60061", "60062", "60063"), ports, strict=True):
        text = text.replace(written, str(free))
    cluster = tmp_path / "cluster.toml"
    cluster.write_text(text)
    async with contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(StaticNode(tmp_path / f"node-{i}")) for i in (1, 2, 3)
        ]
        options = ["--config", str(cluster), "--node-id"]
        await asyncio.gather(*(n.start(*options, str(i)) for i, n in enumerate(nodes, start=1)))
        await nodes[2].put("k", "v")
        assert [await node.get("k") for node in nodes] == ["v", "v", "v"]
        await nodes[0].stop(signal.SIGKILL)
        await nodes[1].put("k", "w")
        await nodes[0].start(*options, "1")
        assert await nodes[0].get("k") == "w"
        # The directory of node 1 under the name of node 2: its votes are node 1's.
        await nodes[0].stop()
        await nodes[1].stop()
        await nodes[0].spawn(*options, "2")
        assert await nodes[0].ended() == 2
        assert nodes[0].errors().startswith("memstore: StorageForeign: ")


async def test_what_keeps_a_node_from_starting_is_said_in_one_line(tmp_path: Path) -> None:
    async with MemstoreNode(tmp_path / "a") as running, MemstoreNode(tmp_path / "b") as other:
        await running.start()
        assert "StorageLocked" in await other.cannot_start(
            "--log-dir", str(running.directory / "log")
        )
        assert "cannot answer HTTP on" in await other.cannot_start(
            "--web-server", running.http_addr
        )
        assert "cannot listen at" in await other.cannot_start("--raft-addr", running.raft_addr)
        assert "ConfigError" in await other.cannot_start("--raft-addr", "nowhere")
        assert "tick_interval must be" in await other.cannot_start("--tick", "-1")
        (silent,) = free_ports(1)
        line = await MemstoreNode(tmp_path / "c").cannot_start(
            "--peer-addr", f"127.0.0.1:{silent}", "--join-timeout", "0.5"
        )
        assert f"127.0.0.1:{silent}" in line


async def test_who_cannot_start_has_not_become_a_member(tmp_path: Path) -> None:
    """A dead voter in every failed attempt would soon leave no quorum."""
    async with MemstoreNode(tmp_path / "a") as running, MemstoreNode(tmp_path / "b") as other:
        await running.start()
        join = ("--peer-addr", running.raft_addr)
        assert "cannot answer HTTP on" in await other.cannot_start(
            *join, "--web-server", running.http_addr
        )
        assert "--web-server: " in await other.cannot_start(*join, "--web-server", "foo")
        async with create_client(running.raft_addr) as client:
            view = await client.get_peers()
        assert sorted(view.membership.peers) == [1]
