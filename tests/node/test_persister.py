"""Batches reach the disk in order, many in one transaction, and are reported only then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftify.core.types import Entry, HardState, Snapshot, SnapshotMetadata
from raftify.errors import StorageFull
from raftify.node.persister import Persister, merge
from raftify.storage.base import WriteBatch


def entries(first: int, last: int, term: int = 1) -> list[Entry]:
    return [Entry(term=term, index=i) for i in range(first, last + 1)]


class GatedWorker:
    """Runs each call when the test lets it."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(0)
        self.begun = asyncio.Semaphore(0)

    def run(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        self.begun.release()
        return asyncio.ensure_future(self._run(lambda: call(*args, **kwargs)))

    async def _run(self, call: Callable[[], Any]) -> Any:
        await self.gate.acquire()
        return call()

    async def close(self) -> None: ...


class Disk:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.written: list[WriteBatch] = []
        self.full = False

    def write(self, batch: WriteBatch) -> None:
        if self.full:
            raise StorageFull("full")
        self.written.append(batch)


def make() -> tuple[Persister, Disk, GatedWorker, list[int]]:
    disk, worker, reported = Disk(), GatedWorker(), list[int]()
    return Persister(disk, worker, reported.append), disk, worker, reported  # type: ignore[arg-type]  # only write is used


async def test_what_waits_while_one_is_written_becomes_one_transaction() -> None:
    persister, disk, worker, reported = make()
    task = asyncio.create_task(persister.run())
    persister.submit(1, WriteBatch(entries=entries(1, 2), hard_state=HardState(1, 1, 0)))
    await worker.begun.acquire()
    persister.submit(2, WriteBatch(entries=entries(3, 3)))
    persister.submit(3, WriteBatch(entries=entries(4, 5), hard_state=HardState(1, 1, 2)))
    assert reported == []
    worker.gate.release()
    await worker.begun.acquire()
    assert reported == [1]
    worker.gate.release()
    persister.finish()
    await task
    assert reported == [1, 3]
    assert [[e.index for e in b.entries] for b in disk.written] == [[1, 2], [3, 4, 5]]
    assert disk.written[1].hard_state == HardState(1, 1, 2)


async def test_a_commit_index_alone_waits_for_the_next_transaction() -> None:
    persister, disk, worker, reported = make()
    task = asyncio.create_task(persister.run())
    persister.submit(1, WriteBatch(hard_state=HardState(1, 1, 7), must_sync=False))
    assert reported == [1]
    assert disk.written == []
    persister.submit(2, WriteBatch(entries=entries(8, 8)))
    worker.gate.release()
    persister.finish()
    await task
    assert disk.written == [WriteBatch(entries=entries(8, 8), hard_state=HardState(1, 1, 7))]


async def test_a_commit_index_alone_is_written_at_the_end() -> None:
    persister, disk, worker, _ = make()
    persister.submit(1, WriteBatch(hard_state=HardState(1, 1, 7), must_sync=False))
    worker.gate.release()
    persister.finish()
    await persister.run()
    assert [b.hard_state for b in disk.written] == [HardState(1, 1, 7)]


async def test_nothing_is_reported_before_what_came_earlier() -> None:
    """A lazy batch behind a write under way must wait for it: its messages depend on both."""
    persister, _, worker, reported = make()
    task = asyncio.create_task(persister.run())
    persister.submit(1, WriteBatch(entries=entries(1, 1)))
    await worker.begun.acquire()
    persister.submit(2, WriteBatch(must_sync=False))
    assert reported == []
    for _ in range(2):
        worker.gate.release()
    persister.finish()
    await task
    assert reported == [1, 2]


async def test_a_snapshot_begins_a_transaction() -> None:
    persister, disk, worker, _ = make()
    snapshot = Snapshot(b"", SnapshotMetadata(index=9, term=2))
    persister.submit(1, WriteBatch(entries=entries(1, 2)))
    persister.submit(2, WriteBatch(snapshot=snapshot))
    persister.submit(3, WriteBatch(entries=entries(10, 11)))
    for _ in range(2):
        worker.gate.release()
    persister.finish()
    await persister.run()
    assert [(b.snapshot, len(b.entries)) for b in disk.written] == [(None, 2), (snapshot, 2)]


async def test_a_full_disk_ends_it_and_reports_nothing() -> None:
    persister, disk, worker, reported = make()
    disk.full = True
    persister.submit(1, WriteBatch(entries=entries(1, 1)))
    worker.gate.release()
    with pytest.raises(StorageFull):
        await persister.run()
    assert reported == []


async def test_it_says_for_how_long_a_write_has_been_under_way() -> None:
    persister, _, worker, _ = make()
    loop = asyncio.get_running_loop()
    assert persister.stalled_for(loop.time()) == 0
    task = asyncio.create_task(persister.run())
    persister.submit(1, WriteBatch(entries=entries(1, 1)))
    await worker.begun.acquire()
    assert persister.stalled_for(loop.time() + 30) >= 30
    worker.gate.release()
    persister.finish()
    await task
    assert persister.stalled_for(loop.time() + 30) == 0


def replay(batches: list[WriteBatch]) -> dict[int, int]:
    """The plain meaning of batches: each truncates from its first entry on, then appends."""
    log: dict[int, int] = {}
    for batch in batches:
        if batch.entries:
            first = batch.entries[0].index
            log = {i: t for i, t in log.items() if i < first}
            log.update((e.index, e.term) for e in batch.entries)
    return log


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 4)), min_size=1, max_size=6))
def test_merging_changes_nothing_but_the_number_of_writes(shape: list[tuple[int, int]]) -> None:
    """Property: a merged batch has the effect of its parts, truncations included."""
    batches, last = [], 0
    for term, (first, count) in enumerate(shape, 1):
        start = min(first, last + 1)
        batches.append(WriteBatch(entries=entries(start, start + count - 1, term)))
        last = start + count - 1 if count else last
    base = WriteBatch(entries=entries(1, 3, 0))
    assert replay([base, merge(batches)]) == replay([base, *batches])
