"""Whole clusters under mutual TLS: who has a certificate of it takes part, others do not."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raftify import Config, Raft, TlsConfig, create_client
from raftify.cli.main import EXIT_FINE, EXIT_NO_ANSWER, EXIT_USAGE
from raftify.errors import CertificateRefused, NoLeader, NotPermitted, RaftifyError
from tests.cluster.local_cluster import LocalCluster, LocalNode, make_config
from tests.ports import free_address
from tests.transport.certificates import HOST, Authority

NODE_NAME = "node-{node_id}.raft"


class TlsCluster(LocalCluster):
    """A cluster each of whose nodes has a certificate that names it."""

    def __init__(self, directory: Path, authority: Authority, **settings: Any) -> None:
        super().__init__(directory, **settings)
        self.authority = authority

    def tls(self, node_id: int) -> TlsConfig:
        name = f"node-{node_id}.raft"
        return self.authority.tls(name, name, HOST, node_name=NODE_NAME)

    def start(
        self, node_id: int, address: str, log_dir: Path | None = None, **settings: Any
    ) -> LocalNode:
        return super().start(node_id, address, log_dir, **{"tls": self.tls(node_id), **settings})

    async def join(self, peer: LocalNode, address: str | None = None) -> LocalNode:
        address = address or free_address()
        client = make_config(tls=self.authority.tls("operator", "operator"))
        ticket = await Raft.request_id(address, peer.address, config=client)
        node = self.start(ticket.reserved_id, address)
        await node.raft.join_cluster([ticket])
        return node


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """An authority that the cluster does not trust."""
    return Authority(tmp_path / "stranger")


async def test_a_cluster_works_under_mutual_tls(tmp_path: Path, authority: Authority) -> None:
    async with TlsCluster(tmp_path, authority, snapshot_keep_entries=0) as cluster:
        founder = await cluster.found()
        for number in range(20):
            await founder.raft.propose(f"e{number}".encode())
        await founder.raft.make_snapshot()
        second = await cluster.join(founder)
        third = await cluster.join(founder)
        await third.raft.propose(b"forwarded")
        await second.raft.read_index()
        await cluster.settle()

        assert second.machine.order == founder.machine.order
        assert second.machine.restored == third.machine.restored == 1
        assert sorted(third.raft.get_peers()) == [1, 2, 3]

        await founder.raft.transfer_leader(2)
        await cluster.stop(founder)
        founder = cluster.restart(founder)
        await second.raft.propose(b"after the restart")
        await cluster.settle()
        assert founder.machine.counts["after the restart"] == 1


async def test_clients_and_tools_need_a_certificate(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    async with TlsCluster(tmp_path, authority) as cluster:
        founder = await cluster.grow_to(2)
        client_tls = authority.tls("client", "client")
        async with create_client(founder.address, config=Config(tls=client_tls)) as client:
            assert await client.propose(b"one") == b"one:1"
            assert len((await client.get_peers()).membership.peers) == 2
        async with create_client(founder.address, timeout=1) as client:
            with pytest.raises(NoLeader, match="takes only TLS: set tls"):
                await client.propose(b"two")
        foreign = Config(tls=stranger.tls("client", "client"))
        async with create_client(founder.address, config=foreign) as client:
            with pytest.raises(CertificateRefused, match="does not hold by ca_cert"):
                await client.propose(b"three")
        assert list(founder.machine.counts) == ["one"]
        days_left = founder.raft.metrics().certificate_days_left
        assert days_left is not None
        assert 29.9 < days_left < 30

        options = ("--ca-cert", authority.ca_cert, "--cert", client_tls.cert, "--key")
        code, out, err = await describe(founder, "--raw", *options, client_tls.key)
        assert (code, err) == (EXIT_FINE, "")
        assert json.loads(out)["node_id"] == 1
        code, out, err = await describe(founder)
        assert (code, out) == (EXIT_NO_ANSWER, "")
        assert "takes only TLS: set tls" in err
        code, out, err = await describe(founder, "--ca-cert", "nowhere.pem")
        assert (code, out) == (EXIT_USAGE, "")
        assert "cannot read ca_cert nowhere.pem: No such file" in err


async def test_where_there_are_admins_a_client_only_reads_and_writes(
    tmp_path: Path, authority: Authority
) -> None:
    """Nodes join, forward changes and leave as ever."""

    class Guarded(TlsCluster):
        def tls(self, node_id: int) -> TlsConfig:
            return replace(super().tls(node_id), admin_names=("operator",))

    async with Guarded(tmp_path, authority) as cluster:
        founder = await cluster.grow_to(3)
        client_tls = authority.tls("client", "client")
        async with create_client(founder.address, config=Config(tls=client_tls)) as client:
            assert await client.propose(b"one") == b"one:1"
            with pytest.raises(NotPermitted, match="ChangeConfig is for nodes"):
                await client.change_membership({1, 2})
            with pytest.raises(NotPermitted, match="TransferLeader is for nodes"):
                await client.transfer_leader(2)
        assert len(founder.raft.get_peers()) == 3
        # Asked of a follower, who asks the leader.
        await cluster.nodes[2].raft.change_membership({1, 2, 3})
        await cluster.nodes[2].raft.change_config(add_learners=[3])
        operator = Config(tls=authority.tls("operator", "operator"))
        async with create_client(founder.address, config=operator) as admin:
            assert (await admin.change_membership({1, 2, 3})).conf_state.voters == (1, 2, 3)
            assert (await admin.change_membership({1, 2})).conf_state.voters == (1, 2)
        await cluster.nodes[2].raft.leave()
        del cluster.nodes[2]


async def describe(node: LocalNode, *options: object) -> tuple[int | None, str, str]:
    """Run `raftify-cli describe node` as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "raftify.cli.main", "describe", "node", node.address),
        *(str(option) for option in options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_nobody_joins_without_a_certificate(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    async with TlsCluster(tmp_path, authority) as cluster:
        founder = await cluster.found()
        with pytest.raises(NoLeader, match="takes only TLS: set tls"):
            await Raft.request_id(free_address(), founder.address, timeout=1)
        foreign = Config(tls=stranger.tls("joiner"))
        with pytest.raises(CertificateRefused, match="does not hold by ca_cert"):
            await Raft.request_id(free_address(), founder.address, config=foreign)
        assert sorted(founder.raft.get_peers()) == [1]


async def test_a_member_under_a_foreign_certificate_is_out_until_it_has_its_own(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    async with TlsCluster(tmp_path, authority) as cluster:
        founder = await cluster.grow_to(3)
        third = cluster.nodes[3]
        await cluster.settle()
        await cluster.stop(third)
        foreign = stranger.tls("node-3.raft", "node-3.raft", HOST, node_name=NODE_NAME)
        third = cluster.start(3, third.address, third.log_dir, tls=foreign)
        await founder.raft.propose(b"without the third")
        with pytest.raises(RaftifyError):
            await third.raft.read_index(timeout=2)
        assert not third.machine.counts["without the third"]

        await cluster.stop(third)
        third = cluster.restart(third)
        await third.raft.read_index()
        assert third.machine.counts["without the third"] == 1


async def test_a_member_with_the_certificate_of_another_is_refused(
    tmp_path: Path, authority: Authority
) -> None:
    async with TlsCluster(tmp_path, authority) as cluster:
        founder = await cluster.grow_to(3)
        third = cluster.nodes[3]
        await cluster.settle()
        await cluster.stop(third)
        # Its own settings demand no names, so that nothing stops it but the others.
        stolen = authority.tls("node-2.raft", node_name="")
        third = cluster.start(3, third.address, third.log_dir, tls=stolen)
        await founder.raft.propose(b"without the third")
        with pytest.raises(RaftifyError):
            await third.raft.propose(b"by the third", timeout=2)
        await cluster.nodes[2].raft.read_index()
        assert not founder.machine.counts["by the third"]
