"""A node's state as tables."""

from __future__ import annotations

import io
from typing import cast

import pytest
from rich.console import Console

from raftify.cli.formatters import Formatters
from raftify.cli.node_view import LONGEST_STATE_MACHINE, show_node
from raftify.errors import ConfigError
from raftify.node.report import with_decoded
from tests.cli.own_program import Wish

PLAIN = Formatters()
LEADER: dict[str, object] = {
    "node_id": 1,
    "cluster_id": "default",
    "incarnation": "6f1d6a52c1b04e0fa3f3a3e7d1b2c3d4",
    "address": "127.0.0.1:60061",
    "running_state": "running",
    "role": "leader",
    "term": 3,
    "vote": 1,
    "leader_id": 1,
    "leader_address": "127.0.0.1:60061",
    "first_index": 2,
    "last_index": 120,
    "committed": 119,
    "applied": 118,
    "persisted": 120,
    "snapshot_index": 1,
    "snapshot_term": 1,
    "election_elapsed": 4,
    "randomized_election_timeout": 17,
    "membership": {
        "index": 8,
        "voters": [1, 2],
        "learners": [10],
        "voters_outgoing": [],
        "learners_next": [],
        "auto_leave": False,
        "peers": {
            "1": {"address": "127.0.0.1:60061", "incarnation": "6f1d6a52c1b0"},
            "10": {"address": "127.0.0.1:60070", "incarnation": ""},
            "2": {"address": "127.0.0.1:60062", "incarnation": "0a0b0c0d0e0f"},
        },
        "max_id": 10,
    },
    "progress": {
        "2": {
            "matched": 119,
            "next_idx": 121,
            "state": "replicate",
            "recent_active": True,
            "paused": False,
            "inflight": 1,
            "pending_snapshot": 0,
        },
    },
    "waiting": {"proposals": 5, "reads": 0, "conf_changes": 0},
    "inbox": 7,
    "state_machine": "HashStore({'a': '1'})",
}


def shown(state: dict[str, object], formatters: Formatters = PLAIN, *, width: int = 80) -> str:
    stream = io.StringIO()
    show_node(Console(file=stream, width=width, markup=False, highlight=False), state, formatters)
    return stream.getvalue()


EXPECTED = """\
Node 1

  address          127.0.0.1:60061
  cluster          default
  incarnation      6f1d6a52c1b04e0fa3f3a3e7d1b2c3d4
  running          running
  role             leader
  term             3
  vote             node 1
  leader           node 1 at 127.0.0.1:60061
  election timer   4 of 17 ticks

Log

  entries     2 to 120
  committed   119
  applied     118
  persisted   120
  snapshot    index 1, term 1

Membership, since index 8

  id   role      address           incarnation
   1   voter     127.0.0.1:60061   6f1d6a52c1b0
   2   voter     127.0.0.1:60062   0a0b0c0d0e0f
  10   learner   127.0.0.1:60070   -

Progress of each peer

  id   matched   next   state       active   paused   inflight   snapshot
   2       119    121   replicate   yes      no       1          0

Work

  waiting proposals   5
  waiting reads       0
  waiting changes     0
  inbox               7
  state machine       HashStore({'a': '1'})
"""


def compact(text: str) -> list[str]:
    """Return the lines that say something, without rules and the padding on the right."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if line.strip("─ ")]


def test_a_leader_is_shown_whole() -> None:
    assert compact(shown(LEADER)) == compact(EXPECTED)


def test_it_fits_into_80_columns_and_carries_no_colours() -> None:
    text = shown(LEADER)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_follower_has_no_table_of_progress() -> None:
    text = shown({**LEADER, "role": "follower", "progress": {}})
    assert "Progress" not in text


def test_a_joint_configuration_says_so() -> None:
    membership = {
        "index": 9,
        "voters": [1, 2],
        "voters_outgoing": [1, 3],
        "auto_leave": True,
        "peers": {},
    }
    text = shown({**LEADER, "membership": membership})
    assert "since index 9 (joint, leaves by itself)" in text
    assert "voter, outgoing voter" in text
    membership["auto_leave"] = False
    assert "(joint, until leave_joint)" in shown({**LEADER, "membership": membership})


@pytest.mark.parametrize("key", [*LEADER, None])
def test_missing_keys_are_tolerated(key: str | None) -> None:
    state = {k: v for k, v in LEADER.items() if key is not None and k != key}
    assert "Membership" in shown(state)


def test_values_of_another_shape_are_tolerated() -> None:
    state = {**LEADER, "membership": 5, "progress": ["x"], "waiting": None, "leader_id": 0}
    assert "none known" in shown(state)


def test_what_comes_from_the_network_cannot_steer_the_terminal() -> None:
    text = shown({**LEADER, "state_machine": "\x1b[2Jgone [bold]x[/bold]", "cluster_id": "\x07"})
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]x[/bold]" in text


def test_a_huge_state_machine_is_clipped() -> None:
    text = shown({**LEADER, "state_machine": "x" * 1_000_000})
    assert text.count("x") < LONGEST_STATE_MACHINE + 100
    assert "--raw" in text


def entry(index: int, data: bytes, **other: object) -> dict[str, object]:
    """Return an entry as a node describes it."""
    item = {"index": index, "term": 3, "type": "normal", "size": len(data)}
    return {**item, "data_hex": data.hex(), "context_hex": "", **other}


def test_the_last_entries_are_shown_as_the_program_shows_them() -> None:
    entries = [
        entry(118, Wish("rain").encode()),
        entry(119, b"what?"),
        {"index": 120, "term": 3, "type": "normal", "size": 1 << 20},
        {"index": "of another version"},
    ]
    state = {**LEADER, "last_entries": entries}
    assert "wish:rain" in shown(state)
    told = shown(state, Formatters(Wish))
    assert "wishes for rain" in told
    assert "not decoded (ValueError: it begins with no" in told
    assert "what?" in told


def test_scripts_get_what_the_decoder_made_of_a_report() -> None:
    listed = [
        entry(118, Wish("rain").encode()),
        entry(119, b"what?"),
        entry(120, b"", type="conf_change_v2"),
        {"index": 121, "type": "normal"},
        7,
    ]
    report = with_decoded({"last_entries": listed}, Wish)
    first, second, *rest = cast("list[dict[str, object]]", report["last_entries"])
    assert first["entry"] == "wishes for rain"
    assert str(second["decode_fault"]).startswith("ValueError: ")
    assert rest == listed[2:]
    assert with_decoded({"node_id": 1}, Wish) == {"node_id": 1}
    with pytest.raises(ConfigError, match="no class and no function"):
        with_decoded(report, 7)  # type: ignore[arg-type]
