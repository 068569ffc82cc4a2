"""The matching engine over real processes: its script with curl, and its client."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys

import pytest

from examples.children import TOP

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the script plays the cluster with curl")
async def test_the_cluster_script_runs_through() -> None:
    process = await asyncio.create_subprocess_exec(
        "bash", "examples/matchengine/test-cluster.sh",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=TOP,
        env={**os.environ, "PYTHON": sys.executable},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert b"all as it should be" in output
