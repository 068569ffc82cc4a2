"""The last look at every key: asked until it is answered, and a fault where it never is."""

from __future__ import annotations

import asyncio
import random
from typing import cast

from examples.children import Child, ChildFailed
from raftify.client import RaftServiceClient
from tests.soak.load import untrue
from tests.soak.traffic import Traffic


class Node:
    """Answers with what it holds, but for the first `silent` times that it is asked for a key."""

    def __init__(self, held: dict[str, str], silent: dict[str, int]) -> None:
        self._held = held
        self._silent = silent

    async def call(self, command: str, key: str, *_: object, timeout: float) -> str | None:
        await asyncio.sleep(0)
        if self._silent.get(key, 0):
            self._silent[key] -= 1
            raise ChildFailed("NoLeader", "", rejected=True, outcome_unknown=False)
        return self._held.get(key)


def traffic_on(held: dict[str, str], silent: dict[str, int]) -> Traffic:
    """Return a load whose writes of 1 to "a" and to "b" were acknowledged."""
    node = cast("Child", Node(held, silent))
    client = cast("RaftServiceClient", None)
    traffic = Traffic(client, lambda: [node], writes=1, reads=1, source=random.Random(1))
    for key in ("a", "b"):
        traffic.expected.begin(key, "1")
        traffic.expected.acknowledge(key, "1", 0, 1)
    return traffic


async def test_a_last_read_is_repeated_until_it_is_answered_and_is_no_part_of_the_load() -> None:
    traffic = traffic_on({"a": "1", "b": "1"}, {"b": 2})
    await traffic.read_all()
    assert untrue(traffic, {}, "") == []
    assert traffic.errors["read: NoLeader"] == 2
    assert not traffic.done["read"]


async def test_reads_at_the_same_time_are_all_counted() -> None:
    traffic = traffic_on({}, {})
    await asyncio.gather(*(traffic._read() for _ in range(5)))
    assert traffic.done["read"] == 5


async def test_a_lost_write_is_found_behind_a_last_read_that_failed() -> None:
    traffic = traffic_on({"a": "1"}, {"b": 1})
    await traffic.read_all()
    assert untrue(traffic, {}, "") == [
        "1 reads found what must not be: b held None, not one of ['1']"
    ]


async def test_a_key_that_nobody_tells_in_the_end_is_a_fault() -> None:
    traffic = traffic_on({"a": "1", "b": "1"}, {"b": 1 << 30})
    await traffic.read_all(timeout=0.3)
    assert untrue(traffic, {}, "") == ["in the end nobody told what 1 keys hold: ['b']"]
