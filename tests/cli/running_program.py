"""`raftify-cli` as a process of its own: gRPC wants one event loop per process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from raftify.cli.main import EXIT_FINE, EXIT_NO_ANSWER

ROOT = Path(__file__).resolve().parents[2]


async def cli(*arguments: object) -> tuple[int | None, str, str]:
    """Run the program; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "raftify.cli.main", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def done(*arguments: object) -> Any:
    """Return what a command printed as JSON; it has to succeed without a word beside."""
    code, out, err = await cli(*arguments, "--json")
    assert (code, err) == (EXIT_FINE, "")
    return json.loads(out)


async def refused(*arguments: object) -> str:
    """Return why a command was refused, in one line."""
    code, out, err = await cli(*arguments)
    assert (code, out, err.count("\n")) == (EXIT_NO_ANSWER, "", 1)
    return err.removeprefix("raftify-cli: ")
