"""KvClient against a node that says what the test wants it to say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from examples.kvstore.answers import LEADER_HEADER
from examples.kvstore.client import KvClient, KvOutcomeUnknown, KvRefused, KvUnavailable
from tests.ports import free_ports

OPENED = (200, {"session": 7})
WRITTEN = (200, {"value": "v"})
LATE = (504, {"error": "DeadlineExceeded", "message": "too late"})
LEADERLESS = (503, {"error": "NoLeader", "message": "nobody leads"})
EXPIRED = (409, {"error": "SessionExpired", "message": "session 7 is not known"})


class Node:
    """Answers with what is in `script`, the last of it again and again; notes what it was asked."""

    def __init__(self) -> None:
        self.script: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, Any]] = []
        self.leader = ""
        self.address = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.json() if request.can_read_body else None))
        status, body = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if body is None:
            assert request.transport is not None
            request.transport.close()  # a node that was killed before it could answer
        return web.json_response(body, status=status, headers={LEADER_HEADER: self.leader})

    def writes(self) -> list[tuple[int, int]]:
        """Return session and number of each write that came."""
        return [(body["session"], body["seq"]) for path, body in self.asked if path == "/write"]


@asynccontextmanager
async def node(*script: tuple[int, Any]) -> AsyncIterator[Node]:
    one = Node()
    one.script = list(script)
    app = web.Application()
    app.router.add_route("*", "/{path}", one.answer)
    async with TestServer(app) as server:
        one.address = f"{server.host}:{server.port}"
        yield one


@pytest.mark.parametrize("trouble", [LATE, LEADERLESS, (0, None)], ids=["504", "503", "broken"])
async def test_a_write_is_repeated_under_its_number(trouble: tuple[int, Any]) -> None:
    async with (
        node(OPENED, trouble, trouble, WRITTEN) as one,
        KvClient([one.address], timeout=30) as client,
    ):
        await client.set("k", "v")
        await client.set("k", "v")
        assert one.writes() == [(7, 1), (7, 1), (7, 1), (7, 2)]


async def test_a_number_that_was_given_up_is_not_used_again() -> None:
    """The write may come yet; under the same number it would count for the next one."""
    async with node(OPENED, LATE) as one, KvClient([one.address], timeout=30) as client:
        with pytest.raises(KvOutcomeUnknown):
            await client.set("k", "v", timeout=0.5)
        one.script = [WRITTEN]
        await client.set("k", "w")
        assert set(one.writes()) == {(7, 1), (7, 2)}


async def test_only_what_may_have_happened_is_of_unknown_outcome() -> None:
    async with node(OPENED, LEADERLESS) as one, KvClient([one.address]) as client:
        with pytest.raises(KvUnavailable):
            await client.set("k", "v", timeout=0.3)
        one.script = [LATE]
        with pytest.raises(KvUnavailable):
            await client.read("k", timeout=0.3)  # changes nothing
        with pytest.raises(KvOutcomeUnknown):
            await client.change_membership([1], timeout=0.3)
        one.script = [(500, {"error": "StateMachineError", "message": "broken"})]
        with pytest.raises(KvOutcomeUnknown):
            await client.set("k", "v", timeout=0.3)
    async with KvClient([f"127.0.0.1:{free_ports(1)[0]}"]) as client:
        with pytest.raises(KvUnavailable):
            await client.change_membership([1], timeout=0.3)


async def test_a_forgotten_session_is_replaced_unless_the_write_may_have_happened() -> None:
    async with (
        node(OPENED, EXPIRED, (200, {"session": 8}), WRITTEN) as one,
        KvClient([one.address], timeout=30) as client,
    ):
        await client.set("k", "v")
        assert one.writes() == [(7, 1), (8, 1)]
        one.script = [LATE, EXPIRED]
        with pytest.raises(KvOutcomeUnknown, match="SessionExpired"):
            await client.set("k", "v")
        one.script = [(200, {"session": 9}), WRITTEN]
        await client.set("k", "v")
        assert one.writes()[-1] == (9, 1)


async def test_a_refusal_is_told_and_not_repeated() -> None:
    refusal = (400, {"error": "BadRequest", "message": "no good"})
    async with node(refusal) as one, KvClient([one.address]) as client:
        with pytest.raises(KvRefused, match=r"BadRequest.*no good") as caught:
            await client.add_learner(2, "a:1", "b:1")
        assert (caught.value.status, caught.value.kind) == (400, "BadRequest")
        assert one.asked == [("/add-learner", [2, "a:1", "b:1"])]


async def test_the_leader_is_asked_once_it_is_known_and_left_when_it_is_silent() -> None:
    async with node((200, "old")) as follower, node((200, "new")) as leader:
        follower.leader = leader.leader = leader.address
        dead = f"127.0.0.1:{free_ports(1)[0]}"
        async with KvClient([dead, follower.address], timeout=30) as client:
            assert await client.read("k") == "old"
            assert client.leader == leader.address
            assert [await client.read("k") for _ in range(3)] == ["new"] * 3
            leader.script = [LEADERLESS, (200, "again")]
            leader.leader = follower.leader = ""
            assert await client.read("k") in ("old", "again")
            assert client.leader == ""


async def test_init_asks_one_node_only() -> None:
    """Each of two could found a cluster of its own."""
    async with node(LEADERLESS) as one, node((200, {})) as two:
        async with KvClient([one.address, two.address]) as client:
            with pytest.raises(KvUnavailable):
                await client.init(timeout=0.4)
        assert not two.asked
        assert {path for path, _ in one.asked} == {"/init"}


async def test_a_client_needs_an_address() -> None:
    with pytest.raises(ValueError, match="address"):
        KvClient([])
