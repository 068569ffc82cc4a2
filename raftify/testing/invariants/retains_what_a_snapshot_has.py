"""A snapshot of what a log has already replaces nothing of it."""

from __future__ import annotations

from raftify.core.types import Message, MessageType, Snapshot
from raftify.errors import StorageError
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class RetainsWhatASnapshotHas(Invariant):
    """Raft paper §7: a snapshot that describes a prefix of a log leaves what follows it.

    What follows may have been acknowledged, and the leader never sends it again. Compares the log
    before a snapshot is taken in with the log behind that, whether or not anything followed. (No
    node of a cluster asks for a snapshot; one that did would take it all the same.)
    """

    cites = "Raft paper §7"
    judges_changes_alone = True

    def __init__(self) -> None:
        #: Of a node that is just being sent a snapshot of what it has: the snapshot's index, where
        #: its log began and ended, and the snapshot that it had taken before.
        self._before: dict[int, tuple[int, int, int, Snapshot | None]] = {}

    def on_receive(self, node: NodeView, message: Message) -> None:
        """Note what the log is like before."""
        if self._before:
            self._before.pop(node.id, None)
        core = node.raft
        if core is None or message.msg_type is not MessageType.SNAPSHOT or not message.snapshot:
            return
        log, metadata = core.raft_log, message.snapshot.metadata
        try:
            has = log.term(metadata.index) == metadata.term
        except StorageError:
            return
        if metadata.index < log.committed or has:
            log_was = (log.first_index(), log.last_index(), log.pending_snapshot())
            self._before[node.id] = (metadata.index, *log_was)

    def on_step(self, node: NodeView) -> None:
        """Look for the snapshot in the place of the log."""
        before = self._before.pop(node.id, None) if self._before else None
        core = node.raft
        if core is None or before is None:
            return
        index, first, last, pending = before
        log = core.raft_log
        taken = log.pending_snapshot()
        if taken is not None and taken is not pending and taken.metadata.index == index:
            self.fail(
                f"node {node.id} had entries {first} to {last}, and replaced them by a snapshot "
                f"of what it had up to {index}: they are {log.first_index()} to {log.last_index()}"
            )
