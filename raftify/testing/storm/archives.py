"""Demands of `save_compacted_logs` that nothing that was committed is missing, and nothing false
kept: what a node discarded is in its archive, and the rest in its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from raftify.core.types import Entry, Message, MessageType
from raftify.errors import NotALogDirectory
from raftify.storage.log_archive import ArchiveReader
from raftify.storage.log_state import FOUNDING_INDEX
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.simulation.observer import NodeView, Observer
from raftify.testing.storm.scene import Scene, StormFailed


class Archives(Observer):
    """Knows what was committed, and up to where each node was sent a snapshot: it never had what
    that covers, or not all of it."""

    def __init__(self) -> None:
        self._committed: dict[int, tuple[int, bytes]] = {}
        self._sent: dict[int, set[int]] = {}

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        for entry in entries:
            self._committed.setdefault(entry.index, (entry.term, entry.data))

    def on_send(self, node: NodeView, message: Message) -> None:
        if message.msg_type is MessageType.SNAPSHOT:
            assert message.snapshot is not None
            self._sent.setdefault(message.to, set()).add(message.snapshot.metadata.index)

    def check(self, scene: Scene, node: SimulatedNode) -> None:
        """Read the archive of `node`, which runs.

        Raises:
            StormFailed: something is missing, or is there and was never committed.
            StorageError: the archive cannot be read.
        """
        storage = node.runtime.storage
        first, kept = storage.first_index(), 0
        expected = FOUNDING_INDEX + 1
        for entry in _archived(node):
            kept += 1
            known = self._committed.get(entry.index)
            if known is not None and known != (entry.term, entry.data):
                raise StormFailed(f"{node} archived {entry}, and {known} was committed there")
            self._check_hole(node, expected, min(entry.index, first))
            expected = entry.index + 1
        self._check_hole(node, expected, first)
        scene.looks["entry in an archive"] += kept

    def _check_hole(self, node: SimulatedNode, low: int, high: int) -> None:
        """Raise unless there is nothing in `[low, high)`, or a snapshot up to its end had come."""
        if low < high and high - 1 not in self._sent.get(node.id, ()):
            raise StormFailed(
                f"{node} has the entries of [{low}, {high}) neither in its log nor in its archive"
            )


def _archived(node: SimulatedNode) -> Iterator[Entry]:
    folder = node.runtime.storage.archive_folder(Path())
    try:
        reader = ArchiveReader(folder)
    except NotALogDirectory:
        return
    yield from reader.entries(0, reader.last_index + 1)
