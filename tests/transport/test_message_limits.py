"""What is too large for one end is said with its limit, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import threading

import pytest

from raftify.config import Config
from raftify.core.types import Entry, Message
from raftify.errors import OutcomeUnknown, ProposalTooLarge, TransportError
from raftify.peers import MOST_METADATA, Membership, Peer, Peers
from raftify.transport import connect, servicer
from raftify.transport.interface import Handshake
from raftify.wire.framing import unpack_batch
from tests.transport.fakes import CLUSTER, FakeNode, Machines, message

MIB = 1 << 20
SMALL = Config(max_proposal_bytes=MIB, max_grpc_message_bytes=2 * MIB)
LARGE = Config(max_grpc_message_bytes=16 * MIB)


def append(to: int, from_id: int, size: int) -> Message:
    made = message(to, from_id, 1)
    made.entries = [Entry(term=1, index=1, data=bytes(size))]
    return made


class FullOfMetadata(FakeNode):
    async def leave_joint(self, *, timeout: float) -> Membership:
        peers = [Peer(i, f"127.0.0.1:{i}", metadata=bytes(MOST_METADATA)) for i in range(2, 70)]
        return Membership(peers=Peers(peers))


class Unacquainted(FakeNode):
    """Takes messages of anybody, and has no members."""

    def greet(self, handshake: Handshake) -> None:
        assert handshake.cluster_id == CLUSTER


class TestCalls:
    async def test_a_request_that_the_node_does_not_take(self, machines: Machines) -> None:
        one = await machines.start(1, config=SMALL)
        remote = connect(one.address, Config())
        with pytest.raises(ProposalTooLarge, match=r"max_grpc_message_bytes.*vs. 2097152"):
            await remote.query(bytes(3 * MIB), timeout=20)
        await remote.close()
        assert one.node.calls == []

    async def test_a_request_that_this_side_does_not_send(self, machines: Machines) -> None:
        one = await machines.start(1)
        remote = connect(one.address, SMALL)
        with pytest.raises(ProposalTooLarge, match=r"max_grpc_message_bytes.*vs. 2097152"):
            await remote.query(bytes(3 * MIB), timeout=20)
        await remote.close()

    async def test_an_answer_that_this_side_does_not_take(self, machines: Machines) -> None:
        one = await machines.start(1)
        one.node.answer = bytes(3 * MIB)
        remote = connect(one.address, SMALL)
        with pytest.raises(TransportError, match=r"the answer .*max_grpc_message_bytes"):
            await remote.query(b"?", timeout=20)
        await remote.close()

    async def test_the_answer_to_a_change_leaves_open_what_became_of_it(
        self, machines: Machines
    ) -> None:
        one = await machines.start(1, node=FullOfMetadata(1))
        remote = connect(one.address, SMALL)
        with pytest.raises(OutcomeUnknown, match=r"the answer .*max_grpc_message_bytes"):
            await remote.leave_joint(timeout=20)
        await remote.close()

    async def test_an_answer_that_the_node_does_not_send_leaves_it_open_as_well(
        self, machines: Machines
    ) -> None:
        one = await machines.start(1, node=FullOfMetadata(1), config=SMALL)
        remote = connect(one.address, Config())
        with pytest.raises(OutcomeUnknown, match=r"the answer .*max_grpc_message_bytes"):
            await remote.leave_joint(timeout=20)
        await remote.close()


class TestProposals:
    async def test_one_that_the_node_does_not_take_harms_no_other(self, machines: Machines) -> None:
        one = await machines.start(1, config=SMALL)
        remote = connect(one.address, Config())
        # Put down before the node has said how much it takes, and after.
        futures = [remote.propose(d, timeout=20) for d in (b"a", bytes(3 * MIB), b"b")]
        with pytest.raises(ProposalTooLarge, match="8388608 here and at most 2097152 at"):
            await futures[1]
        assert [await futures[0], await futures[2]] == [b"re:a", b"re:b"]
        with pytest.raises(ProposalTooLarge, match="max_grpc_message_bytes"):
            await remote.propose(bytes(3 * MIB), timeout=20)
        await remote.close()

    async def test_a_result_that_the_caller_does_not_take_harms_no_other(
        self, machines: Machines
    ) -> None:
        """gRPC ended the whole stream for it, and with it what else was under way."""
        one = await machines.start(1)
        came: asyncio.Queue[asyncio.Future[bytes]] = asyncio.Queue()
        one.node.on_propose = lambda _, answer: came.put_nowait(answer)
        remote = connect(one.address, SMALL)
        large, other = (remote.propose(data, timeout=20) for data in (b"a", b"b"))
        first, second = await came.get(), await came.get()
        first.set_result(bytes(3 * MIB))
        with pytest.raises(TransportError, match="was applied, but its result of 3145728 bytes"):
            await large
        second.set_result(b"fine")
        assert await other == b"fine"
        await remote.close()

    async def test_what_a_node_takes_is_asked_again_after_it_restarted(
        self, machines: Machines
    ) -> None:
        one = await machines.start(1, config=SMALL)
        remote = connect(one.address, Config())
        with pytest.raises(ProposalTooLarge):
            await remote.propose(bytes(3 * MIB), timeout=20)
        await one.transport.stop(grace=1)
        await machines.start(1, port=one.port)
        # The end of the old stream may show with this one only.
        await asyncio.gather(remote.propose(b"x", timeout=5), return_exceptions=True)
        assert len(await remote.propose(bytes(3 * MIB), timeout=20)) == 3 + 3 * MIB
        await remote.close()


class TestPeers:
    @pytest.mark.parametrize(("sender", "receiver"), [(Config(), SMALL), (SMALL, Config())])
    async def test_what_one_end_does_not_take_in_one_travels_in_pieces(
        self, machines: Machines, sender: Config, receiver: Config
    ) -> None:
        """An entry that is in a log has to reach everybody, or nothing behind it does."""
        one, two = await machines.start(1, config=sender), await machines.start(2, config=receiver)
        one.knows(two)
        sent = [message(2, 1, 1), append(2, 1, 5 * MIB), message(2, 1, 2)]
        one.transport.send(sent[:1])
        await two.node.until(lambda: two.node.received)
        one.transport.send(sent[1:])
        await two.node.until(lambda: len(two.node.received) == 3)
        assert two.node.received == sent
        assert one.node.unreachable == []

    async def test_a_stranger_may_send_no_pieces(self, machines: Machines) -> None:
        one, two = await machines.start(1), await machines.start(2, node=Unacquainted(2))
        one.knows(two)
        one.transport.send([append(2, 1, 9 * MIB)])
        await one.node.until(lambda: one.node.unreachable)
        assert two.node.received == []

    async def test_larger_ones_travel_where_both_allow_them(self, machines: Machines) -> None:
        one, two = await machines.start(1, config=LARGE), await machines.start(2, config=LARGE)
        one.knows(two)
        big = append(2, 1, 12 * MIB)
        one.transport.send([big])
        await two.node.until(lambda: two.node.received)
        assert two.node.received == [big]

    async def test_an_entry_of_the_largest_proposal_travels_by_default(
        self, machines: Machines
    ) -> None:
        one, two = await machines.start(1), await machines.start(2)
        one.knows(two)
        big = append(2, 1, Config().max_proposal_bytes)
        one.transport.send([big])
        await two.node.until(lambda: two.node.received)
        assert two.node.received == [big]


class TestStrangers:
    @pytest.fixture
    def together(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many batches were being unpacked when each began; threads meet there."""
        counts: list[int] = []
        inside, lock = 0, threading.Lock()
        second = threading.Event()

        def unpack(packed: bytes, *, most_entries: int) -> list[Message]:
            nonlocal inside
            with lock:
                inside += 1
                counts.append(inside)
            if inside > 1:
                second.set()
            # Long enough for another to come in, if it may.
            second.wait(0.3)
            try:
                return unpack_batch(packed, most_entries=most_entries)
            finally:
                with lock:
                    inside -= 1

        monkeypatch.setattr(servicer, "unpack_batch", unpack)
        return counts

    async def test_their_large_batches_are_unpacked_one_at_a_time(
        self, machines: Machines, together: list[int]
    ) -> None:
        """Each thread takes the interpreter from the event loop; six took all of it."""
        one = await machines.start(1, node=Unacquainted(1))
        strangers = [await machines.start(number) for number in (100, 101, 102)]
        for stranger in strangers:
            stranger.knows(one)
            stranger.transport.send([append(1, stranger.node.node_id, MIB)])
        async with asyncio.timeout(20):
            await one.node.until(lambda: len(one.node.received) == 3)
        assert together == [1, 1, 1]
