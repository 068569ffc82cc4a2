"""Who is let in over TLS, who is not, and whether those who are not are told why."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from raftify.config import Config, TlsConfig
from raftify.core.types import ConfChangeV2, Message, MessageType
from raftify.errors import (
    CertificateRefused,
    ConfigError,
    NotPermitted,
    PeerRefused,
    PeerUnreachable,
    TransportError,
)
from raftify.peers import Peer, Peers
from raftify.transport import connect
from raftify.transport.credentials import channel_credentials, files_of
from raftify.transport.handshake import FROM_KEY, INCARNATION_KEY, peer_metadata
from raftify.transport.interface import RemoteNode
from raftify.transport.status import outcome_of, typed_error_in
from raftify.wire import eraftpb_pb2 as epb
from raftify.wire import raft_service_pb2 as pb
from tests.transport.certificates import DAY, HOST, Authority
from tests.transport.fakes import (
    CLUSTER,
    LOGGER,
    FakeNode,
    Machines,
    Running,
    files_in,
    handshake_of,
    message,
    snapshot_message,
)

NODE_NAME = "node-{node_id}.raft"
#: What only admins may call, where there are any.
ADMIN_CALLS: dict[str, Callable[[RemoteNode], Awaitable[object]]] = {
    "Initialize": lambda n: n.initialize(Peers({1: "127.0.0.1:1"}), timeout=20),
    "ChangeConfig": lambda n: n.change_config(ConfChangeV2(), timeout=20),
    "LeaveJoint": lambda n: n.leave_joint(timeout=20),
    "SetPeers": lambda n: n.set_peers([Peer(1, "127.0.0.1:1")], timeout=20),
    "TransferLeader": lambda n: n.transfer_leader(1, timeout=20),
    "CreateSnapshot": lambda n: n.create_snapshot(timeout=20),
    "ReadState": lambda n: n.read_state(timeout=20),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the cluster does not trust."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
async def one(machines: Machines, authority: Authority) -> Running:
    """A node of the cluster, with a certificate that names no node."""
    return await machines.start(1, config=Config(tls=authority.tls("node")))


@pytest.fixture(scope="module")
def both(authority: Authority, stranger: Authority) -> Path:
    """What to trust, of a stranger who trusts the cluster, which does not trust the stranger."""
    certificates = stranger.directory / "both.pem"
    certificates.write_bytes(stranger.ca_cert.read_bytes() + authority.ca_cert.read_bytes())
    return certificates


def named(authority: Authority, node_id: int, **settings: Any) -> TlsConfig:
    """Return the settings of a node whose certificate names it."""
    name = f"node-{node_id}.raft"
    return authority.tls(name, name, HOST, **{"node_name": NODE_NAME, **settings})


async def silence() -> AsyncIterator[bytes]:
    """A stream of requests that never come."""
    await asyncio.Event().wait()
    yield b""


async def ask(address: str, tls: TlsConfig | None, *, to_id: int = 0) -> int:
    """Make one call as a client with these settings."""
    remote = connect(address, Config(tls=tls), to_id=to_id)
    try:
        return await remote.read_index(timeout=20)
    finally:
        await remote.close()


async def refused(address: str, tls: TlsConfig | None, *, to_id: int = 0) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await ask(address, tls, to_id=to_id)
    return caught.value


class TestPeers:
    async def test_messages_and_snapshots_travel(
        self, machines: Machines, authority: Authority, tmp_path: Path
    ) -> None:
        config = Config(tls=authority.tls("node"))
        one = await machines.start(1, config=config)
        two = await machines.start(2, config=config)
        one.knows(two)
        two.node.directory = tmp_path
        one.node.snapshot_bytes = b"state" * 100_000

        one.transport.send([message(2, 1, index=7)])
        await two.node.until(lambda: two.node.received)
        one.transport.send([snapshot_message(2, 1, one.node.snapshot_bytes)])
        await one.node.until(lambda: one.node.snapshots)

        assert one.node.snapshots == [(2, True)]
        assert (tmp_path / "file10.snapshot").read_bytes() == one.node.snapshot_bytes

    async def test_nodes_call_each_other(self, machines: Machines, authority: Authority) -> None:
        one = await machines.start(1, config=Config(tls=named(authority, 1)))
        two = await machines.start(2, config=Config(tls=named(authority, 2)))
        assert await one.transport.connect(two.address, to_id=2).read_index(timeout=20) == 77

    async def test_a_node_of_another_authority_gets_nothing_through_and_says_why(
        self,
        one: Running,
        machines: Machines,
        stranger: Authority,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        two = await machines.start(2, config=Config(tls=stranger.tls("node")))
        with caplog.at_level(logging.WARNING, LOGGER.name):
            await told_of(two, one)
        assert "no trusted connection to node 1" in caplog.text
        assert "does not hold by ca_cert" in caplog.text
        assert one.node.received == []

    async def test_a_peer_that_does_not_take_our_certificate_is_no_peer_that_is_down(
        self,
        one: Running,
        machines: Machines,
        stranger: Authority,
        both: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        two = await machines.start(2, config=Config(tls=stranger.tls("node", ca_cert=both)))
        with caplog.at_level(logging.WARNING, LOGGER.name):
            await told_of(two, one)
        assert "no trusted connection to node 1" in caplog.text
        assert "a node does so that does not take our certificate" in caplog.text
        assert one.node.received == []

    async def test_a_complaint_of_tls_is_made_once_a_minute(
        self,
        one: Running,
        machines: Machines,
        stranger: Authority,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        two = await machines.start(2, config=Config(tls=stranger.tls("node")))
        with caplog.at_level(logging.INFO, LOGGER.name):
            await told_of(two, one, times=4)
        complaints = [r for r in caplog.records if "no trusted connection" in r.getMessage()]
        assert len(complaints) == 1


async def told_of(sender: Running, receiver: Running, *, times: int = 1) -> None:
    """Let `sender` try to reach `receiver` until it was told `times` times that it cannot."""
    sender.knows(receiver)
    sender.transport.send([message(receiver.node.node_id, sender.node.node_id)])
    await sender.node.until(lambda: len(sender.node.unreachable) >= times)


class TestClients:
    async def test_a_certificate_of_the_cluster_is_taken(
        self, one: Running, authority: Authority
    ) -> None:
        assert await ask(one.address, authority.tls("client", "client")) == 77

    async def test_without_tls_nobody_is_answered(self, one: Running) -> None:
        error = await refused(one.address, None)
        assert isinstance(error, PeerUnreachable)
        assert "takes only TLS: set tls" in str(error)

    async def test_with_tls_no_plain_node_is_believed(
        self, machines: Machines, authority: Authority
    ) -> None:
        one = await machines.start(1)
        error = await refused(one.address, authority.tls("client", "client"))
        assert isinstance(error, CertificateRefused)
        assert "speaks no TLS" in str(error)
        assert one.node.calls == []

    async def test_who_shows_no_certificate_is_refused(
        self, one: Running, authority: Authority
    ) -> None:
        bare = TlsConfig(ca_cert=authority.ca_cert, require_client_cert=False)
        error = await refused(one.address, bare)
        assert isinstance(error, PeerUnreachable)
        assert "a node that demands certificates does so, and this program shows none" in str(error)
        assert one.node.calls == []

    async def test_a_node_may_do_without_certificates_of_its_callers(
        self, machines: Machines, authority: Authority
    ) -> None:
        settings = authority.tls("node", require_client_cert=False)
        one = await machines.start(1, config=Config(tls=settings))
        bare = TlsConfig(ca_cert=authority.ca_cert, require_client_cert=False)
        assert await ask(one.address, bare) == 77

    async def test_a_certificate_of_another_authority_is_refused(
        self, one: Running, stranger: Authority, both: Path
    ) -> None:
        error = await refused(one.address, stranger.tls("client", "client", ca_cert=both))
        assert "a node does so that does not take our certificate" in str(error)
        assert one.node.calls == []

    async def test_a_node_of_another_authority_is_not_believed(
        self, machines: Machines, authority: Authority, stranger: Authority
    ) -> None:
        one = await machines.start(1, config=Config(tls=stranger.tls("node")))
        error = await refused(one.address, authority.tls("client", "client"))
        assert isinstance(error, CertificateRefused)
        assert f"does not hold by ca_cert {authority.ca_cert}" in str(error)
        assert one.node.calls == []


class TestDates:
    async def test_a_node_whose_certificate_has_expired_is_not_believed(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        authority = Authority(tmp_path)
        one = await machines.start(1, config=Config(tls=authority.tls("node")))
        replace_files(authority, "node", HOST, valid=-DAY)
        # What does not hold is not taken by a running node; so this one is made to.
        assert files_of(authority.tls("node")).current().version == 0
        take_regardless(authority.tls("node"))
        error = await refused(one.address, authority.tls("client", "client"))
        assert isinstance(error, CertificateRefused)
        assert "has expired" in str(error)

    async def test_a_caller_whose_certificate_has_expired_is_told_so(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        authority = Authority(tmp_path)
        one = await machines.start(1, config=Config(tls=authority.tls("node")))
        client = authority.tls("client", "client")
        remote = connect(one.address, Config(tls=client))
        replace_files(authority, "client", "client", valid=-DAY)
        with pytest.raises(PeerUnreachable, match=r"client\.pem .*: certificate has expired"):
            await remote.read_index(timeout=20)
        await remote.close()
        assert one.node.calls == []


def replace_files(authority: Authority, name: str, *names: str, **how: Any) -> None:
    """Replace a certificate, so that its files certainly look newer."""
    before = authority.cert(name).stat().st_mtime_ns
    authority.issue(name, *names, **how)
    os.utime(authority.cert(name), ns=(before + 10**9, before + 10**9))


def take_regardless(tls: TlsConfig) -> None:
    """Let running nodes take the files of `tls` as they are, as if they had held when read."""
    files = files_of(tls)
    files._pem = files._read(files.current().version + 1)


class TestNames:
    async def test_a_certificate_for_another_host_is_refused(
        self, machines: Machines, authority: Authority
    ) -> None:
        one = await machines.start(1, config=Config(tls=authority.tls("far", "far.example.org")))
        error = await refused(one.address, authority.tls("client", "client"))
        assert isinstance(error, CertificateRefused)
        assert "does not name the host by which it was called" in str(error)
        assert one.node.calls == []

    async def test_certificates_that_name_no_host_share_one_name(
        self, machines: Machines, authority: Authority
    ) -> None:
        settings = authority.tls("shared", "nodes.raft", server_name_override="nodes.raft")
        one = await machines.start(1, config=Config(tls=settings))
        client = authority.tls("client", "client", server_name_override="nodes.raft")
        assert await ask(one.address, client) == 77
        other = authority.tls("client", "client", server_name_override="others.raft")
        error = await refused(one.address, other)
        assert "does not name the DNS name 'others.raft'" in str(error)

    async def test_what_answers_at_the_address_of_a_node_must_be_that_node(
        self, machines: Machines, authority: Authority
    ) -> None:
        # It would answer as node 2, and its certificate is that of node 3.
        one = await machines.start(1, config=Config(tls=named(authority, 1)))
        impostor = await machines.start(2, config=Config(tls=named(authority, 3, node_name="")))
        with pytest.raises(CertificateRefused, match=r"does not name the DNS name 'node-2\.raft'"):
            await one.transport.connect(impostor.address, to_id=2).read_index(timeout=20)
        assert impostor.node.calls == []

    async def test_a_node_cannot_speak_for_another(
        self, machines: Machines, authority: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        one = await machines.start(1, config=Config(tls=named(authority, 1)))
        # Node 3 takes the id of node 2; its own settings do not stop it.
        forger = await machines.start(2, config=Config(tls=named(authority, 3, node_name="")))
        forger.knows(one)
        forger.transport.send([message(1, 2)])
        await forger.node.until(lambda: forger.node.refused)
        ((node_id, error),) = forger.node.refused
        assert (node_id, type(error)) == (1, CertificateRefused)
        assert "says it is node 2" in str(error)
        assert "node-2.raft" in str(error)
        assert one.node.received == []

    async def test_a_snapshot_of_another_is_refused(
        self, machines: Machines, authority: Authority, tmp_path: Path
    ) -> None:
        one = await machines.start(1, config=Config(tls=named(authority, 1)))
        one.node.directory = tmp_path
        forger = await machines.start(2, config=Config(tls=named(authority, 3, node_name="")))
        forger.knows(one)
        forger.node.snapshot_bytes = b"forged"
        forger.transport.send([snapshot_message(1, 2, b"forged")])
        await forger.node.until(lambda: forger.node.snapshots)
        assert forger.node.snapshots == [(1, False)]
        assert files_in(tmp_path) == []

    @pytest.mark.parametrize("call", ["send_message", "named"])
    async def test_single_calls_cannot_speak_for_another_either(
        self, machines: Machines, authority: Authority, call: str
    ) -> None:
        one = await machines.start(1, config=Config(tls=named(authority, 1)))
        client = Config(tls=authority.tls("client", "client"))
        if call == "send_message":
            remote = connect(one.address, client, cluster_id=CLUSTER)
            vote = Message(msg_type=MessageType.REQUEST_VOTE, to=1, from_=2, term=9)
            calling: Callable[[], Any] = lambda: remote.send_message(vote, timeout=20)  # noqa: E731
        else:
            forger = await machines.start(2, config=client)
            remote = forger.transport.connect(one.address, to_id=1)
            calling = lambda: remote.read_index(timeout=20)  # noqa: E731
        with pytest.raises(CertificateRefused, match="its DNS names are: client"):
            await calling()
        await remote.close()
        assert one.node.calls == []

    @pytest.mark.parametrize("name", ["Messages", "InstallSnapshot", "SendMessage"])
    @pytest.mark.parametrize("says", [1, 2, 7])
    async def test_a_client_may_not_do_what_peers_do(
        self, machines: Machines, authority: Authority, name: str, says: int
    ) -> None:
        """Whichever node it says it is: the one it calls, another, one that nobody knows."""
        one = await machines.start(1, config=Config(tls=named(authority, 1)))
        client = authority.tls("client", "client")
        fields: dict[str, Any] = {"from": says, "to": 1, "term": 9}
        spoken = pb.SendMessageRequest(message=epb.Message(**fields)).SerializeToString()
        alone = name == "SendMessage"
        metadata = peer_metadata(replace(handshake_of(says), to_id=1))
        async with grpc.aio.secure_channel(one.address, channel_credentials(client)) as channel:
            path = f"/raftify.RaftService/{name}"
            # A stream is refused before anything is sent in it: what is, would race the refusal.
            method: Any = channel.unary_unary(path) if alone else channel.stream_unary(path)
            call = method(spoken if alone else silence(), metadata=metadata, timeout=20)
            error = await outcome_of(call)
        assert error is not None
        refusal = typed_error_in(error)
        assert type(refusal) is CertificateRefused
        assert f"says it is node {says}" in str(refusal)
        assert f"'node-{says}.raft' of that node; its DNS names are: client" in str(refusal)
        assert not one.node.received
        assert not one.node.calls

    @pytest.mark.parametrize("name", ADMIN_CALLS)
    async def test_only_admins_and_nodes_change_the_cluster(
        self, machines: Machines, authority: Authority, name: str
    ) -> None:
        settings = named(authority, 1, admin_names=("Operator.Orders",))
        one = await machines.start(1, config=Config(tls=settings))
        call = ADMIN_CALLS[name]
        client = connect(one.address, Config(tls=authority.tls("starred", "client", "*.orders")))
        with pytest.raises(NotPermitted) as refused:
            await call(client)
        assert f"{name} is for nodes and for those" in str(refused.value)
        assert "admin_names (Operator.Orders)" in str(refused.value)
        assert "the caller's DNS names are: client, *.orders" in str(refused.value)
        assert one.node.calls == []
        assert await client.read_index(timeout=20) == 77
        await client.propose(b"x", timeout=20)
        await client.close()
        operator = authority.tls("operator", "operator", "operator.orders")
        admin = connect(one.address, Config(tls=operator))
        await call(admin)
        await admin.close()
        two = await machines.start(2, config=Config(tls=named(authority, 2)))
        await call(two.transport.connect(one.address, to_id=1))
        assert len(one.node.calls) == 3

    async def test_nobody_becomes_a_node_by_an_id_that_is_none(
        self, machines: Machines, authority: Authority
    ) -> None:
        settings = named(authority, 1, admin_names=("operator",))
        one = await machines.start(1, config=Config(tls=settings))
        client = authority.tls("client", "client")
        metadata = ((FROM_KEY, "0"), (INCARNATION_KEY, "x"))
        async with grpc.aio.secure_channel(one.address, channel_credentials(client)) as channel:
            method: Any = channel.unary_unary("/raftify.RaftService/LeaveJoint")
            error = await outcome_of(method(b"", metadata=metadata, timeout=20))
        assert error is not None
        assert type(typed_error_in(error)) is PeerRefused
        assert one.node.calls == []

    async def test_clients_need_no_name(self, machines: Machines, authority: Authority) -> None:
        one = await machines.start(1, config=Config(tls=named(authority, 1)))
        assert await ask(one.address, authority.tls("client", "client")) == 77

    async def test_a_node_with_the_certificate_of_another_does_not_start(
        self, machines: Machines, authority: Authority
    ) -> None:
        with pytest.raises(ConfigError, match=r"must have the DNS name 'node-2\.raft'"):
            await machines.start(2, config=Config(tls=named(authority, 3)))

    async def test_a_node_without_a_certificate_does_not_start(
        self, machines: Machines, authority: Authority
    ) -> None:
        bare = TlsConfig(ca_cert=authority.ca_cert, require_client_cert=False)
        with pytest.raises(ConfigError, match="a node needs cert and key"):
            await machines.start(1, config=Config(tls=bare))


class Persistent(FakeNode):
    """Does again what did not reach its peer."""

    again: Callable[[], None] = staticmethod(lambda: None)

    def report_unreachable(self, node_id: int) -> None:
        super().report_unreachable(node_id)
        # The transport empties the outbox before or after it says so.
        asyncio.get_running_loop().call_soon(self.again)


class TestReplacedFiles:
    async def test_new_connections_have_the_new_certificates(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        authority = Authority(tmp_path)
        one = await machines.start(1, config=Config(tls=authority.tls("node")))
        client = authority.tls("client", "client", server_name_override="new.raft")
        error = await refused(one.address, client)
        assert "does not name the DNS name 'new.raft'" in str(error)
        replace_files(authority, "node", "new.raft")
        assert await ask(one.address, client) == 77

    async def test_a_peer_that_was_refused_is_let_in_with_a_new_certificate(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        authority = Authority(tmp_path)
        named(authority, 2)
        one = await machines.start(1, config=Config(tls=named(authority, 1)))
        node = Persistent(2)
        two = await machines.start(
            2, config=Config(tls=named(authority, 3, node_name="")), node=node
        )
        node.again = lambda: two.transport.send([message(1, 2)])
        two.knows(one)
        node.again()
        await node.until(lambda: node.refused)
        replace_files(authority, "node-3.raft", "node-2.raft", HOST)
        # The stream's next attempt is over a connection of its own.
        await one.node.until(lambda: one.node.received)
        assert one.node.received[0].from_ == 2

    async def test_files_that_do_not_fit_are_not_taken(
        self, machines: Machines, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        authority = Authority(tmp_path)
        settings = authority.tls("node")
        one = await machines.start(1, config=Config(tls=settings))
        authority.issue("other", HOST)
        # As it is for a moment while files are replaced one after the other.
        authority.key("node").write_bytes(authority.key("other").read_bytes())
        client = authority.tls("client", "client")
        with caplog.at_level(logging.WARNING, "raftify.tls"):
            assert await ask(one.address, client) == 77
            assert await ask(one.address, client) == 77
        warnings = [r.getMessage() for r in caplog.records if r.name == "raftify.tls"]
        assert len(warnings) == 1
        assert "is not the key of cert" in warnings[0]
        authority.cert("node").write_bytes(authority.cert("other").read_bytes())
        assert await ask(one.address, client) == 77
        assert files_of(settings).current().version == 1

    async def test_files_that_are_gone_are_remembered(
        self, machines: Machines, tmp_path: Path
    ) -> None:
        authority = Authority(tmp_path)
        one = await machines.start(1, config=Config(tls=authority.tls("node")))
        client = authority.tls("client", "client")
        assert await ask(one.address, client) == 77
        authority.key("node").unlink()
        assert await ask(one.address, client) == 77


async def test_nothing_changes_for_who_sets_no_tls(machines: Machines) -> None:
    one = await machines.start(1, node=FakeNode(1), handshake=handshake_of(1))
    assert await ask(one.address, None) == 77
