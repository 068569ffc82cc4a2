"""A program that fails beside its node shows its own error, and ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_address

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio
from raftify import Config, MemStorage, Raft
from tests.cluster.machines import Tally

async def main():
    raft = Raft.bootstrap(1, {address!r}, MemStorage.create(), Tally(), Config(tick_interval=0.05))
    task = asyncio.create_task(raft.run())
    await raft.propose(b"a")
    raise RuntimeError("a bug of the user's own")

asyncio.run(main())
"""


@pytest.mark.slow
def test_an_error_of_the_program_itself_is_shown() -> None:
    """`asyncio.run` then cancels all tasks, those of grpc.aio's server among them.

    On CPython 3.11, stopping that server crashed the interpreter.
    """
    program = PROGRAM.format(address=free_address())
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert "RuntimeError: a bug of the user's own" in ended.stderr
    assert ended.returncode == 1
