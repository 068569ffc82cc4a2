"""Entries in words and as JSON."""

from __future__ import annotations

import json

import pytest

from raftify.cli.entries import bytes_content, preview, view_entry
from raftify.core.confchange_codec import encode_conf_change, encode_conf_change_v2
from raftify.core.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    EntryType,
)
from raftify.node.applier import EMPTY_PROPOSAL
from raftify.peers import Peer
from raftify.records import ReserveId, SetAddresses, encode_command, encode_peers

ADD, REMOVE, LEARN = (
    ConfChangeType.ADD_NODE,
    ConfChangeType.REMOVE_NODE,
    ConfChangeType.ADD_LEARNER_NODE,
)


def change_entry(change: ConfChangeV2) -> Entry:
    return Entry(EntryType.CONF_CHANGE_V2, data=encode_conf_change_v2(change))


@pytest.mark.parametrize(
    ("entry", "kind", "words", "content"),
    [
        (Entry(data=b"SET a 1"), "normal", "SET a 1", {"data": "SET a 1"}),
        (Entry(data="größe".encode()), "normal", "größe", {"data": "größe"}),
        (Entry(data=b"\x00\xff"), "normal", "0x00ff", {"data_hex": "00ff"}),
        (Entry(data=b"\x1b[31m"), "normal", "0x1b5b33316d", {"data_hex": "1b5b33316d"}),
        (Entry(), "no-op", "first entry of a new leader", {}),
        (Entry(context=EMPTY_PROPOSAL), "normal", "(empty)", {"data": ""}),
        (
            Entry(context=encode_command(ReserveId("10.0.0.4:1"))),
            "command",
            "reserve an id for 10.0.0.4:1",
            {"command": "reserve_id", "identity": "10.0.0.4:1"},
        ),
        (
            Entry(context=encode_command(SetAddresses((Peer(2, "h:1"), Peer(3, "h:2"))))),
            "command",
            "node 2 is at h:1, node 3 is at h:2",
            {
                "command": "set_addresses",
                "peers": [{"node_id": 2, "address": "h:1"}, {"node_id": 3, "address": "h:2"}],
            },
        ),
        (
            Entry(
                EntryType.CONF_CHANGE,
                data=encode_conf_change(ConfChange(change_type=REMOVE, node_id=3)),
            ),
            "conf-change",
            "remove 3",
            {"transition": "auto", "changes": [{"action": "remove", "node_id": 3}]},
        ),
        (
            change_entry(
                ConfChangeV2(
                    ConfChangeTransition.EXPLICIT,
                    (ConfChangeSingle(ADD, 4), ConfChangeSingle(LEARN, 5)),
                    encode_peers([Peer(4, "h:4")]),
                )
            ),
            "conf-change-v2",
            "add voter 4 at h:4, add learner 5 (explicit transition)",
            {
                "transition": "explicit",
                "changes": [
                    {"action": "add_voter", "node_id": 4, "address": "h:4"},
                    {"action": "add_learner", "node_id": 5},
                ],
            },
        ),
        (
            change_entry(ConfChangeV2()),
            "conf-change-v2",
            "leave the joint configuration",
            {"transition": "auto", "changes": []},
        ),
        (
            change_entry(ConfChangeV2(changes=(ConfChangeSingle(ADD, 2),), context=b"\xff\xff")),
            "conf-change-v2",
            "add voter 2",
            {"transition": "auto", "changes": [{"action": "add_voter", "node_id": 2}]},
        ),
    ],
)
def test_what_an_entry_is_called(
    entry: Entry, kind: str, words: str, content: dict[str, object]
) -> None:
    view = view_entry(entry)
    assert (view.kind, view.words, view.content) == (kind, words, content)
    json.dumps(view.content)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(EntryType.CONF_CHANGE_V2, data=b"\xff\xff"),
        Entry(EntryType.CONF_CHANGE, data=b"\xff\xff"),
        Entry(context=b"\xff\xff"),
    ],
)
def test_an_entry_that_cannot_be_decoded_is_shown_all_the_same(entry: Entry) -> None:
    view = view_entry(entry)
    assert view.kind == "unreadable"
    assert view.content["data_hex"] == "ffff"
    assert view.content["fault"] == view.words != ""


@pytest.mark.parametrize(
    ("data", "limit", "shown"),
    [
        (b"abcdef", 6, "abcdef"),
        (b"abcdef", 3, "abc…"),
        ("aé".encode(), 2, "a…"),
        (b"\xff" * 4, 2, "0xffff…"),
        (b"ok\n", None, "0x6f6b0a"),
    ],
)
def test_a_preview_is_cut_and_never_splits_a_character(
    data: bytes, limit: int | None, shown: str
) -> None:
    assert preview(data, limit) == shown


def test_a_truncated_character_at_the_end_of_the_data_is_no_text() -> None:
    assert bytes_content("é".encode()[:1]) == {"data_hex": "c3"}
