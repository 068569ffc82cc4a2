"""Takes snapshots of the state machine, by policy or on demand, and trims the log behind them.

One at a time. The core goes on meanwhile; the state machine stands still only while its own
`snapshot` runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from raftify.config import Config
from raftify.core.types import Entry, Snapshot, SnapshotMetadata
from raftify.errors import (
    Compacted,
    RaftifyError,
    SnapshotOutOfDate,
    StateMachineError,
    StorageFull,
)
from raftify.node.archiving import Archiver
from raftify.node.local_state import LocalState
from raftify.node.state_machine_runner import StateMachineRunner
from raftify.node.worker import Worker
from raftify.peers import Membership
from raftify.records import SnapshotDescriptor, SnapshotSink
from raftify.storage.base import StableStorage

#: How long after a failed attempt (a full disk) the policy waits before the next, in seconds.
RETRY_SECONDS = 10.0


class Snapshotter:
    """Owns the decision when to take a snapshot, and the taking.

    `on_saved` follows each one that became the latest.
    """

    def __init__(
        self,
        *,
        config: Config,
        state: LocalState,
        storage: StableStorage,
        runner: StateMachineRunner,
        storage_worker: Worker,
        writer: Worker,
        on_saved: Callable[[Snapshot], None],
        logger: logging.Logger,
    ) -> None:
        self._config = config
        self._state = state
        self._storage = storage
        self._runner = runner
        self._storage_worker = storage_worker
        self._writer = writer
        self._on_saved = on_saved
        self._logger = logger
        self._archiver = Archiver(config, storage, writer, logger)
        self._wake = asyncio.Event()
        self._wanted_index = 0
        self._damaged: Snapshot | None = None
        self._bytes_since = 0
        self._last_time = 0.0
        self._not_before = 0.0
        self._refusal: Callable[[], RaftifyError] | None = None
        self._requests: list[asyncio.Future[Snapshot | None]] = []

    def want(self, index: int) -> None:
        """A follower needs a snapshot that covers `index`: take one as soon as possible."""
        # Never more than can be had, or nobody else's wish would count again.
        index = min(index, self._state.committed)
        if index > self._wanted_index:
            self._wanted_index = index
            self._wake.set()

    def request(self) -> asyncio.Future[Snapshot | None]:
        """Have one taken soon; the future brings what `_take` returns, or raises.

        It is taken by the task that `run` is, and so ends with the node.
        """
        if self._refusal is not None:
            raise self._refusal()
        future: asyncio.Future[Snapshot | None] = asyncio.get_running_loop().create_future()
        self._requests.append(future)
        self._wake.set()
        return future

    def fail_requests(self, make_error: Callable[[], RaftifyError]) -> None:
        """Answer those whose snapshot will not be taken any more."""
        self._refusal = make_error
        requests, self._requests = self._requests, []
        for future in requests:
            if not future.done():
                future.set_exception(make_error())

    def replace(self, damaged: Snapshot, error: Exception) -> None:
        """The file of `damaged` cannot be read: take one in its place, even of the same index.

        This node's state and log are whole, so nothing is lost; but no follower that needs the
        snapshot would ever get it. Harmless if another is the latest by now.
        """
        if damaged != self._damaged and damaged == self._storage.latest_snapshot():
            self._damaged = damaged
            self._logger.error(
                "node %d cannot read its snapshot of index %d and takes another; check the disk: "
                "%s",
                self._state.node_id, damaged.metadata.index, error,
            )  # fmt: skip
            self._wake.set()

    def count(self, entries: Sequence[Entry]) -> None:
        """Note that `entries` were applied."""
        if self._config.snapshot_bytes:
            self._bytes_since += sum([len(entry.data) for entry in entries])
        if self._is_due():
            self._wake.set()

    def on_tick(self) -> None:
        if self._is_due():
            self._wake.set()

    async def run(self) -> None:
        """Take snapshots for ever; raises when the storage does.

        A state machine whose `snapshot` raises is asked again later: nothing has diverged, and the
        log keeps everything.
        """
        self._last_time = asyncio.get_running_loop().time()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._requests or self._is_due():
                asked, self._requests = self._requests, []
                try:
                    snapshot = await self._take()
                except (StorageFull, StateMachineError) as error:
                    # The log is whole, and going without a snapshot loses nothing.
                    self._not_before = asyncio.get_running_loop().time() + RETRY_SECONDS
                    self._logger.warning("no snapshot was taken: %s", error)
                    _answer(asked, error)
                except BaseException:
                    # Whoever ends this task answers them.
                    self._requests = asked + self._requests
                    raise
                else:
                    _answer(asked, snapshot)
                    if snapshot is None:
                        break

    async def _take(self) -> Snapshot | None:
        """Take one now; return it, or the latest if nothing was applied since.

        Returns None if none can be taken yet: the state machine is behind the membership, or
        behind a snapshot that was received.
        """
        latest = self._storage.latest_snapshot()
        index = latest.metadata.index
        covered = self._state.applied <= index and self._wanted_index <= index
        if covered and latest != self._damaged:
            return latest
        return await self._take_and_save()

    async def _take_and_save(self) -> Snapshot | None:
        captured: list[Membership] = []
        sinks: list[SnapshotSink] = []
        try:
            # Creating a file may wait for the disk. Kept on the thread, so that one whose creation
            # nobody waits for any more is removed all the same.
            await self._writer.run(lambda: sinks.append(self._storage.create_snapshot_sink()))
            sink = sinks[0]
            metadata = await self._runner.snapshot(lambda: self._capture(captured), sink)
            if metadata is None:
                return None
            snapshot = await self._finish(sink, metadata, captured[0])
        finally:
            await self._writer.run(_abort, sinks)
        try:
            await self._storage_worker.run(self._storage.save_snapshot, snapshot)
        except SnapshotOutOfDate:
            return self._storage.latest_snapshot()  # one received meanwhile is newer
        await self.purge(snapshot.metadata.index - self._config.snapshot_keep_entries)
        self._bytes_since = 0
        self._last_time = asyncio.get_running_loop().time()
        self._logger.info(
            "node %d took a snapshot at index %d", self._state.node_id, metadata.index
        )
        self._on_saved(snapshot)
        return snapshot

    def _capture(self, captured: list[Membership]) -> SnapshotMetadata | None:
        membership = self._state.membership
        index = self._state.applied
        # The configuration in a snapshot must be the one at its index, or a follower would
        # apply the changes in between a second time.
        if membership.index > index:
            return None
        try:
            term = self._storage.term(index)
        except Compacted:
            return None  # a received snapshot took the log's place and is about to be restored
        captured.append(membership)
        return SnapshotMetadata(membership.conf_state, index, term)

    async def _finish(
        self, sink: SnapshotSink, metadata: SnapshotMetadata, membership: Membership
    ) -> Snapshot:
        file_id, size_bytes, crc32 = await self._writer.run(sink.finish)
        descriptor = SnapshotDescriptor(file_id, size_bytes, crc32, membership)
        return Snapshot(descriptor.encode(), metadata)

    async def purge(self, index: int) -> int:
        """Discard the log up to `index`, as far as the latest snapshot covers it.

        Some at a time, so that what is to be appended need not wait for all of it. What cannot be
        archived, if it is to be, is not discarded either. Returns the last index that is discarded
        now.
        """
        storage = self._storage
        target = min(index, storage.latest_snapshot().metadata.index) + 1
        while (first := storage.first_index()) < target:
            step = min(target, first + self._config.purge_batch_entries)
            # A received snapshot may have done it meanwhile.
            with contextlib.suppress(Compacted):
                step = await self._archiver.keep(first, step)
                if step == first:
                    break
                await self._storage_worker.run(storage.compact, step)
        return storage.first_index() - 1

    def _is_due(self) -> bool:
        config, applied = self._config, self._state.applied
        snapshot = self._storage.latest_snapshot()
        latest = snapshot.metadata.index
        if self._state.membership.index > applied:
            return False
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            return False
        if self._wanted_index > latest and applied >= self._wanted_index:
            return True
        if snapshot == self._damaged and applied >= latest:
            return True
        if applied <= latest:
            return False
        by_entries = 0 < config.snapshot_entries <= applied - latest
        by_bytes = 0 < config.snapshot_bytes <= self._bytes_since
        by_time = 0 < config.snapshot_interval <= now - self._last_time
        return by_entries or by_bytes or by_time


def _answer(
    asked: list[asyncio.Future[Snapshot | None]], answer: Snapshot | RaftifyError | None
) -> None:
    for future in asked:
        if future.done():
            continue
        if isinstance(answer, RaftifyError):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _abort(sinks: list[SnapshotSink]) -> None:
    for sink in sinks:
        sink.abort()
