"""Values that no caller should give, by the kind of argument that they are given as."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raftify import ConfChangeSingle, ConfChangeType, ConfChangeV2, Message, MessageType, Peer

#: Of the node that the calls are made on.
MOST_PROPOSAL: Final = 1 << 16
_HUGE: Final = 10**400
_SURROGATE: Final = "\ud800"


class Anything:
    """An object that is nothing that anybody expects, and says so in an odd way."""

    def __repr__(self) -> str:
        return "<\n%s{}\x00>"


@dataclass(frozen=True)
class Kind:
    """What may be given for an argument: something good, and what has to be refused."""

    good: Any
    wrong_type: tuple[Any, ...]
    empty: tuple[Any, ...] = ()
    oversized: tuple[Any, ...] = ()
    hostile: tuple[Any, ...] = ()

    def bad(self) -> list[tuple[str, Any]]:
        """Return every bad value with what is bad about it."""
        return [
            (what, value)
            for what in ("wrong_type", "empty", "oversized", "hostile")
            for value in getattr(self, what)
        ]


_NO_NUMBER: Final[tuple[Any, ...]] = ("1", b"1", [1], {}, True, Anything())
_ADDRESSES: Final = {
    "wrong_type": (7, b"127.0.0.1:1", ["127.0.0.1:1"], Anything()),
    "empty": ("", ":", ":1", "a:"),
    "oversized": ("a" * 10_000 + ":1", "a:" + "1" * 5_000),
    "hostile": (
        "nowhere", "a:0", "a:-1", "a:65536", "a:1.5", "a b:1", "a:1\n", "\x00:1", "a:\u0661",
        "unix:/tmp/x:1", "http://a:1", "::1:1", _SURROGATE + ":1", "\x1b[2J:1",
    ),
}  # fmt: skip
_MEMBERS_WRONG: Final = (7, "12", b"12", {"1"}, [None], [b"1"], [1.5], [[1]], {1: None}, {1: 7})
_MEMBERS_HOSTILE: Final = (
    {0}, {-1}, {1 << 64}, [_HUGE], [1, 1], {7: "nowhere"}, {7: _SURROGATE + ":1"}, {0: "a:1"},
    [Peer(7, None)], [Peer("7", "a:1")], [Peer(7, "a:1", metadata="text")],  # type: ignore[arg-type]
    [Peer(7, "a:1", incarnation=7)], [Peer(7, "a:1", metadata=b"x" * (1 << 20))],  # type: ignore[arg-type]
)  # fmt: skip

KINDS: Final[Mapping[str, Kind]] = {
    "timeout": Kind(
        1.0, _NO_NUMBER, empty=(0, 0.0), oversized=(_HUGE,),
        hostile=(-1, -_HUGE, math.nan, math.inf, -math.inf),
    ),
    "interval": Kind(
        0.1, (None, *_NO_NUMBER), oversized=(_HUGE,), hostile=(-1, math.nan, math.inf),
    ),
    "payload": Kind(
        b"good", (None, 7, "text", [b"x"], {}, True, Anything()),
        oversized=(b"x" * (MOST_PROPOSAL + 1),),
    ),
    "payloads": Kind([b"good"], (None, 7, "text", b"bytes", [7], [b"x", None], Anything())),
    "question": Kind(b"good", (None, 7, "text", [b"x"], Anything()), hostile=(b"raise", b"text")),
    "term": Kind(1, ("1", 1.5, b"1", [1], True), empty=(0,), hostile=(-1, 1 << 64, _HUGE)),
    "index": Kind(1, (None, "1", 1.5, b"1", [1], True), hostile=(-1, -_HUGE)),
    "own_index": Kind(None, ("1", 1.5, b"1", [1], True)),
    "node_id": Kind(
        1, (None, "1", 1.0, b"1", [1], True, Anything()), empty=(0,),
        oversized=(1 << 63, 1 << 64, _HUGE), hostile=(-1, 999),
    ),
    # Without one the leader chooses.
    "successor": Kind(
        1, ("1", 1.0, b"1", [1], True, Anything()), empty=(0,),
        oversized=(1 << 63, 1 << 64, _HUGE), hostile=(-1, 999),
    ),
    "new_id": Kind(
        7, (None, "7", 7.0, b"7", [7], True, Anything()), empty=(0,),
        oversized=(1 << 63, 1 << 64, _HUGE), hostile=(-1,),
    ),
    "address": Kind(
        "127.0.0.1:9", **{**_ADDRESSES, "wrong_type": (None, *_ADDRESSES["wrong_type"])},
    ),
    "metadata": Kind(
        b"", (None, "text", 7, [b"x"], Anything()), oversized=(b"x" * (1 << 20),),
    ),
    "flag": Kind(False, (None, "no", 1, [], Anything())),
    "identity": Kind(
        "me", (None, 7, b"me", ["me"]), oversized=("x" * 10_000,), hostile=(_SURROGATE,),
    ),
    "role": Kind("voter", (None, 7, b"voter", Anything()), empty=("",), hostile=("king",)),
    "voters": Kind({1, 2}, (None, *_MEMBERS_WRONG), empty=((), {}), hostile=_MEMBERS_HOSTILE),
    "members": Kind((), (None, *_MEMBERS_WRONG), hostile=_MEMBERS_HOSTILE),
    "first_members": Kind({1: "127.0.0.1:9"}, (None, *_MEMBERS_WRONG), empty=({},)),
    "peers": Kind(
        {7: "127.0.0.1:9"}, (None, 7, "12", [None], [7], {1: None}, {"1": "a:1"}, Anything()),
        oversized=([Peer(7, "a:1", metadata=b"x" * (1 << 20))],),
        hostile=({0: "a:1"}, {7: "nowhere"}, {7: "a:1", 8: "a:1"}, {_HUGE: "a:1"}),
    ),
    "some_peers": Kind({7: "127.0.0.1:9"}, (None, 7), empty=({}, ())),
    "own_peers": Kind(None, (7, "12", [7], {7: None}), hostile=({0: "a:1"}, {7: "nowhere"})),
    "moved": Kind(
        {1: "127.0.0.1:9"}, (None, 7, "12", [None], [7], {1: None}, Anything()),
        hostile=({999: "a:1"}, {1: "nowhere"}, {1: _SURROGATE + ":1"}, {-1: "a:1"}),
    ),
    "own_ids": Kind(None, (7, "12", {"1"}, [None], [1.5]), hostile=({0}, {-1}, [_HUGE], [7, 7])),
    "leader_id": Kind(1, (None, "1", 1.0, b"1", [1], True), hostile=(-1, _HUGE, 999)),
    "text": Kind("", (None, 7, b"x", Anything())),
    "ids": Kind((), (None, 7, "12", {"1"}, [None], [1.5]), hostile=({0}, {-1}, [_HUGE], [7, 7])),
    "change": Kind(
        None, (7, "add 7", b"\x08", [], {}, Anything()),
        hostile=(
            ConfChangeV2(changes=None),  # type: ignore[arg-type]
            ConfChangeV2(changes=("add",)),  # type: ignore[arg-type]
            ConfChangeV2(transition="auto"),  # type: ignore[arg-type]
            ConfChangeV2(context="text"),  # type: ignore[arg-type]
            ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.ADD_NODE, 7),), context=b"\xff"),
            ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.ADD_NODE, -1),)),
            ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.ADD_NODE, "7"),)),  # type: ignore[arg-type]
            ConfChangeV2(changes=(ConfChangeSingle("add", 7),)),  # type: ignore[arg-type]
            ConfChangeV2(changes=(ConfChangeSingle(ConfChangeType.ADD_NODE, _HUGE),)),
        ),
    ),
    "transition": Kind(None, ("auto", 99, Anything())),
    "tickets": Kind([], (None, 7, "ticket", [7], {}, Anything()), empty=([],)),
    "message": Kind(
        None, (7, b"\x08", "text", Anything()), empty=(Message(MessageType.HUP),),
        hostile=(
            Message(MessageType.HEARTBEAT, to="1", from_=2, term=1),  # type: ignore[arg-type]
            Message(MessageType.HEARTBEAT, to=1, from_=2, term=-1),
            Message(MessageType.HEARTBEAT, to=1, from_=2, term=_HUGE),
            Message(MessageType.APPEND, to=1, from_=2, term=1, entries=7),  # type: ignore[arg-type]
            Message(MessageType.APPEND, to=1, from_=2, term=1, entries=["x"]),  # type: ignore[list-item]
            Message(MessageType.SNAPSHOT, to=1, from_=2, term=1, snapshot="x"),  # type: ignore[arg-type]
            Message(99, to=1, from_=2, term=1),  # type: ignore[arg-type]
            Message(MessageType.HEARTBEAT, to=999, from_=2, term=1),
        ),
    ),
    "callback": Kind(print, (None, 7, "start", [])),
    "stop": Kind(None, (7, "stop", [])),
    "decoder": Kind(None, (7, "mine:Entry", [])),
    "addresses": Kind(
        "127.0.0.1:9", (None, 7, b"a:1", [7], [None], Anything()), empty=("", [], [""]),
        oversized=("a" * 10_000 + ":1",), hostile=("nowhere", ["a:1", "b"], _SURROGATE + ":1"),
    ),
    "cluster_id": Kind("", (None, 7, b"x", [], Anything()), hostile=(_SURROGATE,)),
    "config": Kind(None, (7, "config", {}, Anything())),
    "connect": Kind(None, (7, "connect")),
    "source": Kind(None, (7, "seed")),
    "transport": Kind(None, (7, "grpc", Anything())),
    "logger": Kind(None, (7, "stderr", print)),
    "fsm": Kind(None, (None, 7, "machine", Anything())),
    "storage": Kind(None, (None, 7, "./logs", Anything())),
    "directory": Kind(
        None, (7, b"logs", ["logs"], Anything()),
        hostile=("/dev/null", "a\x00b", "/proc/nothing/here"),
    ),
    "prefix": Kind("NONE_", (None, 7, b"x")),
    "file": Kind(None, (7, b"x", []), empty=("",), hostile=("/nowhere.toml", "/dev", "a\x00b")),
    "environment": Kind({}, (7, "A=1", [1], {"RAFTIFY_TICK_INTERVAL": 7}, {7: "x"})),
}  # fmt: skip
