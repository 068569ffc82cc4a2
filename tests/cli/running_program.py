"""`raftify-cli` in a process of its own, which stays for many commands: gRPC wants one event loop
in a process at a time, and each start costs a second."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from raftify.cli.main import EXIT_FINE, EXIT_NO_ANSWER, main

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """Runs commands one after the other, each as if it were the only one."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-m", __name__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        if kind is not None:
            process.kill()
        await process.wait()

    async def cli(self, *arguments: object) -> tuple[int, str, str]:
        """Run one command; return its exit code and what it said."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([*map(str, arguments)]).encode() + b"\n")
        code, out, err = json.loads(await process.stdout.readline())
        return code, out, err

    async def done(self, *arguments: object) -> Any:
        """Return what a command printed as JSON; it has to succeed without a word beside."""
        code, out, err = await self.cli(*arguments, "--json")
        assert (code, err) == (EXIT_FINE, "")
        return json.loads(out)

    async def refused(self, *arguments: object) -> str:
        """Return why a command was refused, in one line."""
        code, out, err = await self.cli(*arguments)
        assert (code, out, err.count("\n")) == (EXIT_NO_ANSWER, "", 1)
        return err.removeprefix("raftify-cli: ")


def serve() -> None:
    """Run the commands that come as lines of JSON, and answer each with a line."""
    for line in sys.stdin:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(json.loads(line))
        sys.stdout.write(json.dumps([code, *map(_written, (out, err))]) + "\n")
        sys.stdout.flush()


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


if __name__ == "__main__":
    serve()
