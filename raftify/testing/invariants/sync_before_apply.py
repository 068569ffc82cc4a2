"""The state machine gets only what is committed, and durable here."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.core.types import Entry
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class SyncBeforeApply(Invariant):
    """Raft paper §5.3 (committed entries are applied); `Ready`, point 4; etcd-io/etcd#14370.

    With `max_apply_unpersisted_log_limit` a leader may apply before its own disk has the entry.
    """

    cites = "Raft paper §5.3; Ready, point 4"

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        """Look at the last of them: it stands for all."""
        core = node.raft
        if core is None or not entries:
            return
        last, disk = entries[-1], node.disk
        if last.index > core.raft_log.committed:
            self.fail(
                f"node {node.id} applied entry {last.index}, but knows only of "
                f"{core.raft_log.committed} to be committed"
            )
        if core.max_apply_unpersisted_log_limit or last.index <= disk.snapshot_index:
            return
        if disk.term(last.index) != last.term and last.index >= disk.first_index:
            self.fail(
                f"node {node.id} applied entry {last.index} of term {last.term}, but its disk "
                f"has term {disk.term(last.index)} there"
            )
