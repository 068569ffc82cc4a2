"""The scripts that play the examples with curl: they run through and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from examples.children import TOP
from tests.examples.processes import names_in

SCRIPTS = sorted((TOP / "examples").glob("*/test-cluster.sh"))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None, reason="needs bash and curl"
)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.parent.name)
async def test_a_script_runs_through(script: Path, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "bash", str(script), cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()  # it ends its nodes then
            await process.wait()
    assert process.returncode == 0, output.decode()
    assert b"all as it should be" in output
    assert names_in(tmp_path) == []


def test_every_example_of_a_cluster_has_one() -> None:
    assert [script.parent.name for script in SCRIPTS] == ["kvstore", "matchengine", "memstore"]
