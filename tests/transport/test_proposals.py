"""Proposals over a stream: a thousand at once, and what each becomes when something breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from raftify.config import Config
from raftify.errors import (
    DeadlineExceeded,
    NotLeader,
    OutcomeUnknown,
    Overloaded,
    PeerUnreachable,
    ProposalTooLarge,
    RaftifyError,
    TransportError,
)
from raftify.transport import connect, propose_session
from raftify.transport.interface import RemoteNode
from raftify.wire import raft_service_pb2 as pb
from tests.ports import free_port
from tests.transport.fakes import Machines, Running

Pending = list[tuple[bytes, "asyncio.Future[bytes]"]]


@pytest.fixture
async def one(machines: Machines) -> Running:
    return await machines.start(1)


@pytest.fixture
async def remote(one: Running) -> AsyncIterator[RemoteNode]:
    node = connect(one.address, Config())
    yield node
    await node.close()


def hold(running: Running) -> tuple[Pending, asyncio.Condition]:
    """Make the node keep proposals open; return them, and what tells of new ones."""
    held: Pending = []
    news = asyncio.Condition()
    tasks: set[asyncio.Task[None]] = set()

    async def tell() -> None:
        async with news:
            news.notify_all()

    def on_propose(data: bytes, future: asyncio.Future[bytes]) -> None:
        held.append((data, future))
        task = asyncio.get_running_loop().create_task(tell())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    running.node.on_propose = on_propose
    return held, news


async def until_held(held: Pending, news: asyncio.Condition, count: int) -> None:
    async with asyncio.timeout(20), news:
        await news.wait_for(lambda: len(held) >= count)


async def test_a_proposal_brings_its_result(remote: RemoteNode) -> None:
    assert await remote.propose(b"x", timeout=5) == b"re:x"
    assert await remote.propose(b"", timeout=5) == b"re:"


async def test_a_thousand_in_flight_each_get_their_own_result_in_any_order(
    one: Running, remote: RemoteNode
) -> None:
    held, news = hold(one)
    futures = [remote.propose(b"%d" % i, timeout=30) for i in range(1_000)]
    await until_held(held, news, 1_000)
    assert [data for data, _ in held] == [b"%d" % i for i in range(1_000)]
    for data, future in reversed(held):
        future.set_result(b"re:" + data)
    assert await asyncio.gather(*futures) == [b"re:%d" % i for i in range(1_000)]


async def test_no_entry_costs_a_task(one: Running, remote: RemoteNode) -> None:
    held, news = hold(one)
    await_first = remote.propose(b"first", timeout=30)
    await until_held(held, news, 1)
    before = len(asyncio.all_tasks())
    futures = [remote.propose(b"x", timeout=30) for _ in range(500)]
    assert len(asyncio.all_tasks()) == before
    await until_held(held, news, 501)
    for _, future in held:
        future.set_result(b"")
    await asyncio.gather(await_first, *futures)


async def test_large_and_small_travel_together(machines: Machines) -> None:
    config = Config(max_grpc_message_bytes=16 << 20)
    remote = connect((await machines.start(1, config=config)).address, config)
    sizes = [10, 3 << 20, 20, 15 << 20, 0, 900_000, 900_000]
    futures = [remote.propose(bytes(size), timeout=30) for size in sizes]
    assert [len(r) for r in await asyncio.gather(*futures)] == [s + 3 for s in sizes]
    await remote.close()


async def test_errors_are_each_proposals_own(one: Running, remote: RemoteNode) -> None:
    def on_propose(data: bytes, future: asyncio.Future[bytes]) -> None:
        if data == b"raise":
            raise Overloaded("not now")
        if data == b"foreign":
            future.set_exception(ValueError("swordfish"))
        elif data == b"cancel":
            future.cancel()
        else:
            future.set_exception(NotLeader(leader_id=2, leader_address="10.0.0.2:1"))

    one.node.on_propose = on_propose
    proposals = [remote.propose(data, timeout=5) for data in (b"x", b"raise", b"foreign")]
    outcomes = await asyncio.gather(*proposals, return_exceptions=True)
    assert [type(o) for o in outcomes] == [NotLeader, Overloaded, RaftifyError]
    assert isinstance(outcomes[0], NotLeader)
    assert (outcomes[0].leader_id, outcomes[0].leader_address) == (2, "10.0.0.2:1")
    assert "swordfish" not in str(outcomes[2])
    with pytest.raises(RaftifyError, match="gave the proposal up"):
        await remote.propose(b"cancel", timeout=5)


async def test_the_timeout_travels(one: Running, remote: RemoteNode) -> None:
    await remote.propose(b"x", timeout=3)
    assert 2.5 < one.node.timeouts[0] <= 3.01


class TestBreaks:
    async def test_nobody_there(self) -> None:
        remote = connect(f"127.0.0.1:{free_port()}", Config())
        futures = [remote.propose(b"x", timeout=60) for _ in range(10)]
        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(o) for o in outcomes} == {PeerUnreachable}
        assert len(set(map(id, outcomes))) == 10, "one error shared would collect tracebacks"
        await remote.close()

    async def test_the_node_dies_with_a_thousand_in_flight(
        self, one: Running, remote: RemoteNode
    ) -> None:
        held, news = hold(one)
        futures = [remote.propose(b"x", timeout=60) for _ in range(1_000)]
        await until_held(held, news, 1_000)
        await one.transport.stop(grace=0)
        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(o) for o in outcomes} == {OutcomeUnknown}

    async def test_answers_known_before_the_end_arrive(
        self, one: Running, remote: RemoteNode
    ) -> None:
        """openraft#1357: no error for what was done."""
        held, news = hold(one)
        futures = [remote.propose(b"x", timeout=60) for _ in range(100)]
        await until_held(held, news, 100)
        for _, future in held[:50]:
            future.set_result(b"done")
        await one.transport.stop(grace=5)
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert outcomes[:50] == [b"done"] * 50
        assert {type(o) for o in outcomes[50:]} == {OutcomeUnknown}

    async def test_it_comes_back(
        self, machines: Machines, one: Running, remote: RemoteNode
    ) -> None:
        assert await remote.propose(b"1", timeout=5) == b"re:1"
        await one.transport.stop(grace=0)
        # Sent, or not sent any more: but not that node's own NodeStopped, which leaves that open.
        with pytest.raises((PeerUnreachable, OutcomeUnknown)):
            await remote.propose(b"2", timeout=5)
        await machines.start(1, port=one.port)
        assert await remote.propose(b"3", timeout=5) == b"re:3"

    async def test_a_node_that_stops_did_not_get_what_was_not_sent(
        self, one: Running, remote: RemoteNode
    ) -> None:
        """It refused the stream with its NodeStopped, after which the outcome counted as open."""
        servicer = one.transport._servicer
        assert servicer is not None
        servicer._closing = True
        with pytest.raises(PeerUnreachable, match=r"broke before this one was sent .*stopping"):
            await remote.propose(b"x", timeout=5)
        assert one.node.timeouts == []

    async def test_closing_fails_what_is_open(self, one: Running) -> None:
        held, news = hold(one)
        remote = connect(one.address, Config())
        sent = remote.propose(b"x", timeout=60)
        await until_held(held, news, 1)
        unsent = remote.propose(b"y", timeout=60)
        await remote.close()
        late = remote.propose(b"z", timeout=60)
        outcomes = await asyncio.gather(sent, unsent, late, return_exceptions=True)
        assert [type(o) for o in outcomes] == [OutcomeUnknown, PeerUnreachable, PeerUnreachable]


class TestDeadlines:
    async def test_no_answer(self, one: Running, remote: RemoteNode) -> None:
        # Connected first, so that the short deadline passes after the sending and not before.
        await remote.propose(b"connect", timeout=60)
        held, news = hold(one)
        slow, quick = remote.propose(b"a", timeout=60), remote.propose(b"b", timeout=0.5)
        await until_held(held, news, 2)
        with pytest.raises(DeadlineExceeded):
            await quick
        for _, future in held:
            future.set_result(b"late")
        assert await slow == b"late"

    async def test_not_sent(self, silent_address: str) -> None:
        """Whoever was never connected did nothing: it is safe to try elsewhere."""
        remote = connect(silent_address, Config())
        with pytest.raises(PeerUnreachable):
            await remote.propose(b"x", timeout=0.05)
        await remote.close()

    async def test_a_cancelled_future_is_not_sent(self, one: Running, remote: RemoteNode) -> None:
        held, news = hold(one)
        cancelled, kept = remote.propose(b"no", timeout=60), remote.propose(b"yes", timeout=60)
        cancelled.cancel()
        await until_held(held, news, 1)
        held[0][1].set_result(b"done")
        assert await kept == b"done"
        assert [data for data, _ in held] == [b"yes"]

    async def test_a_future_cancelled_after_sending_harms_nothing(
        self, one: Running, remote: RemoteNode
    ) -> None:
        held, news = hold(one)
        futures = [remote.propose(b"x", timeout=60) for _ in range(2)]
        await until_held(held, news, 2)
        futures[0].cancel()
        for _, future in held:
            future.set_result(b"done")
        assert await futures[1] == b"done"


async def _outcome(future: asyncio.Future[bytes]) -> object:
    [outcome] = await asyncio.gather(future, return_exceptions=True)
    return outcome


class TestLimits:
    async def test_a_proposal_beyond_the_limit(self, one: Running) -> None:
        config = Config(max_proposal_bytes=1 << 20, max_grpc_message_bytes=2 << 20)
        remote = connect(one.address, config)
        with pytest.raises(ProposalTooLarge):
            await remote.propose(bytes(2 << 20), timeout=5)
        assert await remote.propose(b"x", timeout=5) == b"re:x"
        await remote.close()

    async def test_more_waiting_than_the_outbox_holds(self) -> None:
        remote = connect(f"127.0.0.1:{free_port()}", Config(outbox_bytes=2000))
        futures = [remote.propose(bytes(600), timeout=60) for _ in range(3)]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(o) for o in outcomes] == [PeerUnreachable, PeerUnreachable, Overloaded]
        await remote.close()

    async def test_empty_proposals_take_room_too(self) -> None:
        """Each is an object and a future: without end they would be the end of the process."""
        remote = connect(f"127.0.0.1:{free_port()}", Config(outbox_bytes=10_000))
        futures = [remote.propose(b"", timeout=60) for _ in range(1000)]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        kinds = [type(o) for o in outcomes]
        waited = kinds.count(PeerUnreachable)
        assert 0 < waited < 50
        assert kinds == [PeerUnreachable] * waited + [Overloaded] * (1000 - waited)
        # What has gone gives its room back.
        assert isinstance(await _outcome(remote.propose(b"", timeout=60)), PeerUnreachable)
        await remote.close()

    async def test_the_node_reads_no_further_than_it_answers(
        self, one: Running, remote: RemoteNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(propose_session, "MAX_UNANSWERED", 10)
        held, news = hold(one)
        futures = []
        # One batch each: the limit is looked at between batches.
        for index in range(30):
            futures.append(remote.propose(b"x" * 1_100_000, timeout=60))
            await until_held(held, news, min(index + 1, 10))
        assert len(held) == 10
        for count in range(30):
            await until_held(held, news, count + 1)
            held[count][1].set_result(b"done")
        assert await asyncio.gather(*futures) == [b"done"] * 30

    async def test_a_result_that_fits_nowhere_is_an_error_that_says_it_was_applied(
        self, machines: Machines
    ) -> None:
        config = Config(max_proposal_bytes=1 << 20, max_grpc_message_bytes=2 << 20)
        one = await machines.start(1, config=config)

        def on_propose(data: bytes, future: asyncio.Future[bytes]) -> None:
            future.set_result(bytes(3 << 20))

        one.node.on_propose = on_propose
        remote = connect(one.address, config)
        with pytest.raises(TransportError, match="was applied"):
            await remote.propose(b"x", timeout=5)
        await remote.close()


async def test_a_client_that_closes_its_side_gets_every_answer_first(one: Running) -> None:
    held, news = hold(one)
    batch = pb.ProposeBatch(items=[pb.ProposeItem(request_id=i, data=b"x") for i in range(3)])
    async with grpc.aio.insecure_channel(one.address) as channel:
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
            "/raftify.RaftService/ProposeStream"
        )
        call = method()
        await call.write(batch.SerializeToString())
        await call.done_writing()
        await until_held(held, news, 3)
        for _, future in held:
            future.set_result(b"done")
        answered = []
        while (data := await call.read()) is not grpc.aio.EOF:
            assert isinstance(data, bytes)
            answered += [r.request_id for r in pb.ProposeResults.FromString(data).results]
        assert answered == [0, 1, 2]
        assert await call.code() is grpc.StatusCode.OK
    assert one.node.timeouts == [Config().proposal_timeout] * 3


async def test_a_client_that_vanishes_stops_nothing_that_was_begun(one: Running) -> None:
    held, news = hold(one)
    remote = connect(one.address, Config())
    future = remote.propose(b"x", timeout=60)
    await until_held(held, news, 1)
    await remote.close()
    with pytest.raises(OutcomeUnknown):
        await future
    assert not held[0][1].done()
    # Nobody will ask for this one; it must not end as "exception was never retrieved".
    held[0][1].set_exception(ValueError("nobody asks"))
