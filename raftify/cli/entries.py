"""Log entries in words, for people, and as plain values, for scripts."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from raftify.cli.formatters import Formatters
from raftify.core.confchange_codec import decode_conf_change, decode_conf_change_v2, into_v2
from raftify.core.types import (
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    EntryType,
)
from raftify.errors import MalformedMessage
from raftify.node.applier import EMPTY_PROPOSAL
from raftify.peers import Peer
from raftify.records import ReserveId, decode_command, decode_peers

Json = dict[str, object]

_PLAIN = Formatters()

_VERBS = {
    ConfChangeType.ADD_NODE: "add voter",
    ConfChangeType.REMOVE_NODE: "remove",
    ConfChangeType.ADD_LEARNER_NODE: "add learner",
}
_ACTIONS = {
    ConfChangeType.ADD_NODE: "add_voter",
    ConfChangeType.REMOVE_NODE: "remove",
    ConfChangeType.ADD_LEARNER_NODE: "add_learner",
}


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry as it is shown: what it is, in words, and what scripts get of its content."""

    kind: str
    words: str
    content: Json


def view_entry(
    entry: Entry, preview_bytes: int | None = None, formatters: Formatters = _PLAIN
) -> EntryView:
    """Return how to show `entry`.

    Args:
        entry: any entry; one that cannot be decoded is shown as bytes, with what is wrong.
        preview_bytes: how many bytes of a proposal the words show at most; None: all.
        formatters: what the program itself has to say of its proposals.
    """
    try:
        if entry.entry_type is not EntryType.NORMAL:
            return _view_change(entry)
        if not entry.context:
            return _view_proposal(entry.data, preview_bytes, formatters)
        if entry.context == EMPTY_PROPOSAL:
            return EntryView("normal", "(empty)", bytes_content(entry.data))
        return _view_command(entry)
    except MalformedMessage as error:
        raw = entry.data or entry.context
        return EntryView("unreadable", str(error), {**bytes_content(raw), "fault": str(error)})


def bytes_content(data: bytes) -> Json:
    """Return bytes for JSON: as text where they are printable UTF-8, else in hex."""
    text = _as_text(data)
    return {"data": text} if text is not None else {"data_hex": data.hex()}


def preview(data: bytes, limit: int | None = None) -> str:
    """Return at most `limit` bytes to look at: text where it is printable, else hex.

    Nothing unprintable comes through, so what was proposed cannot steer the terminal.
    """
    head = data if limit is None else data[:limit]
    text = _as_text(head, complete=len(head) == len(data))
    shown = text if text is not None else "0x" + head.hex()
    return shown if len(head) == len(data) else shown + "…"


def _as_text(data: bytes, *, complete: bool = True) -> str | None:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=complete)
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def _view_proposal(data: bytes, preview_bytes: int | None, formatters: Formatters) -> EntryView:
    if not data:
        return EntryView("no-op", "first entry of a new leader", {})
    told = formatters.entry(data)
    if told is not None and told.fault:
        words = f"not decoded ({told.fault}): {preview(data, preview_bytes)}"
        return EntryView("normal", words, {**bytes_content(data), "decode_fault": told.fault})
    if told is not None:
        return EntryView("normal", told.words, {**bytes_content(data), "entry": told.words})
    return EntryView("normal", preview(data, preview_bytes), bytes_content(data))


def _view_command(entry: Entry) -> EntryView:
    command = decode_command(entry.context)
    if isinstance(command, ReserveId):
        return EntryView(
            "command",
            f"reserve an id for {preview(command.identity.encode())}",
            {"command": "reserve_id", "identity": command.identity},
        )
    moved = ", ".join(f"node {peer.node_id} is at {peer.address}" for peer in command.peers)
    return EntryView(
        "command",
        moved or "no address",
        {"command": "set_addresses", "peers": [_peer_json(peer) for peer in command.peers]},
    )


def _view_change(entry: Entry) -> EntryView:
    if entry.entry_type is EntryType.CONF_CHANGE:
        kind, change = "conf-change", into_v2(decode_conf_change(entry.data))
    else:
        kind, change = "conf-change-v2", decode_conf_change_v2(entry.data)
    try:
        peers = {peer.node_id: peer for peer in decode_peers(change.context)}
    except MalformedMessage:
        peers = {}  # another program's context: the change itself is readable all the same
    return EntryView(kind, _change_words(change, peers), _change_json(change, peers))


def _change_words(change: ConfChangeV2, peers: dict[int, Peer]) -> str:
    if not change.changes:
        return "leave the joint configuration"
    parts = []
    for single in change.changes:
        peer = peers.get(single.node_id)
        where = f" at {peer.address}" if peer is not None and peer.address else ""
        parts.append(f"{_VERBS[single.change_type]} {single.node_id}{where}")
    words = ", ".join(parts)
    if change.transition is not ConfChangeTransition.AUTO:
        words += f" ({change.transition.name.lower()} transition)"
    return words


def _change_json(change: ConfChangeV2, peers: dict[int, Peer]) -> Json:
    changes = []
    for single in change.changes:
        item: Json = {"action": _ACTIONS[single.change_type], "node_id": single.node_id}
        if single.node_id in peers:
            item["address"] = peers[single.node_id].address
        changes.append(item)
    return {"transition": change.transition.name.lower(), "changes": changes}


def _peer_json(peer: Peer) -> Json:
    return {"node_id": peer.node_id, "address": peer.address}
