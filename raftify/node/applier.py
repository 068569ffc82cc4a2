"""Feeds committed entries to the state machine, at the state machine's own pace.

The core only says how far it may go. The entries are read back from the log (recent ones are in the
storage's cache), so a state machine that is slow for an hour holds no entries in memory, delays
no heartbeat, and misses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from raftify.core.types import INVALID_INDEX, Entry, EntryType, Snapshot
from raftify.errors import Compacted, InvariantViolation, SnapshotOutOfDate
from raftify.node.state_machine_runner import StateMachineRunner
from raftify.records import SnapshotDescriptor
from raftify.storage.base import StableStorage

#: Context of a user's proposal without bytes, which else would look like a new leader's entry.
EMPTY_PROPOSAL = b"\x00"
#: How many bytes of entries are applied at a time.
BATCH_BYTES = 1 << 20
#: How many entries may wait in memory; those beyond are read back from the log.
OFFERED_ENTRIES = 1 << 16


def payload_of(entry: Entry) -> bytes | None:
    """Return what the state machine gets for `entry`; None if the entry is not for it."""
    if entry.entry_type is not EntryType.NORMAL:
        return None
    if not entry.context:
        return entry.data or None
    return b"" if entry.context == EMPTY_PROPOSAL else None


class Applier:
    """Applies everything up to the target, in order, each entry once.

    `on_applied(entries, results)` follows each batch. `on_restored(snapshot)` follows a restore.
    """

    def __init__(
        self,
        storage: StableStorage,
        runner: StateMachineRunner,
        on_applied: Callable[[Sequence[Entry], Sequence[bytes]], None],
        on_restored: Callable[[Snapshot], None],
    ) -> None:
        self._storage = storage
        self._runner = runner
        self._on_applied = on_applied
        self._on_restored = on_restored
        self._target = INVALID_INDEX
        self._announced = INVALID_INDEX
        self._snapshot: Snapshot | None = None
        self._wake = asyncio.Event()
        self._offered: deque[list[Entry]] = deque()
        self._offered_count = 0
        self._busy_until = INVALID_INDEX
        self.applied = INVALID_INDEX

    def offer(self, entries: list[Entry]) -> None:
        """Hand over committed entries that are in memory just now; they may be forgotten again.

        They save reading the log. A state machine that cannot keep up reads it after all.
        """
        first, count = entries[0].index, len(entries)
        if self._offered:
            follows = self._offered[-1][-1].index + 1 == first
        else:
            follows = self.applied + 1 == first or self._busy_until + 1 == first
        if follows and self._offered_count + count <= OFFERED_ENTRIES:
            self._offered.append(entries)
            self._offered_count += count

    def advance_to(self, index: int) -> None:
        """Let everything up to `index` be applied. It is committed, and durable here."""
        if index > self._target:
            self._target = index
            self._wake.set()

    def announce_snapshot(self, index: int) -> None:
        """A snapshot up to `index` is about to replace the log: leave the log alone until then."""
        self._announced = max(self._announced, index)
        self._offered.clear()
        self._offered_count = 0

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the state by `snapshot`, which is durable now."""
        self._snapshot = snapshot
        self.announce_snapshot(snapshot.metadata.index)
        self._wake.set()

    async def restore_now(self, snapshot: Snapshot) -> None:
        """Begin from `snapshot`, at start."""
        self._announced = snapshot.metadata.index
        await self._restore(snapshot)

    async def run(self) -> None:
        """Apply for ever; raises StateMachineError when the state machine does."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._has_work():
                await self._work()

    def _has_work(self) -> bool:
        return self._snapshot is not None or self._next_may_be_applied()

    def _next_may_be_applied(self) -> bool:
        waits_for_snapshot = self.applied < self._announced
        return self.applied < self._target and not waits_for_snapshot

    async def _work(self) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            if snapshot.metadata.index > self.applied:
                await self._restore(snapshot)
            return
        await self._apply_some()

    async def _apply_some(self) -> None:
        low = self.applied + 1
        try:
            entries = self._take_offered(low) or self._storage.entries(
                low, self._target + 1, BATCH_BYTES
            )
        except Compacted as error:
            if self.applied < self._announced:
                return  # the snapshot took the log away just now; its restore comes next
            raise InvariantViolation(
                f"entry {low} is to be applied but was discarded from the log: {error}"
            ) from error
        self._busy_until = entries[-1].index
        results = await self._runner.apply(low, [payload_of(entry) for entry in entries])
        if len(results) < len(entries):
            entries, rest = entries[: len(results)], entries[len(results) :]
            if self._announced <= entries[-1].index:
                self._offered.appendleft(rest)
                self._offered_count += len(rest)
        self.applied = entries[-1].index
        self._on_applied(entries, results)

    def _take_offered(self, low: int) -> list[Entry] | None:
        while self._offered:
            if self._offered[0][0].index == low and self._offered[0][-1].index > self._target:
                return None
            entries = self._offered.popleft()
            self._offered_count -= len(entries)
            if entries[0].index == low:
                return entries
        return None

    async def _restore(self, snapshot: Snapshot) -> None:
        index = snapshot.metadata.index
        if SnapshotDescriptor.decode(snapshot.data).file_id:
            try:
                file = self._storage.open_snapshot(snapshot)
            except SnapshotOutOfDate:
                if self._announced > index:
                    return  # a newer one has taken its place, and its restore is ordered next
                raise
            with file:
                await self._runner.restore(index, file)
        self.applied = index
        self._target = max(self._target, index)
        self._on_restored(snapshot)
