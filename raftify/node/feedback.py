"""What the parts of a node tell each other through it: applied, restored, saved, met."""

from __future__ import annotations

from collections.abc import Sequence

from raftify.core.raw_node import RawNode, SnapshotStatus
from raftify.core.types import Entry, Snapshot
from raftify.node.background import Background
from raftify.node.inbox import Inbox
from raftify.node.intake import Intake
from raftify.node.local_state import LocalState
from raftify.node.snapshotter import Snapshotter
from raftify.node.worker import Worker
from raftify.storage.base import StableStorage


class Feedback:
    """Callbacks of the parts. `attach` comes before the first of them.

    Args:
        storage_worker: where the store is written.
    """

    def __init__(
        self,
        *,
        state: LocalState,
        inbox: Inbox,
        storage: StableStorage,
        storage_worker: Worker,
        background: Background,
    ) -> None:
        self._state = state
        self._inbox = inbox
        self._storage = storage
        self._storage_worker = storage_worker
        self._background = background

    def attach(self, raw: RawNode, intake: Intake, snapshotter: Snapshotter) -> None:
        """Name the parts that are made with these callbacks."""
        self._raw = raw
        self._intake = intake
        self._snapshotter = snapshotter

    def on_applied(self, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        self._state.applied = entries[-1].index
        waiters = self._intake.proposals
        if len(waiters):
            for entry, result in zip(entries, results, strict=True):
                future = waiters.take(term=entry.term, index=entry.index)
                if future is not None:
                    future.set_result(result)
        self._snapshotter.count(entries)
        self._state.notify()

    def on_restored(self, snapshot: Snapshot) -> None:
        self._state.applied = snapshot.metadata.index
        self._state.notify()

    def on_snapshot_missing(self, index: int, _to: int) -> None:
        # A follower refuses a snapshot whose configuration it is not part of, so the one to send
        # must be as new as the membership that has it.
        self._snapshotter.want(max(index, self._state.membership.index))

    def on_snapshot_saved(self, _snapshot: Snapshot) -> None:
        # Whoever waits for it is asked at once instead of at the next heartbeat.
        if self._state.is_leader:
            self._inbox.put_call(self._raw.ping)
        self._state.notify()

    def report_snapshot(self, node_id: int, success: bool) -> None:  # noqa: FBT001 - a callback
        status = SnapshotStatus.FINISH if success else SnapshotStatus.FAILURE
        self._raw.report_snapshot(node_id, status)

    def on_met(self, node_id: int, incarnation: str) -> None:
        self._background.keep(
            self._storage_worker.run(self._storage.remember_incarnation, node_id, incarnation),
            "remember whom it met",
        )
