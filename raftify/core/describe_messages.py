"""Entries, messages and Readies as text, for logs, tools and golden files. See `describe`."""

from __future__ import annotations

from raftify.core.describe import describe_conf_state
from raftify.core.ready import Ready
from raftify.core.types import Entry, EntryType, HardState, Message, Snapshot, SoftState

_ENTRY_TYPES = {
    EntryType.NORMAL: "Normal",
    EntryType.CONF_CHANGE: "ConfChange",
    EntryType.CONF_CHANGE_V2: "ConfChangeV2",
}


def describe_entry(entry: Entry) -> str:
    """Return for example `2/5 Normal b'x'`: term, index, type and data."""
    data = f" {entry.data!r}" if entry.data else ""
    return f"{entry.term}/{entry.index} {_ENTRY_TYPES[entry.entry_type]}{data}"


def describe_hard_state(state: HardState) -> str:
    """Return for example `term=2 vote=1 commit=5`."""
    return f"term={state.term} vote={state.vote} commit={state.commit}"


def describe_soft_state(state: SoftState) -> str:
    """Return for example `leader=1 FOLLOWER`."""
    return f"leader={state.leader_id} {state.raft_state.name}"


def describe_snapshot(snapshot: Snapshot) -> str:
    """Return for example `index=5 term=2 voters=(1 2 3)`."""
    metadata = snapshot.metadata
    conf_state = describe_conf_state(metadata.conf_state)
    return f"index={metadata.index} term={metadata.term} {conf_state}"


def describe_message(message: Message) -> str:
    """Return for example `1->2 APPEND term=2 log=2/4 commit=3 entries=[2/5 Normal b'x']`."""
    parts = [f"{message.from_}->{message.to} {message.msg_type.name} term={message.term}"]
    if message.log_term or message.index:
        parts.append(f"log={message.log_term}/{message.index}")
    if message.reject:
        parts.append(f"rejected(hint={message.reject_hint})")
    if message.commit:
        parts.append(f"commit={message.commit}")
    if message.request_snapshot:
        parts.append(f"request_snapshot={message.request_snapshot}")
    if message.context:
        parts.append(f"context={message.context.hex()}")
    if message.entries:
        parts.append(f"entries=[{', '.join(map(describe_entry, message.entries))}]")
    if message.snapshot is not None:
        parts.append(f"snapshot=({describe_snapshot(message.snapshot)})")
    return " ".join(parts)


def describe_ready(ready: Ready) -> str:
    """Return what a Ready asks for, a line each; what it lacks is left out."""
    lines = [f"Ready {ready.number}{' must sync' if ready.must_sync else ''}"]
    if ready.ss is not None:
        lines.append(f"state {describe_soft_state(ready.ss)}")
    if ready.hs is not None:
        lines.append(f"hard state {describe_hard_state(ready.hs)}")
    if not ready.snapshot.is_empty():
        lines.append(f"snapshot {describe_snapshot(ready.snapshot)}")
    lines += [f"append {describe_entry(entry)}" for entry in ready.entries]
    lines += [f"apply {describe_entry(entry)}" for entry in ready.committed_entries]
    lines += [f"read at {read.index} {read.request_ctx!r}" for read in ready.read_states]
    lines += [f"read dropped {context!r}" for context in ready.dropped_reads]
    lines += [f"send {describe_message(message)}" for message in ready.messages]
    lines += [f"send when synced {describe_message(m)}" for m in ready.persisted_messages]
    return "\n".join(lines)
