"""The parts of kvstore that need no cluster: entries, the state machine, the list of routes."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.routing import Route

from examples.children import TOP
from examples.kvstore.answers import REFUSALS
from examples.kvstore.commands import Command
from examples.kvstore.store import MOST_SESSIONS, MOST_VALUE, KvStore
from examples.kvstore.web import KvApi
from raftify import Raft


async def put(store: KvStore, kind: str, key: str = "k", value: str = "", **more: int) -> Any:
    return json.loads(await store.apply(Command(kind, key, value, **more).encode()))


@pytest.mark.parametrize(
    "command",
    [
        Command("Set", "", ""),
        Command("Set", "ключ\0", '"\n'),
        Command("Append", "k", "v", 7, 8),
        Command("Delete", "k"),
        Command("Open"),
    ],
    ids=str,
)
def test_a_command_survives_encoding(command: Command) -> None:
    assert Command.decode(command.encode()) == command


async def test_set_append_delete() -> None:
    store = KvStore()
    assert await put(store, "Append", value="a") == {"value": "a"}
    assert await put(store, "Append", value="b") == {"value": "ab"}
    assert await put(store, "Set", value="c") == {"value": "c"}
    assert await put(store, "Delete") == {"value": "c"}
    assert await put(store, "Delete") == {"value": None}
    assert store.get("k") is None


async def test_a_write_that_comes_again_is_carried_out_once() -> None:
    store = KvStore()
    assert await put(store, "Open") == {"session": 1}
    for _ in range(3):
        assert await put(store, "Append", value="a", session=1, seq=1) == {"value": "a"}
    assert await put(store, "Append", value="b", session=1, seq=5) == {"value": "ab"}
    # One that was given up, and comes after all.
    assert (await put(store, "Append", value="a", session=1, seq=4))["error"] == "StaleWrite"
    assert await put(store, "Append", value="b", session=1, seq=5) == {"value": "ab"}
    # The same number in another session is another write.
    assert await put(store, "Open") == {"session": 2}
    assert await put(store, "Append", value="c", session=2, seq=1) == {"value": "abc"}
    # A snapshot holds the answers, too: the repetition may come after a restart.
    other = KvStore()
    other.restore(store.snapshot())
    assert await put(other, "Append", value="c", session=2, seq=1) == {"value": "abc"}
    assert await put(other, "Open") == {"session": 3}


async def test_the_session_that_was_idle_longest_goes_first() -> None:
    store = KvStore()
    for _ in range(MOST_SESSIONS):
        await put(store, "Open")
    await put(store, "Set", session=1, seq=1)
    await put(store, "Open")
    assert (await put(store, "Set", session=2, seq=1))["error"] == "SessionExpired"
    assert await put(store, "Set", session=1, seq=2) == {"value": ""}
    assert len(json.loads(store.encode())["sessions"]) == MOST_SESSIONS


async def test_a_value_that_would_grow_too_large() -> None:
    store = KvStore()
    await put(store, "Set", value="x" * MOST_VALUE)
    assert (await put(store, "Append", value="x"))["error"] == "ValueTooLarge"
    assert len(store.get("k") or "") == MOST_VALUE


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"null", b"[]", b"{}", b'{"Set":{}}', b'{"Set":{"key":"k"}}',
        b'{"Set":{"key":"k","value":"v","more":""}}', b'{"Set":["key","value"]}',
        b'{"Set":{"key":"k","value":"v"},"Delete":{"key":"k"}}', b'{"Get":{"key":"k"}}',
        b'{"Set":{"key":1,"value":"v"}}', b'{"Set":{"key":"\\ud800","value":"v"}}',
        b'{"Set":{"key":"k","value":"v"},"session":1}',
        b'{"Set":{"key":"k","value":"v"},"session":0,"seq":0}',
        b'{"Set":{"key":"k","value":"v"},"session":true,"seq":1}',
        b'{"Set":{"key":"k","value":"v"},"session":1,"seq":1e400}',
        b'{"Open":{},"session":1,"seq":1}', b"[" * 100_000, b"9" * 5000,
    ],
    ids=lambda data: repr(data[:40]),
)  # fmt: skip
async def test_bytes_that_are_no_command_change_nothing_and_stop_no_node(data: bytes) -> None:
    store = KvStore()
    await put(store, "Set", value="v")
    before = store.encode()
    assert json.loads(await store.apply(data))["error"] == "BadCommand"
    assert store.encode() == before
    assert KvStore.decode(before).get("k") == "v"


def test_the_readme_lists_every_route() -> None:
    text = (TOP / "examples" / "kvstore" / "README.md").read_text()
    told = re.findall(r"^\| `(GET|POST) (/\S+)`", text, re.MULTILINE)
    raft = Mock(spec=Raft)
    routes = KvApi(raft, "a:1", "b:1").application().routes
    there = [(method, r.path) for r in routes if isinstance(r, Route) for method in r.methods or ()]
    assert sorted(told) == sorted(pair for pair in there if pair[0] != "HEAD")


async def test_every_refusal_of_the_store_has_a_status() -> None:
    source = inspect.getsource(inspect.getmodule(KvStore) or KvStore)
    assert {name for name in REFUSALS if f'"{name}"' in source} == set(REFUSALS)
