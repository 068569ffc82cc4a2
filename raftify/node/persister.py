"""Makes Readies durable, in order, many of them in one transaction.

While one transaction is being synced the next Readies gather; they become the next transaction.
That is all the group commit there is, and it needs no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from raftify.core.types import Entry, HardState
from raftify.node.worker import Worker
from raftify.storage.base import StableStorage, WriteBatch


@dataclass(slots=True)
class _Job:
    number: int
    batch: WriteBatch


class Persister:
    """Writes batches through `worker`, and calls `on_persisted(number)` after each transaction.

    Invariant: `on_persisted(n)` is called only when batch n and all before it are durable.

    A batch that needs no sync (the commit index alone moved) is not written at once: its hard
    state joins the next transaction. Losing it costs nothing, since commit is learned anew.
    """

    def __init__(
        self, storage: StableStorage, worker: Worker, on_persisted: Callable[[int], None]
    ) -> None:
        self._storage = storage
        self._worker = worker
        self._on_persisted = on_persisted
        self._jobs: list[_Job] = []
        self._lazy_hard_state: HardState | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self._oldest: float | None = None

    def submit(self, number: int, batch: WriteBatch) -> None:
        """Queue what Ready `number` asks for. Numbers must grow."""
        if self._is_lazy(batch) and not self._jobs and self._oldest is None:
            if batch.hard_state is not None:
                self._lazy_hard_state = batch.hard_state
            self._on_persisted(number)
            return
        if not self._jobs and self._oldest is None:
            self._oldest = asyncio.get_running_loop().time()
        self._jobs.append(_Job(number, batch))
        self._wake.set()

    def stalled_for(self, now: float) -> float:
        """Return for how many seconds the write under way has been so; 0 if there is none."""
        return 0.0 if self._oldest is None else now - self._oldest

    async def run(self) -> None:
        """Write until `finish`; raises what the storage raises."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._jobs:
                await self._write_next()
            if self._closing:
                await self._write_lazy()
                return

    def finish(self) -> None:
        """Let `run` return once everything queued is durable."""
        self._closing = True
        self._wake.set()

    @staticmethod
    def _is_lazy(batch: WriteBatch) -> bool:
        return (
            not batch.must_sync
            and not batch.entries
            and batch.snapshot is None
            and batch.membership is None
        )

    async def _write_next(self) -> None:
        taken = self._take()
        batch = merge([job.batch for job in taken])
        if batch.hard_state is None and self._lazy_hard_state is not None:
            batch = replace(batch, hard_state=self._lazy_hard_state)
        self._lazy_hard_state = None
        loop = asyncio.get_running_loop()
        self._oldest = loop.time()
        await self._worker.run(self._storage.write, batch)
        self._oldest = loop.time() if self._jobs else None
        self._on_persisted(taken[-1].number)

    async def _write_lazy(self) -> None:
        if self._lazy_hard_state is not None:
            batch = WriteBatch(hard_state=self._lazy_hard_state, must_sync=False)
            self._lazy_hard_state = None
            await self._worker.run(self._storage.write, batch)

    def _take(self) -> list[_Job]:
        """Return as many queued jobs as one transaction can hold, at least one.

        A snapshot replaces the log, so it begins a transaction: entries queued before it must not
        be written after it, and those behind it may go along.
        """
        end = 1
        while end < len(self._jobs) and self._jobs[end].batch.snapshot is None:
            end += 1
        taken = self._jobs[:end]
        del self._jobs[:end]
        return taken


def merge(batches: Sequence[WriteBatch]) -> WriteBatch:
    """Return one batch with the effect of `batches` one after the other.

    Only the first may hold a snapshot.
    """
    if len(batches) == 1:
        return batches[0]
    entries: list[Entry] = []
    merged = WriteBatch(snapshot=batches[0].snapshot, entries=entries, must_sync=False)
    for batch in batches:
        if batch.entries:
            _append(entries, batch.entries)
        if batch.hard_state is not None:
            merged.hard_state = batch.hard_state
        if batch.membership is not None:
            merged.membership = batch.membership
        merged.must_sync = merged.must_sync or batch.must_sync
    return merged


def _append(entries: list[Entry], more: Sequence[Entry]) -> None:
    """Append `more`, dropping what it overwrites.

    Where `more` starts before everything gathered so far, it replaces all of it: the store
    truncates from there on by itself.
    """
    if entries:
        keep = more[0].index - entries[0].index
        if keep < len(entries):
            del entries[max(keep, 0) :]
    entries.extend(more)
