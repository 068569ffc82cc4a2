"""`raftify-cli describe node` against a node behind real gRPC."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from raftify.cli.main import EXIT_FINE, EXIT_NO_ANSWER
from tests.client.service_cluster import served_cluster

pytestmark = pytest.mark.slow


async def run_cli(*arguments: str) -> tuple[int | None, str, str]:
    """Run the program as a process of its own: gRPC wants one event loop per process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "raftify.cli.main", "describe", "node"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_node_asked_is_the_one_shown_not_the_leader() -> None:
    async with served_cluster() as cluster:
        address = cluster.nodes[2].address
        code, out, err = await run_cli(address, "--raw")
        assert (code, err) == (EXIT_FINE, "")
        assert json.loads(out) == {"node_id": 2, "role": "follower", "state_machine": "größe"}
        code, out, err = await run_cli(address)
        assert (code, err) == (EXIT_FINE, "")
        assert out.startswith("Node 2")
        assert "\x1b" not in out


async def test_a_node_of_another_cluster_is_refused() -> None:
    async with served_cluster(1) as cluster:
        code, out, err = await run_cli(cluster.nodes[1].address, "--cluster-id", "another")
        assert (code, out) == (EXIT_NO_ANSWER, "")
        assert err.startswith("raftify-cli: ")
        assert "loopback" in err
        assert err.count("\n") == 1
