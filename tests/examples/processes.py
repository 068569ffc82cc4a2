"""Programs of this checkout as processes, and a look at whether any of theirs is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from examples.children import TOP

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc"
)


@asynccontextmanager
async def program(
    *arguments: str, cwd: Path = TOP, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python arguments...`; it is killed if it still runs at the end.

    What is given by name goes into its environment.
    """
    # Where the tests were started in the background SIGINT is ignored, and a child would inherit
    # that; a signal that is handled here has its default action there.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=cwd,
            env={**os.environ, "COLUMNS": "120", **environment},
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.communicate()


def processes_of(directory: Path) -> list[int]:
    """Return the ids of all processes that were told of `directory` on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if os.fsencode(directory) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def names_in(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


async def ended(pids: list[int], *, timeout: float) -> None:
    """Wait until none of the processes, which are no children of ours, runs any more."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            gone = asyncio.Event()
            loop.add_reader(descriptor, gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
