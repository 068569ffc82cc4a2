"""The state machine gets every committed entry once, in order, whatever its pace."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from io import BytesIO
from typing import Any, BinaryIO, Self

import pytest

from raftify.core.types import Entry, EntryType, Snapshot, SnapshotMetadata
from raftify.errors import Compacted, InvariantViolation, SnapshotOutOfDate, StateMachineError
from raftify.node.applier import EMPTY_PROPOSAL, Applier, payload_of
from raftify.node.state_machine_runner import StateMachineRunner
from raftify.node.worker import ThreadWorker
from raftify.records import SnapshotDescriptor
from raftify.state_machine import AbstractStateMachine


class Recorder(AbstractStateMachine):
    """Keeps what it was given; answers with the number of entries so far."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.threads: set[int] = set()

    def apply(self, data: bytes) -> bytes | Awaitable[bytes]:
        if data == b"bad":
            raise ValueError("cannot apply that")
        self.threads.add(threading.get_ident())
        self.seen.append(data)
        return str(len(self.seen)).encode()

    def snapshot(self) -> bytes:
        return b",".join(self.seen)

    def restore(self, data: bytes) -> None:
        self.seen = data.split(b",")

    def encode(self) -> bytes:
        return self.snapshot()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = cls()
        machine.restore(data)
        return machine


class AsyncRecorder(Recorder):
    async def apply(self, data: bytes) -> bytes:
        result = super().apply(data)
        assert isinstance(result, bytes)
        return result


class Log:
    """A storage as far as the applier is concerned."""

    def __init__(self, *payloads: bytes) -> None:
        self.first = 1
        self.all = [Entry(term=1, index=i, data=d) for i, d in enumerate(payloads, 1)]
        self.files: dict[str, bytes] = {}

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        if low < self.first:
            raise Compacted(f"entry {low} is gone")
        return self.all[low - 1 : min(high - 1, low + 1)]  # two at a time

    def open_snapshot(self, snapshot: Snapshot) -> BinaryIO:
        file_id = SnapshotDescriptor.decode(snapshot.data).file_id
        if file_id not in self.files:
            raise SnapshotOutOfDate(file_id)
        return BytesIO(self.files[file_id])


def snapshot_at(index: int, file_id: str) -> Snapshot:
    return Snapshot(SnapshotDescriptor(file_id).encode(), SnapshotMetadata(index=index, term=1))


class Bench:
    """An applier at work on a log, and a way to wait for its progress."""

    def __init__(self, log: Log, machine: AbstractStateMachine) -> None:
        self.results: list[tuple[int, bytes]] = []
        self.restored: list[int] = []
        self._progress = asyncio.Event()
        self.worker = ThreadWorker("test")
        runner = StateMachineRunner(machine, self.worker, self.worker)
        self.applier = Applier(log, runner, self._on_applied, self._on_restored)  # type: ignore[arg-type]  # a part of a storage
        self.task = asyncio.create_task(self.applier.run())

    def _on_applied(self, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        self.results += [(e.index, r) for e, r in zip(entries, results, strict=True)]
        self._progress.set()

    def _on_restored(self, snapshot: Snapshot) -> None:
        self.restored.append(snapshot.metadata.index)
        self._progress.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            progress = asyncio.create_task(self._progress.wait())
            await asyncio.wait([progress, self.task], return_when=asyncio.FIRST_COMPLETED)
            progress.cancel()
            if self.task.done():
                self.task.result()
            self._progress.clear()

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.worker.close()


@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
async def test_each_entry_once_and_in_order(kind: type[Recorder]) -> None:
    machine, log = kind(), Log(*[str(i).encode() for i in range(1, 8)])
    bench = Bench(log, machine)
    bench.applier.advance_to(3)
    bench.applier.advance_to(7)
    bench.applier.advance_to(5)
    await bench.until(lambda: bench.applier.applied == 7)
    await bench.close()
    assert machine.seen == [b"1", b"2", b"3", b"4", b"5", b"6", b"7"]
    assert bench.results == [(i, str(i).encode()) for i in range(1, 8)]


async def test_a_plain_function_never_runs_on_the_event_loop() -> None:
    """A slow `apply` must not delay a heartbeat (DESIGN, node runtime)."""
    machine = Recorder()
    bench = Bench(Log(b"x"), machine)
    bench.applier.advance_to(1)
    await bench.until(lambda: bench.applier.applied == 1)
    await bench.close()
    assert threading.get_ident() not in machine.threads


@pytest.mark.parametrize("kind", [Recorder, AsyncRecorder])
async def test_an_apply_that_raises_stops_before_the_next_entry(kind: type[Recorder]) -> None:
    machine = kind()
    bench = Bench(Log(b"1", b"bad", b"3"), machine)
    bench.applier.advance_to(3)
    with pytest.raises(StateMachineError, match="raised ValueError at index 2") as caught:
        await bench.task
    await bench.close()
    assert caught.value.index == 2
    assert machine.seen == [b"1"]


async def test_a_result_that_is_not_bytes_stops_the_node() -> None:
    class Chatty(Recorder):
        async def apply(self, data: bytes) -> Any:
            return "text"

    bench = Bench(Log(b"1"), Chatty())
    bench.applier.advance_to(1)
    with pytest.raises(StateMachineError, match="returned str, not bytes"):
        await bench.task
    await bench.close()


def test_only_what_is_the_users_reaches_the_state_machine() -> None:
    assert payload_of(Entry(data=b"x")) == b"x"
    assert payload_of(Entry()) is None
    assert payload_of(Entry(context=EMPTY_PROPOSAL)) == b""
    assert payload_of(Entry(context=b"\x0a\x01a")) is None
    assert payload_of(Entry(EntryType.CONF_CHANGE_V2, data=b"x")) is None


async def test_a_received_snapshot_takes_the_place_of_what_it_covers() -> None:
    machine, log = Recorder(), Log(b"1", b"2", b"3", b"4", b"5", b"6")
    log.files["snap"] = b"1,2,3,4"
    bench = Bench(log, machine)
    bench.applier.announce_snapshot(4)
    bench.applier.advance_to(6)
    bench.applier.restore(snapshot_at(4, "snap"))
    await bench.until(lambda: bench.applier.applied == 6)
    await bench.close()
    assert machine.seen == [b"1", b"2", b"3", b"4", b"5", b"6"]
    assert bench.restored == [4]
    assert [i for i, _ in bench.results] == [5, 6]


async def test_the_log_is_left_alone_from_the_announcement_on() -> None:
    """The storage discards entries as the snapshot is installed, before the restore is ordered."""
    machine, log = Recorder(), Log(b"1", b"2", b"3", b"4", b"5")
    log.files["snap"] = b"s"
    bench = Bench(log, machine)
    bench.applier.announce_snapshot(4)
    bench.applier.advance_to(3)
    log.first = 5
    bench.applier.restore(snapshot_at(4, "snap"))
    bench.applier.advance_to(5)
    await bench.until(lambda: bench.applier.applied == 5)
    await bench.close()
    assert machine.seen == [b"s", b"5"]


async def test_of_two_snapshots_the_newer_counts() -> None:
    """The older one's file may be gone when its turn comes (etcd#20657)."""
    machine, log = Recorder(), Log()
    log.files["new"] = b"n"
    bench = Bench(log, machine)
    bench.applier.restore(snapshot_at(4, "old"))
    bench.applier.restore(snapshot_at(9, "new"))
    await bench.until(lambda: bench.applier.applied == 9)
    await bench.close()
    assert machine.seen == [b"n"]


async def test_a_snapshot_behind_the_state_is_ignored() -> None:
    machine, log = Recorder(), Log(b"1", b"2")
    bench = Bench(log, machine)
    bench.applier.advance_to(2)
    await bench.until(lambda: bench.applier.applied == 2)
    bench.applier.restore(snapshot_at(1, "old"))
    log.all.append(Entry(term=1, index=3, data=b"3"))
    bench.applier.advance_to(3)
    await bench.until(lambda: bench.applier.applied == 3)
    await bench.close()
    assert machine.seen == [b"1", b"2", b"3"]


async def test_an_entry_that_is_gone_without_a_snapshot_is_a_broken_invariant() -> None:
    log = Log(b"1", b"2")
    log.first = 2
    bench = Bench(log, Recorder())
    bench.applier.advance_to(2)
    with pytest.raises(InvariantViolation, match="entry 1 is to be applied"):
        await bench.task
    await bench.close()


async def test_entries_at_hand_save_reading_the_log() -> None:
    machine, log = Recorder(), Log(b"1", b"2", b"3", b"4")
    entries, log.all = log.all, []
    bench = Bench(log, machine)
    bench.applier.offer(entries[:2])
    bench.applier.offer(entries[2:])
    bench.applier.advance_to(4)
    await bench.until(lambda: bench.applier.applied == 4)
    await bench.close()
    assert machine.seen == [b"1", b"2", b"3", b"4"]


async def test_entries_that_do_not_follow_are_read_from_the_log() -> None:
    machine, log = Recorder(), Log(b"1", b"2", b"3", b"4")
    bench = Bench(log, machine)
    bench.applier.offer(log.all[2:])
    bench.applier.advance_to(4)
    await bench.until(lambda: bench.applier.applied == 4)
    await bench.close()
    assert machine.seen == [b"1", b"2", b"3", b"4"]


async def test_entries_at_hand_wait_until_they_may_be_applied() -> None:
    """They may be committed before they are durable here."""
    machine, log = Recorder(), Log(b"1", b"2", b"3", b"4")
    bench = Bench(log, machine)
    bench.applier.offer(log.all)
    bench.applier.advance_to(2)
    await bench.until(lambda: bench.applier.applied == 2)
    assert machine.seen == [b"1", b"2"]
    bench.applier.advance_to(4)
    await bench.until(lambda: bench.applier.applied == 4)
    await bench.close()
    assert machine.seen == [b"1", b"2", b"3", b"4"]
