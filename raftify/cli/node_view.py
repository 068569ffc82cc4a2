"""`raftify-cli describe node`: what a running node says of itself."""

from __future__ import annotations

from typing import Final

from rich.console import Console

from raftify.cli.console import facts_table, make_console, print_json, rows_table
from raftify.cli.entries import preview, view_entry
from raftify.cli.formatters import Formatters
from raftify.cli.membership_view import Json, by_id, membership_table, numbers, part
from raftify.client import RaftServiceClient
from raftify.core.types import Entry, EntryType
from raftify.errors import RaftifyError
from raftify.node.report import with_decoded
from raftify.node.telling import Told

#: Characters of the state machine's own description that a table shows.
LONGEST_STATE_MACHINE: Final = 600

_PLAIN: Final = Formatters()

_PROGRESS_COLUMNS = (
    ("matched", "matched"),
    ("next_idx", "next"),
    ("state", "state"),
    ("recent_active", "active"),
    ("paused", "paused"),
    ("inflight", "inflight"),
    ("pending_snapshot", "snapshot"),
)


async def describe_node(
    client: RaftServiceClient, *, raw: bool, formatters: Formatters = _PLAIN, with_state: bool
) -> None:
    """Ask the node at the client's (first) address for its state and print it.

    Args:
        with_state: ask for the whole state machine too, and show what the formatters make of it.

    Raises:
        PeerUnreachable, DeadlineExceeded, PeerRefused: the node does not answer.
    """
    async with client:
        state = await client.debug_node()
        told = await _told_of_state(client, formatters) if with_state else None
    if told is not None:
        state |= {"state_machine": told.words or None, "state_machine_fault": told.fault or None}
    if raw:
        if formatters.decoder is not None:
            state = with_decoded(state, formatters.decoder)
        print_json(state)
        return
    show_node(make_console(), state, formatters)


async def _told_of_state(client: RaftServiceClient, formatters: Formatters) -> Told:
    """Return what the program says of its state machine; without a word from it, the bytes."""
    try:
        data = await client.read_state()
    except RaftifyError as error:
        return Told(fault=str(error))
    return formatters.state(data) or Told(words=preview(data))


def show_node(console: Console, state: Json, formatters: Formatters = _PLAIN) -> None:
    """Print a node's state; what a node of another version leaves out is shown as missing."""
    console.print(facts_table(f"Node {state.get('node_id', '?')}", _identity(state)))
    console.print(facts_table("Log", _log(state)))
    _show_entries(console, state, formatters)
    console.print(membership_table(part(state.get("membership"))))
    progress = by_id(state.get("progress"))
    if progress:
        rows = [
            (node_id, *(item.get(key) for key, _ in _PROGRESS_COLUMNS))
            for node_id, item in progress
        ]
        titles = ("id", *(title for _, title in _PROGRESS_COLUMNS))
        console.print(rows_table("Progress of each peer", titles, rows, numeric=3))
    console.print(facts_table("Work", _work(state)))
    if "state_machine_fault" in state:
        fault = state["state_machine_fault"]
        told = f"cannot be shown: {fault}" if fault else state["state_machine"]
        console.print(facts_table("State machine, whole", [("", told)]))


def _show_entries(console: Console, state: Json, formatters: Formatters) -> None:
    rows: list[tuple[object, ...]] = []
    for entry in map(_entry, numbers(state.get("last_entries"))):
        if entry is not None:
            view = view_entry(entry, None, formatters)
            words = _clipped(view.words)
            rows.append((entry.index, entry.term, view.kind, len(entry.data), words))
    if rows:
        titles = ("index", "term", "type", "size", "data")
        console.print(rows_table("Last entries", titles, rows, numeric=2))


def _identity(state: Json) -> list[tuple[str, object]]:
    leader_id, elapsed = state.get("leader_id"), state.get("election_elapsed", "?")
    leader = f"node {leader_id} at {state.get('leader_address') or 'unknown address'}"
    return [
        ("address", state.get("address")),
        ("cluster", state.get("cluster_id")),
        ("incarnation", state.get("incarnation")),
        ("running", state.get("running_state")),
        ("role", state.get("role")),
        ("term", state.get("term")),
        ("vote", f"node {state['vote']}" if state.get("vote") else None),
        ("leader", leader if leader_id else "none known"),
        ("election timer", f"{elapsed} of {state.get('randomized_election_timeout', '?')} ticks"),
    ]


def _log(state: Json) -> list[tuple[str, object]]:
    snapshot = state.get("snapshot_index")
    return [
        ("entries", f"{state.get('first_index', '?')} to {state.get('last_index', '?')}"),
        ("committed", state.get("committed")),
        ("applied", state.get("applied")),
        ("persisted", state.get("persisted")),
        (
            "snapshot",
            f"index {snapshot}, term {state.get('snapshot_term', '?')}" if snapshot else "none",
        ),
    ]


def _entry(value: object) -> Entry | None:
    """Return an entry of the description; None if it was too large to be in it."""
    item = part(value)
    try:
        return Entry(
            EntryType[str(item["type"]).upper()],
            term=int(str(item["term"])),
            index=int(str(item["index"])),
            data=bytes.fromhex(str(item["data_hex"])),
            context=bytes.fromhex(str(item["context_hex"])),
        )
    except (KeyError, ValueError):
        return None


def _work(state: Json) -> list[tuple[str, object]]:
    waiting = part(state.get("waiting"))
    return [
        ("waiting proposals", waiting.get("proposals")),
        ("waiting reads", waiting.get("reads")),
        ("waiting changes", waiting.get("conf_changes")),
        ("inbox", state.get("inbox")),
        *(
            []
            if "state_machine_fault" in state
            else [("state machine", _clipped(state.get("state_machine")))]
        ),
    ]


def _clipped(text: object) -> object:
    if isinstance(text, str) and len(text) > LONGEST_STATE_MACHINE:
        return f"{text[:LONGEST_STATE_MACHINE]}… (see --raw)"
    return text
