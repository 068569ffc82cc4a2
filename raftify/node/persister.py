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
        self._closing = False
        self._writing: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._write_began = 0.0
        self._ended: asyncio.Future[None] | None = None

    def submit(self, number: int, batch: WriteBatch) -> None:
        """Queue what Ready `number` asks for. Numbers must grow."""
        if self._writing is None and self._is_lazy(batch):
            if batch.hard_state is not None:
                self._lazy_hard_state = batch.hard_state
            self._on_persisted(number)
            return
        self._jobs.append(_Job(number, batch))
        if self._writing is None:
            self._begin()

    def stalled_for(self, now: float) -> float:
        """Return for how many seconds the write under way has been so; 0 if there is none."""
        return 0.0 if self._writing is None else now - self._write_began

    async def run(self) -> None:
        """Return after `finish`, once everything is durable; raises what the storage raises."""
        self._ended = asyncio.get_running_loop().create_future()
        self._look_for_end()
        await self._ended
        if self._lazy_hard_state is not None:
            batch = WriteBatch(hard_state=self._lazy_hard_state, must_sync=False)
            self._lazy_hard_state = None
            await self._worker.run(self._storage.write, batch)

    def finish(self) -> None:
        """Let `run` return once everything queued is durable."""
        self._closing = True
        self._look_for_end()

    @staticmethod
    def _is_lazy(batch: WriteBatch) -> bool:
        return (
            not batch.must_sync
            and not batch.entries
            and batch.snapshot is None
            and batch.membership is None
        )

    def _begin(self) -> None:
        """Start the next transaction at once: a hop through a waiting task would cost latency."""
        taken = self._take()
        batch = merge([job.batch for job in taken])
        if batch.hard_state is None and self._lazy_hard_state is not None:
            batch = replace(batch, hard_state=self._lazy_hard_state)
        self._lazy_hard_state = None
        self._write_began = asyncio.get_running_loop().time()
        number = taken[-1].number
        self._writing = self._worker.run(self._storage.write, batch)
        self._writing.add_done_callback(lambda done: self._on_written(done, number))

    def _on_written(self, done: asyncio.Future[None], number: int) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            # `_writing` stays: nothing may be written after what was not.
            self._fail(error)
            return
        self._writing = None
        if self._jobs:
            self._begin()
        self._on_persisted(number)
        self._look_for_end()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _look_for_end(self) -> None:
        if self._ended is None or self._ended.done():
            return
        if self._failure is not None:
            self._ended.set_exception(self._failure)
        elif self._closing and self._writing is None:
            self._ended.set_result(None)

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
