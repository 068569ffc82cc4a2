"""Messages between nodes: order, loss, reconnects, refusals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from raftify.config import Config
from raftify.core.config import RaftConfig
from raftify.core.entry_size import limit_size
from raftify.core.types import Entry, Message, MessageType
from raftify.errors import (
    AddressInUse,
    ConfigError,
    IncarnationMismatch,
    NodeRemoved,
    PeerRefused,
)
from raftify.peers import Peer
from raftify.transport import peer_stream
from raftify.transport.grpc_transport import GrpcTransport
from raftify.transport.interface import Handshake
from raftify.wire.framing import pack_batch
from tests.ports import free_port
from tests.transport.fakes import (
    CLUSTER,
    LOGGER,
    PATIENCE,
    FakeNode,
    Machines,
    handshake_of,
    message,
)


async def test_messages_arrive_whole_and_in_order(machines: Machines) -> None:
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    sent = []
    for index in range(2_000):
        m = message(2, 1, index)
        m.entries = [Entry(term=3, index=index + 1, data=b"%d" % index, context=b"c")]
        sent.append(m)
        one.transport.send([m])
    await two.node.until(lambda: len(two.node.received) == len(sent))
    assert two.node.received == sent
    assert two.node.batches < len(sent), "what waits is to travel together"
    assert one.node.unreachable == []


async def test_both_directions_use_streams_of_their_own(machines: Machines) -> None:
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    two.knows(one)
    one.transport.send([message(2, 1, 1)])
    two.transport.send([message(1, 2, 2)])
    await two.node.until(lambda: two.node.received)
    await one.node.until(lambda: one.node.received)
    assert [m.index for m in (*two.node.received, *one.node.received)] == [1, 2]


async def test_a_message_to_an_unknown_peer_is_dropped(machines: Machines) -> None:
    """etcd#2746, PySyncObj#121: no KeyError for a node that is gone."""
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    one.transport.send([message(7, 1), message(2, 1, 5)])
    await two.node.until(lambda: two.node.received)
    assert [m.index for m in two.node.received] == [5]


async def test_a_peer_that_restarts_on_its_port_is_reached_again(machines: Machines) -> None:
    """openraft#1770: a stale connection after a restart looks like a Raft bug."""
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    one.transport.send([message(2, 1, 1)])
    await two.node.until(lambda: two.node.received)
    await two.transport.stop(grace=0)
    await one.node.until(lambda: one.node.unreachable)
    again = await machines.start(2, port=two.port)
    # Raft repeats what it does not see acknowledged; so does this test, until something arrives.
    async with asyncio.timeout(PATIENCE):
        while not again.node.received:
            one.transport.send([message(2, 1, 2)])
            await asyncio.sleep(0.01)
    assert {m.index for m in again.node.received} == {2}


async def test_a_peer_that_starts_late_gets_what_waited_for_it(machines: Machines) -> None:
    one = await machines.start(1)
    port = free_port()
    one.transport.update_peers({2: Peer(2, f"127.0.0.1:{port}")})
    one.transport.send([message(2, 1, 1)])
    two = await machines.start(2, port=port)
    await two.node.until(lambda: two.node.received)
    assert [m.index for m in two.node.received] == [1]


async def test_a_peer_that_says_nothing_is_reported(
    machines: Machines, silent_address: str
) -> None:
    one = await machines.start(1, config=Config(request_timeout=0.3))
    one.transport.update_peers({2: Peer(2, silent_address)})
    one.transport.send([message(2, 1)])
    await one.node.until(lambda: one.node.unreachable)


async def test_a_full_outbox_drops_and_says_so_without_a_call_per_message(
    machines: Machines,
) -> None:
    config = Config(outbox_messages=10)
    one, two = await machines.start(1, config=config), await machines.start(2)
    two.node.may_receive.clear()
    one.knows(two)
    one.transport.send([message(2, 1, 1)])
    for index in range(5_000):
        one.transport.send([message(2, 1, index)])
    await one.node.until(lambda: one.node.unreachable)
    assert len(one.node.unreachable) <= 3
    two.node.may_receive.set()
    one.transport.send([])
    await two.node.until(lambda: len(two.node.received) >= 10)
    assert len(two.node.received) <= 12


async def test_a_peer_that_takes_nothing_holds_the_sender_back(machines: Machines) -> None:
    """The outbox, not the network's buffers or our memory, takes what a slow peer does not."""
    config = Config(outbox_bytes=4 << 20)
    one, two = await machines.start(1, config=config), await machines.start(2)
    two.node.may_receive.clear()
    one.knows(two)
    for index in range(200):
        m = message(2, 1, index)
        m.entries = [Entry(term=1, index=index + 1, data=bytes(100_000))]
        one.transport.send([m])
    await one.node.until(lambda: one.node.unreachable)
    two.node.may_receive.set()
    await two.node.until(lambda: two.node.received)
    indexes = [m.index for m in two.node.received]
    assert indexes == sorted(indexes)


async def test_an_append_of_20_megabytes_gets_through(machines: Machines) -> None:
    """swarmkit#2374, dgraph#396: the default of gRPC, 4 MB, stops a cluster."""
    config = Config(max_grpc_message_bytes=32 << 20)
    one, two = await machines.start(1, config=config), await machines.start(2, config=config)
    one.knows(two)
    big = message(2, 1, 1)
    big.entries = [Entry(term=1, index=i + 1, data=bytes([i]) * (1 << 20)) for i in range(20)]
    one.transport.send([big])
    await two.node.until(lambda: two.node.received)
    assert two.node.received == [big]


async def test_a_message_beyond_the_limit_is_dropped_and_reported(
    machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    mib = 1 << 20
    config = Config(max_proposal_bytes=mib, max_grpc_message_bytes=2 * mib, outbox_bytes=2 * mib)
    one, two = await machines.start(1, config=config), await machines.start(2)
    one.knows(two)
    big = message(2, 1, 1)
    big.entries = [Entry(term=1, index=1, data=bytes(3 << 20))]
    with caplog.at_level(logging.ERROR):
        one.transport.send([big, big, message(2, 1, 2)])
        await two.node.until(lambda: two.node.received)
    assert [m.index for m in two.node.received] == [2]
    assert one.node.unreachable == [2]
    # Once, though Raft sends the like for ever.
    assert caplog.text.count("max_grpc_message_bytes") == 1


async def test_the_most_entries_that_the_core_puts_into_a_message_get_through(
    machines: Machines,
) -> None:
    """With the least room that Config allows; entries of one byte carry the most overhead."""
    settings = RaftConfig(max_size_per_msg=4 << 20)
    with pytest.raises(ConfigError, match="max_size_per_msg"):
        Config(raft_config=settings, max_proposal_bytes=1 << 20, max_grpc_message_bytes=6 << 20)
    config = Config(
        raft_config=settings,
        max_proposal_bytes=1 << 20,
        max_grpc_message_bytes=(6 << 20) + (1 << 19),
    )
    one, two = await machines.start(1, config=config), await machines.start(2, config=config)
    one.knows(two)
    small = [Entry(term=3, index=i + 1, data=b"x") for i in range(700_000)]
    full = message(2, 1, 0)
    full.entries = limit_size(small, settings.max_size_per_msg)
    assert len(full.entries) < len(small)
    one.transport.send([full])
    await two.node.until(lambda: two.node.received or one.node.unreachable)
    assert [len(m.entries) for m in two.node.received] == [len(full.entries)]


async def test_a_moved_peer_is_reached_at_its_new_address(machines: Machines) -> None:
    one, old = await machines.start(1), await machines.start(2)
    new = await machines.start(2)
    one.knows(old)
    one.transport.send([message(2, 1, 1)])
    await old.node.until(lambda: old.node.received)
    one.knows(new)
    one.transport.send([message(2, 1, 2)])
    await new.node.until(lambda: new.node.received)
    assert [m.index for m in old.node.received] == [1]


async def test_a_removed_peer_gets_what_was_in_its_outbox(machines: Machines) -> None:
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    one.transport.send([message(2, 1, index) for index in range(100)])
    one.knows()
    one.transport.send([message(2, 1, 1000)])
    await two.node.until(lambda: len(two.node.received) == 100)
    assert [m.index for m in two.node.received] == list(range(100))


async def test_a_batch_damaged_on_its_way_is_lost_and_the_next_arrives_at_once(
    machines: Machines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One flipped bit, without a checksum, would have made index 9 index 8."""
    monkeypatch.setattr(peer_stream, "_RETRY_REFUSED", (3 * PATIENCE, 3 * PATIENCE))
    packed: list[bytes] = []

    def pack_and_damage(batch: Sequence[Message]) -> bytes:
        data = pack_batch(batch)
        packed.append(data)
        return data if len(packed) != 2 else data.replace(b"\x30\x09", b"\x30\x08")

    monkeypatch.setattr(peer_stream, "pack_batch", pack_and_damage)
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    one.transport.send([message(2, 1, 7)])
    await two.node.until(lambda: two.node.received)
    one.transport.send([message(2, 1, 9)])
    await one.node.until(lambda: one.node.unreachable)
    assert b"\x30\x09" in packed[1]
    one.transport.send([message(2, 1, 10)])
    await two.node.until(lambda: len(two.node.received) == 2)
    assert [m.index for m in two.node.received] == [7, 10]
    assert "damaged on its way" in caplog.text


async def test_stop_sends_what_waits(machines: Machines) -> None:
    one, two = await machines.start(1), await machines.start(2)
    one.knows(two)
    one.transport.send([message(2, 1, index) for index in range(1_000)])
    await one.transport.stop(grace=PATIENCE)
    assert len(two.node.received) == 1_000


async def test_stop_does_not_wait_for_a_peer_that_is_not_there(machines: Machines) -> None:
    one = await machines.start(1)
    one.transport.update_peers({2: Peer(2, f"127.0.0.1:{free_port()}")})
    one.transport.send([message(2, 1)])
    await one.node.until(lambda: one.node.unreachable)
    async with asyncio.timeout(5):
        await one.transport.stop(grace=60)


async def test_a_taken_port_is_an_error_that_names_it(machines: Machines) -> None:
    """grpc.so_reuseport would let two nodes share the port, and the kernel choose."""
    one = await machines.start(1)
    with pytest.raises(AddressInUse, match=str(one.port)):
        await machines.start(2, port=one.port)


async def test_an_address_of_another_machine_is_a_setting_that_is_wrong() -> None:
    transport = GrpcTransport("192.0.2.1:60061", Config(), LOGGER)
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        await transport.start(handshake_of(1), FakeNode(1))


@pytest.mark.parametrize("port", ["70000", "65536", "-1", "", "x", "\uff11"])
async def test_a_port_that_is_none_is_a_setting_that_is_wrong(port: str) -> None:
    """The kernel would take 70000 for 4464, and no peer ever find the node."""
    transport = GrpcTransport(f"127.0.0.1:{port}", Config(), LOGGER)
    try:
        with pytest.raises(ConfigError, match="from 1 to 65535"):
            await transport.start(handshake_of(1), FakeNode(1))
    finally:
        await transport.stop(grace=0)


class TestRefusals:
    async def test_another_cluster(self, machines: Machines) -> None:
        one = await machines.start(1, cluster_id="another Clüster")
        two = await machines.start(2)
        one.knows(two)
        one.transport.send([message(2, 1)])
        await one.node.until(lambda: one.node.refused)
        node_id, error = one.node.refused[0]
        assert node_id == 2
        assert type(error) is PeerRefused
        assert "another Clüster" in str(error)
        assert two.node.received == []

    async def test_another_node_than_the_one_looked_for(self, machines: Machines) -> None:
        one, two = await machines.start(1), await machines.start(2)
        one.transport.update_peers({3: Peer(3, two.address)})
        one.transport.send([message(3, 1)])
        await one.node.until(lambda: one.node.refused)
        assert one.node.refused[0][0] == 3
        assert two.node.received == []

    @pytest.mark.parametrize("kind", [IncarnationMismatch, NodeRemoved])
    async def test_the_reason_keeps_its_class(
        self, machines: Machines, kind: type[PeerRefused], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two = await machines.start(1), await machines.start(2)

        def refuse(handshake: Handshake) -> None:
            assert handshake == Handshake(CLUSTER, 1, "store-1", 2)
            raise kind("go away")

        monkeypatch.setattr(two.node, "greet", refuse)
        one.knows(two)
        await one.node.until(lambda: one.node.refused)
        assert type(one.node.refused[0][1]) is kind

    async def test_another_store_under_a_known_id(self, machines: Machines) -> None:
        """openraft#2002: a wiped disk that comes back under its old id may vote twice."""
        two = await machines.start(2, node=FakeNode(2, known={1: "another store"}))
        one = await machines.start(1)
        one.knows(two)
        await one.node.until(lambda: one.node.refused)
        assert "another store" in str(one.node.refused[0][1])

    async def test_one_that_was_met_before_is_refused_once_it_is_removed(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """hashicorp/raft#476: a removed node that was connected may not go on."""
        one, two = await machines.start(1), await machines.start(2)
        one.knows(two)
        one.transport.send([message(2, 1, 1)])
        await two.node.until(lambda: two.node.received)

        def refuse(handshake: Handshake) -> None:
            raise NodeRemoved("node 1 was removed")

        monkeypatch.setattr(two.node, "greet", refuse)
        one.transport.send([message(2, 1, 2)])
        await one.node.until(lambda: one.node.refused)
        assert isinstance(one.node.refused[0][1], NodeRemoved)
        assert [m.index for m in two.node.received] == [1]

    async def test_a_refusal_is_told_once_and_the_peer_tried_again(
        self, machines: Machines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two = await machines.start(1), await machines.start(2)
        greetings: list[Handshake] = []
        real = two.node.greet

        def refuse_twice(handshake: Handshake) -> None:
            greetings.append(handshake)
            if len(greetings) <= 2:
                raise PeerRefused("not yet")
            real(handshake)

        monkeypatch.setattr(two.node, "greet", refuse_twice)
        one.knows(two)
        await one.node.until(lambda: one.node.refused)
        while not two.node.received:
            one.transport.send([message(2, 1, 1)])
            async with asyncio.timeout(PATIENCE):
                await asyncio.sleep(0.01)
        assert len(one.node.refused) == 1

    async def test_messages_in_another_nodes_name(self, machines: Machines) -> None:
        one, two = await machines.start(1), await machines.start(2)
        one.knows(two)
        one.transport.send([message(2, 1, 1)])
        await two.node.until(lambda: two.node.received)
        one.transport.send([message(2, 5, 2)])
        await one.node.until(lambda: one.node.unreachable)
        assert [m.index for m in two.node.received] == [1]

    @pytest.mark.parametrize(
        "kind",
        [
            MessageType.HUP,
            MessageType.BEAT,
            MessageType.UNREACHABLE,
            MessageType.SNAP_STATUS,
            MessageType.CHECK_QUORUM,
        ],
    )
    async def test_what_a_node_tells_only_itself(
        self, machines: Machines, kind: MessageType
    ) -> None:
        one, two = await machines.start(1), await machines.start(2)
        one.knows(two)
        one.transport.send([message(2, 1, 2, kind)])
        await one.node.until(lambda: one.node.unreachable)
        assert two.node.received == []


class TestLogging:
    async def test_one_line_for_each_change_and_none_for_each_attempt(
        self, machines: Machines, caplog: pytest.LogCaptureFixture
    ) -> None:
        """hashicorp/raft#564: "failed to contact" once, not several times a second."""
        with caplog.at_level(logging.DEBUG, logger=LOGGER.name):
            one, two = await machines.start(1), await machines.start(2)
            one.knows(two)
            one.transport.send([message(2, 1)])
            await two.node.until(lambda: two.node.received)
            await two.transport.stop(grace=0)
            await one.node.until(lambda: len(one.node.unreachable) >= 3)
            await one.transport.stop(grace=1)
        lines = [(r.levelname, r.getMessage().split(":")[0]) for r in caplog.records]
        where = "node 2 at 127.0.0.1"
        assert lines == [("INFO", f"connected to {where}"), ("INFO", f"no connection to {where}")]
