"""kvstore as its users meet it: programs, HTTP, the client, the script."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from examples.kvstore.client import (
    KvClient,
    KvOutcomeUnknown,
    KvRefused,
    KvUnavailable,
)
from tests.examples.kvstore_node import KvNode, client_of, waiting_nodes
from tests.ports import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_one_call_founds_a_cluster_of_all(tmp_path: Path) -> None:
    async with waiting_nodes(tmp_path, 3) as nodes, client_of(nodes) as client:
        await client.init([node.named for node in nodes])
        await client.set("k", "v")
        assert await client.read("k") == "v"
        assert await client.read("none") is None
        assert await client.append("k", "w") == "vw"
        assert await client.delete("k") == "vw"
        assert client.leader in [node.http_addr for node in nodes]
        assert await client.nodes() == {
            str(n.id): {"raft_addr": n.raft_addr, "http_addr": n.http_addr, "role": "voter"}
            for n in nodes
        }
        # Repeating is harmless, on another node and in another order, too.
        await nodes[1].ask("/init", [node.named for node in reversed(nodes)])
        status, answer, _ = await nodes[1].post("/init", b"[]")
        assert (status, answer["error"]) == (409, "ConfChangeRejected")


async def test_the_client_outlives_the_leader_and_writes_nothing_twice(tmp_path: Path) -> None:
    async with waiting_nodes(tmp_path, 3) as nodes, client_of(nodes) as client:
        await client.init([node.named for node in nodes])
        await client.append("log", "0,")
        metrics = await client.metrics()
        leader = next(node for node in nodes if node.id == metrics["current_leader"])

        async def write(first: int) -> None:
            for number in range(first, first + 30):
                await client.append("log", f"{number},")

        await write(1)
        writing = asyncio.create_task(write(31))
        await leader.stop(signal.SIGKILL)
        await writing
        whole = "".join(f"{number}," for number in range(61))
        assert await client.read("log") == whole
        await leader.start()
        assert await leader.ask("/linearizable-read", "log") == whole
        assert await leader.ask("/read", "log") == whole


async def test_members_come_and_go_through_the_client(tmp_path: Path) -> None:
    async with waiting_nodes(tmp_path, 3) as nodes, client_of(nodes) as client:
        await client.init()
        for node in nodes[1:]:
            await client.add_learner(*node.named)
        assert (await client.nodes())["3"]["role"] == "learner"
        await client.change_membership([1, 2])
        await client.set("k", "v")
        await client.transfer_leader(2)
        assert await client.read("k") == "v"
        await client.change_membership([2, 3])
        assert sorted(await client.nodes()) == ["2", "3"]
        # Who was removed says so and ends.
        assert await nodes[0].ended() == 1
        assert "kvstore: NodeRemoved: " in nodes[0].errors()
        await client.set("k", "w")


async def test_without_a_cluster_503_says_when_to_try_again(tmp_path: Path) -> None:
    async with waiting_nodes(tmp_path, 1) as (node,):
        write = b'{"Set":{"key":"k","value":"v"}}'
        for path, body in (
            ("/write", write),
            ("/session", b""),
            ("/linearizable-read", b'"k"'),
            ("/change-membership", b"[1]"),
            ("/add-learner", b'[2,"127.0.0.1:9"]'),
        ):
            status, answer, headers = await node.post(f"{path}?timeout=0.1", body)
            assert (status, answer["error"]) == (503, "NoLeader"), path
            assert int(headers["Retry-After"]) >= 1
        # What needs no leader is answered.
        assert (await node.post("/read", b'"k"'))[:2] == (200, None)
        status, metrics, _ = await node.post("/metrics", None, method="GET")
        assert (status, metrics["current_leader"]) == (200, 0)
        async with KvClient([node.http_addr]) as client:
            with pytest.raises(KvUnavailable):
                await client.set("k", "v", timeout=0.5)


async def test_a_leader_without_its_quorum_cannot_tell_the_outcome(tmp_path: Path) -> None:
    # Ticks so long that it does not give up its office meanwhile.
    async with (
        waiting_nodes(tmp_path, 2, "--tick", "3") as nodes,
        client_of(nodes) as client,
    ):
        await client.init([node.named for node in nodes])
        await client.set("k", "v")
        leader_id = (await client.metrics())["current_leader"]
        leader, other = sorted(nodes, key=lambda node: node.id != leader_id)
        other.process.send_signal(signal.SIGSTOP)
        try:
            status, answer, _ = await leader.post(
                "/write?timeout=0.2", b'{"Append":{"key":"k","value":"w"}}'
            )
            assert (status, answer["error"]) == (504, "DeadlineExceeded")
            with pytest.raises(KvOutcomeUnknown):
                await client.append("k", "x", timeout=0.3)
            status, answer, _ = await leader.post("/linearizable-read?timeout=0.2", b'"k"')
            assert status == 503, answer
        finally:
            other.process.send_signal(signal.SIGCONT)
        # Each of them took effect once, or never.
        assert await client.append("k", "!") in ("v!", "vw!", "vx!", "vwx!")


BAD_BODIES: list[tuple[str, bytes, str]] = [
    ("/write", b"", "a write is an object"),
    ("/write", b"{", "no JSON"),
    ("/write", b"\xff\xfe", "no JSON"),
    ("/write", b"[" * 200_000, "nested too deeply"),
    ("/write", b"x" * (3 << 20), "more than 2097152 bytes"),
    ("/write", b'{"Set":{"key":"k"}}', "the fields key and value"),
    ("/write", b'{"Set":{"key":"k","value":null}}', "value is text"),
    ("/write", b'{"Drop":{"key":"k"}}', "one of Set, Append, Delete"),
    ("/write", b'{"Open":{}}', "one of Set, Append, Delete"),
    ("/write", b'{"Set":{"key":"k","value":"v"},"session":-1,"seq":1}', "session is a number"),
    ("/write", b'{"Set":{"key":"k","value":"\\udc00"}}', "surrogate"),
    ("/write?timeout=soon", b'{"Delete":{"key":"k"}}', "timeout is a number"),
    ("/write?timeout=nan", b'{"Delete":{"key":"k"}}', "timeout is a number"),
    ("/write?timeout=1e9", b'{"Delete":{"key":"k"}}', "up to 60"),
    ("/read", b"k", "no JSON"),
    ("/read", b"7", "a key is text"),
    ("/linearizable-read", b'["k"]', "a key is text"),
    ("/init", b'"all"', "a list of nodes"),
    ("/init", b"[2]", "a node is"),
    ("/init", b'[[2,"127.0.0.1:9"]]', "not this node, 1"),
    ("/init", b'[[1,"127.0.0.1:9"]]', "would not find it"),
    ("/init", b'[[1,"127.0.0.1:9"],[1,"127.0.0.1:8"]]', "listed twice"),
    ("/add-learner", b"{}", "a node is"),
    ("/add-learner", b'[0,"127.0.0.1:9"]', "node id"),
    ("/add-learner", b'["2","127.0.0.1:9"]', "node id"),
    ("/add-learner", b'[2,"nowhere"]', "address"),
    ("/add-learner", b'[2,"127.0.0.1:9","nowhere"]', "address"),
    ("/add-learner", b"[2,9]", "an address is text"),
    ("/change-membership", b"[]", "a list of node ids"),
    ("/change-membership", b"[1,true]", "node id"),
    ("/change-membership", b"[1,1]", "twice"),
    ("/change-membership", b"[1,9]", "[9] are no members"),
    ("/transfer-leader", b"9", "[9] are no members"),
    ("/transfer-leader", b"null", "node id"),
]


async def test_bad_input_is_refused_with_400_and_a_message(tmp_path: Path) -> None:
    async with waiting_nodes(tmp_path, 1) as (node,), client_of([node]) as client:
        await client.init()
        await client.set("k", "v")
        for path, body, message in BAD_BODIES:
            status, answer, _ = await node.post(path, body)
            assert (status, message in answer["message"]) == (400, True), (path, body[:80], answer)
        with pytest.raises(KvRefused, match="surrogate"):
            await client.set("k", "\ud800")
        for path, method, status in (("/nowhere", "GET", 404), ("/write", "GET", 405)):
            assert (await node.post(path, None, method=method))[0] == status
        assert await client.read("k") == "v"
        assert await node.stop() == 0
        assert node.errors() == ""


async def test_a_signal_ends_a_node_after_its_last_answer(tmp_path: Path) -> None:
    async with waiting_nodes(tmp_path, 1) as (node,), client_of([node]) as client:
        await client.init()
        await client.set("k", "v" * 100_000)
        # This one waits for a learner that is not there when the signal comes.
        slow = asyncio.create_task(
            node.post("/add-learner?timeout=2", b'[2,"127.0.0.1:%d"]' % free_ports(1)[0])
        )
        # Answered only once what was appended before it is applied: the learner is one by then.
        while "2" not in await client.nodes():
            await client.read("k")
        assert await node.stop() == 0
        status, answer, _ = await slow
        assert (status, answer["error"]) == (504, "DeadlineExceeded")
        assert node.errors() == ""
        await node.start()
        assert len(await client.read_stale("k") or "") == 100_000


async def test_what_keeps_a_node_from_starting_is_said_in_one_line(tmp_path: Path) -> None:
    async with waiting_nodes(tmp_path / "a", 1) as (running,):
        other = KvNode(tmp_path / "b", 2)
        assert "StorageLocked" in await other.cannot_start("--dir", str(running.directory / "log"))
        assert "cannot answer HTTP on" in await other.cannot_start("--http-addr", running.http_addr)
        assert "cannot listen at" in await other.cannot_start("--raft-addr", running.raft_addr)
        assert "--http-addr: " in await other.cannot_start("--http-addr", "nowhere")
        assert "node id" in await other.cannot_start("--id", "0")
        assert "tick_interval" in await other.cannot_start("--tick", "-1")
        assert await running.stop() == 0
        assert "StorageForeign" in await other.cannot_start("--dir", str(running.directory / "log"))
