"""`raftify-cli describe metadata`: all that a log directory holds beside its entries."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from raftify.cli.console import bytes_text, facts_table, make_console, print_json, rows_table
from raftify.cli.formatters import Formatters
from raftify.cli.log_view import note_unlocked
from raftify.cli.membership_view import Json, membership_table, part
from raftify.core.types import Snapshot
from raftify.node.report import describe_membership
from raftify.node.telling import Told
from raftify.records import SnapshotDescriptor
from raftify.storage.log_reader import LogReader

#: The unit of `st_blocks`, whatever the file system's own blocks are.
_BLOCK_BYTES: Final = 512


def describe_metadata(path: Path, *, raw: bool, formatters: Formatters) -> None:
    """Print whose log it is, hard state, extent, snapshot, membership and sizes.

    Args:
        formatters: what the program whose log it is has to say of its snapshot.

    Raises:
        StorageError: there is no log at `path`, or it is damaged.
    """
    with LogReader.open(path) as reader:
        note_unlocked(reader)
        state = read_metadata(reader)
        told = _told_of_snapshot(reader, formatters)
    if told is not None:
        state["state_machine"] = told.words if not told.fault else None
        state["state_machine_fault"] = told.fault or None
    if raw:
        print_json(state)
    else:
        show_metadata(state)


def read_metadata(reader: LogReader) -> dict[str, object]:
    """Return the metadata as plain values."""
    identity, hard_state = reader.identity, reader.hard_state
    membership = reader.membership
    return {
        "path": str(reader.path),
        "node_id": identity.node_id if identity is not None else 0,
        "cluster_id": identity.cluster_id if identity is not None else "",
        "incarnation": identity.incarnation if identity is not None else "",
        "term": hard_state.term,
        "vote": hard_state.vote,
        "commit": hard_state.commit,
        "first_index": reader.first_index,
        "last_index": reader.last_index,
        "snapshot": _snapshot_values(reader.snapshot),
        "membership": {
            **describe_membership(membership),
            "reservations": dict(membership.reservations),
        },
        "known_incarnations": {str(i): name for i, name in reader.known_incarnations.items()},
        "files": _sizes_on_disk(reader.path),
    }


def _told_of_snapshot(reader: LogReader, formatters: Formatters) -> Told | None:
    """Return what the program's state machine says of the snapshot, if there is a file of one."""
    snapshot = reader.snapshot
    if formatters.machine is None or snapshot.is_empty():
        return None
    if not SnapshotDescriptor.decode(snapshot.data).file_id:
        return None
    with reader.open_snapshot() as file:
        return formatters.snapshot(file)


def _sizes_on_disk(directory: Path) -> dict[str, int]:
    """Return the bytes that each file takes up; the log's file is sparse, and longer than that."""
    sizes = {}
    for file in sorted(directory.rglob("*")):
        with suppress(FileNotFoundError):  # the running node may remove a snapshot just now
            if file.is_file():
                sizes[str(file.relative_to(directory))] = _size_on_disk(file.stat())
    return sizes


def _size_on_disk(status: os.stat_result) -> int:
    # Windows does not say how many blocks a file has.
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * _BLOCK_BYTES


def _snapshot_values(snapshot: Snapshot) -> dict[str, object] | None:
    if snapshot.is_empty():
        return None
    descriptor = SnapshotDescriptor.decode(snapshot.data)
    return {
        "index": snapshot.metadata.index,
        "term": snapshot.metadata.term,
        "file_id": descriptor.file_id,
        "size_bytes": descriptor.size_bytes,
    }


def show_metadata(state: Json) -> None:
    console = make_console()
    console.print(facts_table(f"Log directory {state['path']}", _facts(state)))
    membership = part(state["membership"])
    console.print(membership_table(membership))
    reservations = part(membership["reservations"])
    if reservations:
        rows = [(node_id, identity) for identity, node_id in reservations.items()]
        console.print(rows_table("Ids handed out", ("id", "to"), rows))
    incarnations = [(node_id, name) for node_id, name in part(state["known_incarnations"]).items()]
    if incarnations:
        console.print(rows_table("Stores met", ("id", "incarnation"), incarnations))
    files = [
        (bytes_text(size), name)
        for name, size in part(state["files"]).items()
        if isinstance(size, int)
    ]
    console.print(rows_table("On disk", ("size", "file"), files))


def _facts(state: Json) -> list[tuple[str, object]]:
    first, last = state["first_index"], state["last_index"]
    snapshot = part(state["snapshot"])
    count = last - first + 1 if isinstance(first, int) and isinstance(last, int) else 0
    return [
        ("node", state["node_id"] or "none: nothing has used this log yet"),
        ("cluster", state["cluster_id"]),
        ("incarnation", state["incarnation"]),
        ("term", state["term"]),
        ("vote", f"node {state['vote']}" if state["vote"] else None),
        ("commit", state["commit"]),
        ("entries", f"{first} to {last} ({count})" if count else "none"),
        ("snapshot", _snapshot_text(snapshot)),
        *_state_machine(state),
    ]


def _state_machine(state: Json) -> list[tuple[str, object]]:
    if "state_machine" not in state:
        return []
    fault = state["state_machine_fault"]
    return [("state machine", f"cannot be shown: {fault}" if fault else state["state_machine"])]


def _snapshot_text(snapshot: Json) -> str:
    if not snapshot:
        return "none"
    where = f"index {snapshot['index']}, term {snapshot['term']}"
    size = snapshot["size_bytes"]
    if not snapshot["file_id"] or not isinstance(size, int):
        return f"{where}, of an empty state machine"
    return f"{where}, {bytes_text(size)}"
