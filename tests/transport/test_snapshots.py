"""Snapshots between nodes: whole or not at all, in bounded memory."""

from __future__ import annotations

import asyncio
import io
import threading
import tracemalloc
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import pytest

from raftify.config import Config
from raftify.core.types import Message, MessageType, Snapshot, SnapshotMetadata
from raftify.errors import (
    SnapshotOutOfDate,
    StorageDamaged,
    StorageFull,
)
from raftify.records import SnapshotDescriptor
from raftify.transport import snapshot_sender
from tests.transport.fakes import (
    PATIENCE,
    FakeNode,
    FileSink,
    Machines,
    Running,
    files_in,
    message,
    snapshot_message,
)

SMALL_CHUNKS = Config(snapshot_chunk_bytes=1000)


@pytest.fixture
async def pair(machines: Machines, tmp_path: Path) -> tuple[Running, Running]:
    one = await machines.start(1, config=SMALL_CHUNKS)
    two = await machines.start(2, node=FakeNode(2, directory=tmp_path))
    one.knows(two)
    return one, two


async def test_a_snapshot_arrives_as_a_file_and_then_as_a_message(
    pair: tuple[Running, Running], tmp_path: Path
) -> None:
    one, two = pair
    data = bytes(range(256)) * 40
    one.node.snapshot_bytes = data
    sent = snapshot_message(2, 1, data)
    one.transport.send([sent])
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(2, True)]
    assert two.node.received == [sent]
    assert (tmp_path / "file10.snapshot").read_bytes() == data


async def test_a_snapshot_without_a_file_is_its_message_only(
    pair: tuple[Running, Running], tmp_path: Path
) -> None:
    one, two = pair
    sent = snapshot_message(2, 1, None)
    one.transport.send([sent])
    await one.node.until(lambda: one.node.snapshots)
    assert (one.node.snapshots, two.node.received) == ([(2, True)], [sent])
    assert files_in(tmp_path) == []


async def test_an_empty_file_is_a_file(pair: tuple[Running, Running], tmp_path: Path) -> None:
    one, _ = pair
    one.node.snapshot_bytes = b""
    one.transport.send([snapshot_message(2, 1, b"")])
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(2, True)]
    assert (tmp_path / "file10.snapshot").read_bytes() == b""


async def test_messages_pass_while_a_snapshot_is_held_up(pair: tuple[Running, Running]) -> None:
    """camunda#6269: what a snapshot takes must not cost the leader its heartbeats."""
    one, two = pair
    held = _HeldFile(b"x" * 5000)
    one.node.open_file = lambda: held
    one.transport.send([snapshot_message(2, 1, b"x" * 5000)])
    await asyncio.to_thread(held.reached.wait)
    one.transport.send([message(2, 1, 1, MessageType.HEARTBEAT)])
    await two.node.until(lambda: two.node.received)
    assert one.node.snapshots == []
    held.release.set()
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(2, True)]


class _HeldFile(io.BytesIO):
    """A file whose second read waits until the test lets it go on."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reached = threading.Event()
        self.release = threading.Event()
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads == 2:
            self.reached.set()
            assert self.release.wait(20)
        return super().read(size)


async def test_the_same_snapshot_is_not_sent_twice_at_once(pair: tuple[Running, Running]) -> None:
    """redpanda#3245: a tight loop of resends."""
    one, two = pair
    held = _HeldFile(b"x" * 5000)
    one.node.open_file = lambda: held
    sent = snapshot_message(2, 1, b"x" * 5000)
    one.transport.send([sent])
    await asyncio.to_thread(held.reached.wait)
    one.transport.send([sent, snapshot_message(2, 1, b"x" * 5000)])
    held.release.set()
    await one.node.until(lambda: one.node.snapshots)
    one.transport.send([message(2, 1, 99)])
    await two.node.until(lambda: len(two.node.received) == 2)
    assert one.node.snapshots == [(2, True)]


async def test_of_those_that_wait_only_the_newest_is_sent(pair: tuple[Running, Running]) -> None:
    one, two = pair
    held = _HeldFile(b"x" * 5000)
    files: list[BinaryIO] = [held, io.BytesIO(b"newest")]
    one.node.open_file = lambda: files.pop(0)
    one.transport.send([snapshot_message(2, 1, b"x" * 5000, index=10)])
    await asyncio.to_thread(held.reached.wait)
    one.transport.send([snapshot_message(2, 1, b"waiting", index=11)])
    one.transport.send([snapshot_message(2, 1, b"newest", index=12)])
    held.release.set()
    await one.node.until(lambda: len(one.node.snapshots) == 2)
    assert one.node.snapshots == [(2, True), (2, True)]
    assert [_index(m) for m in two.node.received] == [10, 12]


def _index(m: Message) -> int:
    assert m.snapshot is not None
    return m.snapshot.metadata.index


async def test_snapshots_to_several_peers_travel_at_once(
    machines: Machines, tmp_path: Path
) -> None:
    one = await machines.start(1, config=SMALL_CHUNKS)
    others = [
        await machines.start(i, node=FakeNode(i, directory=tmp_path / str(i))) for i in (2, 3)
    ]
    for other in others:
        assert other.node.directory is not None
        other.node.directory.mkdir()
    one.knows(*others)
    held = [_HeldFile(b"x" * 5000), _HeldFile(b"x" * 5000)]
    waiting: list[BinaryIO] = list(held)
    one.node.open_file = waiting.pop
    one.transport.send([snapshot_message(i, 1, b"x" * 5000) for i in (2, 3)])
    for file in held:
        await asyncio.to_thread(file.reached.wait)
    for file in held:
        file.release.set()
    await one.node.until(lambda: len(one.node.snapshots) == 2)
    assert sorted(one.node.snapshots) == [(2, True), (3, True)]


async def test_the_next_snapshot_gets_through_after_one_that_failed(
    pair: tuple[Running, Running],
) -> None:
    """nebula#1769: a lost snapshot may not be the last."""
    one, two = pair

    def gone() -> BinaryIO:
        raise SnapshotOutOfDate("the file is gone")

    one.node.open_file = gone
    one.transport.send([snapshot_message(2, 1, b"data")])
    await one.node.until(lambda: one.node.snapshots)
    one.node.open_file, one.node.snapshot_bytes = None, b"data"
    one.transport.send([snapshot_message(2, 1, b"data")])
    await one.node.until(lambda: len(one.node.snapshots) == 2)
    assert one.node.snapshots == [(2, False), (2, True)]
    assert len(two.node.received) == 1


@pytest.mark.parametrize("to", [2, 3])
async def test_an_unreachable_or_unknown_peer_is_reported(machines: Machines, to: int) -> None:
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    await two.transport.stop(grace=0)
    one.node.snapshot_bytes = b"data"
    one.transport.send([snapshot_message(to, 1, b"data")])
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(to, False)]


async def test_a_snapshot_to_a_peer_that_is_removed_ends(pair: tuple[Running, Running]) -> None:
    one, two = pair
    held = _HeldFile(b"x" * 5000)
    one.node.open_file = lambda: held
    one.transport.send([snapshot_message(2, 1, b"x" * 5000)])
    await asyncio.to_thread(held.reached.wait)
    one.knows()
    await one.node.until(lambda: one.node.snapshots)
    held.release.set()
    assert one.node.snapshots == [(2, False)]
    assert two.node.received == []


class _FrozenFile(_HeldFile):
    """A file that cannot be closed either while its second read waits."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._lock = threading.Lock()
        self.closed_by: list[str] = []
        self.was_closed = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        with self._lock:
            return super().read(size)

    def close(self) -> None:
        self.closed_by.append(threading.current_thread().name)
        with self._lock:
            super().close()
        self.was_closed.set()


async def test_a_transfer_that_is_cancelled_does_not_wait_for_the_disk_on_the_loop(
    pair: tuple[Running, Running],
) -> None:
    """Heartbeats of the whole node would wait for one read of a disk that hangs."""
    one, _ = pair
    frozen = _FrozenFile(b"x" * 5000)
    one.node.open_file = lambda: frozen
    one.transport.send([snapshot_message(2, 1, b"x" * 5000)])
    await asyncio.to_thread(frozen.reached.wait)
    one.knows()
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(2, False)]
    assert not frozen.was_closed.is_set()
    frozen.release.set()
    assert await asyncio.to_thread(frozen.was_closed.wait, PATIENCE)
    assert threading.current_thread().name not in frozen.closed_by


class _DamagedFile(io.BytesIO):
    def __init__(self, error: Exception) -> None:
        super().__init__(b"x")
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        raise self._error


@pytest.mark.parametrize("error", [StorageDamaged("wrong checksum"), OSError(5, "I/O error")])
@pytest.mark.parametrize("when", ["open", "read"])
async def test_a_file_of_ours_that_is_damaged_is_reported(
    pair: tuple[Running, Running], error: Exception, when: str
) -> None:
    """It would be tried for ever, and its follower never catch up."""
    one, two = pair

    def open_file() -> BinaryIO:
        if when == "open":
            raise StorageDamaged("it is missing")
        return _DamagedFile(error)

    one.node.open_file = open_file
    sent = snapshot_message(2, 1, b"x" * 10)
    one.transport.send([sent])
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(2, False)]
    assert [snapshot for snapshot, _ in one.node.damaged] == [sent.snapshot]
    assert two.node.received == []


async def test_damage_at_the_receiver_is_none_of_ours(
    pair: tuple[Running, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = pair

    def damaged(self: FileSink) -> tuple[str, int, int]:
        raise StorageDamaged("the receiver's own disk")

    monkeypatch.setattr(FileSink, "finish", damaged)
    one.node.snapshot_bytes = b"data"
    one.transport.send([snapshot_message(2, 1, b"data")])
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(2, False)]
    assert one.node.damaged == []


async def test_an_aborted_snapshot_leaves_no_file(
    pair: tuple[Running, Running], tmp_path: Path
) -> None:
    """rocketmq-rust#4992: temporary files that pile up."""
    one, two = pair
    held = _HeldFile(b"x" * 5000)
    one.node.open_file = lambda: held
    one.transport.send([snapshot_message(2, 1, b"x" * 5000)])
    await asyncio.to_thread(held.reached.wait)
    assert await asyncio.to_thread(two.node.sink_created.wait, PATIENCE)
    assert len(files_in(tmp_path)) == 1
    held.release.set()
    await one.transport.stop(grace=0)
    await two.transport.stop(grace=5)
    assert files_in(tmp_path) == []
    assert two.node.received == []


async def test_a_receiver_that_is_full_says_so_and_keeps_nothing(
    pair: tuple[Running, Running],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, two = pair

    def full(self: FileSink, data: bytes, /) -> int:
        raise StorageFull("no space left on the device")

    monkeypatch.setattr(FileSink, "write", full)
    one.node.snapshot_bytes = b"data"
    one.transport.send([snapshot_message(2, 1, b"data")])
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(2, False)]
    assert "StorageFull: no space left" in caplog.text
    await two.transport.stop(grace=5)
    assert files_in(tmp_path) == []


async def test_a_receiver_that_takes_nothing_is_given_up(
    pair: tuple[Running, Running], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(snapshot_sender, "_STALL", 0.2)
    one, two = pair
    release = threading.Event()

    def stuck(snapshot: Snapshot) -> None:
        release.wait(20)

    monkeypatch.setattr(two.node, "create_snapshot_sink", stuck)
    data = bytes(4 << 20)
    one.node.snapshot_bytes = data
    try:
        one.transport.send([snapshot_message(2, 1, data)])
        await one.node.until(lambda: one.node.snapshots)
    finally:
        release.set()
    assert one.node.snapshots == [(2, False)]
    assert "did not take a chunk" in caplog.text


async def test_a_snapshot_takes_no_longer_than_configured(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = await machines.start(1, config=Config(snapshot_timeout=0.2))
    two = await machines.start(2)
    one.knows(two)

    async def never(messages: Sequence[Message]) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(two.node, "receive", never)
    one.transport.send([snapshot_message(2, 1, None)])
    await one.node.until(lambda: one.node.snapshots)
    assert one.node.snapshots == [(2, False)]


class _Zeros(io.RawIOBase):
    """A file of zeros that takes no memory."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any buffer in typeshed
        count = min(len(buffer), self._left)
        buffer[:count] = bytes(count)
        self._left -= count
        return count


@pytest.mark.slow
async def test_300_megabytes_get_through_in_the_memory_of_a_few_chunks(
    machines: Machines, tmp_path: Path
) -> None:
    """swarmkit#2374, cockroach#8275: the default limit of 4 MB kept new members out."""
    size, chunk = 300 << 20, 1 << 20
    one = await machines.start(1, config=Config(snapshot_chunk_bytes=chunk))
    two = await machines.start(2, node=FakeNode(2, directory=tmp_path))
    one.knows(two)
    one.node.open_file = lambda: io.BufferedReader(_Zeros(size), chunk)
    crc32 = 0
    for _ in range(size // chunk):
        crc32 = zlib.crc32(bytes(chunk), crc32)
    descriptor = SnapshotDescriptor("big", size, crc32)
    m = snapshot_message(2, 1, None)
    m.snapshot = Snapshot(descriptor.encode(), SnapshotMetadata(index=10, term=2))
    resident = _resident_bytes()
    tracemalloc.start()
    try:
        one.transport.send([m])
        await one.node.until(lambda: one.node.snapshots, patience=50)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert one.node.snapshots == [(2, True)]
    assert (tmp_path / "big.snapshot").stat().st_size == size
    assert peak < 20 * chunk
    assert _resident_bytes() - resident < 60 * chunk


def _resident_bytes() -> int:
    """Return what the process holds, gRPC's own memory included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS in /proc/self/status")
