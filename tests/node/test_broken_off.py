"""What was begun and not finished must not be taken for finished."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from raftify.core.types import ConfState, Entry, EntryType, Message, MessageType, SnapshotMetadata
from raftify.errors import (
    DeadlineExceeded,
    InvariantViolation,
    NodeStopped,
    Overloaded,
    QueryFailed,
    StateMachineError,
    StorageDamaged,
)
from raftify.node.delivery import Delivery
from raftify.node.state_machine_runner import StateMachineRunner
from raftify.node.worker import ThreadWorker
from raftify.peers import Membership, Peers
from raftify.raft import Raft
from tests.cluster.local_cluster import LocalCluster, LocalNode, make_config
from tests.cluster.machines import PlainTally, Tally
from tests.ports import free_address


class Gated(Tally):
    """Waits in the middle of an entry until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def apply(self, data: bytes) -> bytes:
        result = await super().apply(data)
        self.begun.set()
        await self.gate.wait()
        return result


class NoSink:
    """A sink that nothing may be written to."""

    def write(self, data: bytes, /) -> int:
        raise AssertionError("a torn state was written")

    def finish(self) -> tuple[str, int, int]:
        raise AssertionError

    def abort(self) -> None: ...


def capture() -> SnapshotMetadata:
    return SnapshotMetadata(ConfState(voters=(1,)), 1, 1)


async def test_no_snapshot_of_a_state_machine_that_was_cancelled_in_the_middle() -> None:
    """It would hold an entry beyond its index, which a restart would apply again."""
    worker, machine = ThreadWorker("test"), Gated()
    runner = StateMachineRunner(machine, worker, worker)
    applying = asyncio.create_task(runner.apply(1, [b"a", b"b"]))
    await machine.begun.wait()
    applying.cancel()
    await asyncio.wait([applying])
    with pytest.raises(NodeStopped, match="in the middle of an entry"):
        await runner.snapshot(capture, NoSink())
    await worker.close()


@pytest.mark.parametrize("make_machine", [Tally, PlainTally])
async def test_no_snapshot_of_a_state_machine_that_raised_in_the_middle(
    make_machine: Callable[[], Tally],
) -> None:
    worker = ThreadWorker("test")
    runner = StateMachineRunner(make_machine(), worker, worker)
    with pytest.raises(StateMachineError):
        await runner.apply(1, [b"a", b"\xff"])
    with pytest.raises(NodeStopped, match="in the middle of an entry"):
        await runner.snapshot(capture, NoSink())
    await worker.close()


async def test_a_snapshot_asked_for_at_the_end_is_refused(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, Gated) as cluster:
        node = await cluster.found()
        writing = asyncio.create_task(node.raft.propose(b"a"))
        assert isinstance(node.machine, Gated)
        await node.machine.begun.wait()
        asking = asyncio.create_task(node.raft.make_snapshot())
        await asyncio.sleep(0)
        await cluster.stop(node)
        for task in (writing, asking):
            with pytest.raises(NodeStopped):
                await task
        cluster.make_machine = Tally
        again = cluster.restart(node)
        await again.raft.read_index()
        assert again.machine.counts == {"a": 1}


async def test_a_snapshot_that_raises_stops_nobody(tmp_path: Path) -> None:
    """Nothing has diverged, and the log has everything."""

    class NoSnapshot(Tally):
        async def snapshot(self) -> bytes:
            raise ValueError("not today")

    async with LocalCluster(tmp_path, NoSnapshot, snapshot_entries=5) as cluster:
        node = await cluster.found()
        for i in range(10):
            await node.raft.propose(f"k{i}".encode())
        with pytest.raises(StateMachineError, match="not today"):
            await node.raft.make_snapshot()
        assert await node.raft.propose(b"more") == b"more:1"


class RawStub:
    """A core that knows one configuration."""

    def apply_conf_change(self, change: object) -> ConfState:
        return ConfState(voters=(1,))


@pytest.mark.parametrize(
    "entry",
    [
        Entry(EntryType.NORMAL, 2, 2, b"x", b"\xff\xff"),
        Entry(EntryType.NORMAL, 2, 2, b"x", b""),
        Entry(EntryType.CONF_CHANGE_V2, 2, 2, b"\xff"),
        Entry(EntryType.CONF_CHANGE, 2, 2, b"\xff"),
        Entry(EntryType.CONF_CHANGE_V2, 2, 2, b"\x1a\x02\xff\xff"),
    ],
    ids=["command", "user", "change", "old change", "peers"],
)
def test_an_entry_that_cannot_be_read_stops_nobody(
    entry: Entry, caplog: pytest.LogCaptureFixture
) -> None:
    """It is committed: a node that stopped at it would stop again at every restart."""
    import logging  # noqa: PLC0415 - only here

    before = Membership.of(Peers({1: "a:1"}), index=1)
    delivery = Delivery(RawStub(), before, logging.getLogger("test"))  # type: ignore[arg-type]  # all it needs
    assert delivery.deliver([entry]) is None
    assert delivery.membership is before


async def test_what_followers_of_others_pass_on_is_ignored(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        term = node.raft._node.state.term
        for kind in (MessageType.PROPOSE, MessageType.READ_INDEX, MessageType.TRANSFER_LEADER):
            entries = [Entry(data=b"x", context=b"\xff")]
            message = Message(kind, to=1, from_=1, term=term, entries=entries)
            await node.raft._node._inbox.put_messages([message])
        assert await node.raft.propose(b"a") == b"a:1"
        assert node.machine.counts == {"a": 1}


async def broken(node: LocalNode, error: type[Exception]) -> None:
    with pytest.raises(error):
        await node.task


async def test_proposals_are_answered_when_they_break_the_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()

        def broken_log(entries: list[Entry]) -> tuple[int, int]:
            raise StorageDamaged("entry 3 cannot be read")

        monkeypatch.setattr(node.raft._node._raw, "propose_batch", broken_log)
        with pytest.raises(NodeStopped, match="entry 3 cannot be read"):
            await node.raft.propose(b"a")
        await broken(node, StorageDamaged)
        cluster.nodes.clear()


async def test_reads_are_answered_when_they_break_the_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()

        def broken_core(context: bytes) -> None:
            raise InvariantViolation("that cannot be")

        monkeypatch.setattr(node.raft._node._raw, "read_index", broken_core)
        with pytest.raises(NodeStopped, match="that cannot be"):
            await node.raft.read_index()
        await broken(node, InvariantViolation)
        cluster.nodes.clear()


async def test_reads_that_wait_have_a_limit(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path, inbox_limit=10) as cluster:
        node = await cluster.grow_to(2)
        await cluster.stop(cluster.nodes[2])
        waiting = [
            asyncio.create_task(node.raft._node.api.read_index(timeout=30)) for _ in range(11)
        ]
        with pytest.raises(Overloaded, match="10 reads wait"):
            await waiting[10]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_transport_that_cannot_end_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        transport = node.raft._node._transport
        stop = transport.stop

        async def broken_stop(*, grace: float) -> None:
            await stop(grace=grace)
            raise OSError("no")

        monkeypatch.setattr(transport, "stop", broken_stop)
        await cluster.stop(node)
        again = cluster.restart(node)
        await again.raft.wait_for_leader()


async def test_a_node_can_be_looked_at_after_its_end(tmp_path: Path) -> None:
    async with LocalCluster(tmp_path) as cluster:
        node = await cluster.found()
        await node.raft.propose(b"a")
        await cluster.stop(node)
        assert node.raft.inspect()["applied"] == 3


async def test_a_context_that_is_not_entered_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalCluster(tmp_path).storage(tmp_path / "log")
    raft = Raft.bootstrap(1, free_address(), storage, Tally(), make_config())

    async def too_late(*arguments: object, **named: object) -> None:
        raise DeadlineExceeded("too late")

    monkeypatch.setattr(raft._node.state, "wait_until", too_late)
    with pytest.raises(DeadlineExceeded):
        async with raft:
            raise AssertionError("it was entered")
    assert raft._node.state.has_ended()


class Slow(Tally):
    """Asked on its thread, applied on the event loop. A question takes until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.gate = threading.Event()
        self.is_asked = False
        self.overlaps = 0

    async def apply(self, data: bytes) -> bytes:
        self.overlaps += self.is_asked
        return await super().apply(data)

    def query(self, data: bytes) -> bytes:
        self.is_asked = True
        self.asked.set()
        self.gate.wait(20)
        self.is_asked = False
        if data == b"raise":
            raise ValueError("nobody waits for this any more")
        return data

    def encode(self) -> bytes:
        return self.query(b"state")


@pytest.mark.parametrize("question", [b"?", b"raise", None])
async def test_who_gives_up_waiting_for_an_answer_does_not_let_others_in(
    question: bytes | None,
) -> None:
    """The thread is still at it: nothing is applied beside it."""
    worker, machine = ThreadWorker("test"), Slow()
    runner = StateMachineRunner(machine, worker, worker)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await (runner.encode() if question is None else runner.query(question))
    assert machine.asked.is_set()
    applying = asyncio.create_task(runner.apply(1, [b"a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not applying.done()
    machine.gate.set()
    assert await applying == [b"a:1"]
    assert machine.overlaps == 0
    assert await runner.query(b"later") == b"later"
    await worker.close()
    with pytest.raises(QueryFailed, match="after shutdown"):
        await runner.query(b"too late")
    assert await runner.apply(2, [b"a"]) == [b"a:2"]
