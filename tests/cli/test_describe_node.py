"""`raftify-cli describe node` against a node behind real gRPC."""

from __future__ import annotations

import json

import pytest

from raftify.cli.main import EXIT_FINE, EXIT_NO_ANSWER
from tests.cli.running_program import Program
from tests.client.service_cluster import served_cluster

pytestmark = pytest.mark.slow


async def test_the_node_asked_is_the_one_shown_not_the_leader(program: Program) -> None:
    async with served_cluster() as cluster:
        address = cluster.nodes[2].address
        code, out, err = await program.cli("describe", "node", address, "--raw")
        assert (code, err) == (EXIT_FINE, "")
        assert json.loads(out) == {"node_id": 2, "role": "follower", "state_machine": "größe"}
        code, out, err = await program.cli("describe", "node", address)
        assert (code, err) == (EXIT_FINE, "")
        assert out.startswith("Node 2")
        assert "\x1b" not in out


async def test_a_node_of_another_cluster_is_refused(program: Program) -> None:
    async with served_cluster(1) as cluster:
        address = cluster.nodes[1].address
        code, out, err = await program.cli("describe", "node", address, "--cluster-id", "another")
        assert (code, out) == (EXIT_NO_ANSWER, "")
        assert err.startswith("raftify-cli: ")
        assert "loopback" in err
        assert err.count("\n") == 1
