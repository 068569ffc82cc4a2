"""Child processes that take commands as lines of JSON and never outlive their parent.

The parent holds the only writing end of a child's standard input. However the parent ends, SIGKILL
included, that pipe closes, and the child ends at once. A child has a session of its own, so that a
Ctrl-C at the terminal reaches the parent alone, which then decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# Before gRPC is loaded: its handlers for forks run in a child that is about to become another
# program, and now and then end it there without a word.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from raftify.errors import OutcomeUnknown, RaftifyError, Rejected

#: A child that lost its parent ends with this.
EXIT_ORPHANED = 3
#: Longest line: the answer to "show everything you hold".
LINE_BYTES = 256 << 20

TOP = Path(__file__).resolve().parent.parent

# A command's arguments and its answer are JSON values; their types are the two ends' own affair.
Handler = Callable[..., Awaitable[Any]]


def free_ports(count: int) -> list[int]:
    """Return ports on loopback that the kernel says are free."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


class ChildFailed(Exception):
    """A command failed in the child, or the child is gone.

    `kind` is the name of the exception there; `rejected` says that nothing happened,
    `outcome_unknown` that it may have.
    """

    def __init__(self, kind: str, message: str, *, rejected: bool, outcome_unknown: bool) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.rejected = rejected
        self.outcome_unknown = outcome_unknown


class Child:
    """The parent's end of one child process. Its standard error goes to a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read_answers())

    @classmethod
    async def spawn(
        cls, module: str, *arguments: str, log: Path, under: Sequence[str] = ()
    ) -> Self:
        """Start `python -m module arguments...` at the top of the checkout.

        `under` is a command that becomes the one given to it, such as `nsenter --net=...`.
        """
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *under, sys.executable, "-m", module, *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
                cwd=TOP, start_new_session=True, limit=LINE_BYTES,
            )  # fmt: skip
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it still listens; a child that stopped answering may take a moment to end."""
        return not self._reader.done()

    async def gone(self) -> None:
        """Return once it listens no more, however it came to its end."""
        await asyncio.wait({self._reader})

    async def call(self, command: str, *arguments: object, timeout: float = 60.0) -> Any:
        """Run `command` in the child and return its answer.

        Raises:
            ChildFailed: it failed there, the child is gone, or `timeout` seconds passed.
        """
        stdin = self._process.stdin
        if self._reader.done() or stdin is None or stdin.is_closing():
            raise self._gone()
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            stdin.write(json.dumps([number, command, arguments]).encode() + b"\n")
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise ChildFailed(
                "Timeout",
                f"{command} took over {timeout:g} s",
                rejected=False,
                outcome_unknown=True,
            ) from None
        finally:
            self._waiting.pop(number, None)

    async def kill(self) -> None:
        """End the process with SIGKILL, as a power cut would; harmless if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._ended()

    async def quit(self, timeout: float = 15.0) -> int:
        """Ask the child to end, kill it if it does not; return its exit code."""
        try:
            async with asyncio.timeout(timeout):
                with contextlib.suppress(ChildFailed):
                    await self.call("quit")
                return await self._ended()
        except TimeoutError:
            await self.kill()
            return await self._ended()

    async def _ended(self) -> int:
        code = await self._process.wait()
        await self._reader
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code

    async def _read_answers(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            number, answer, failure = json.loads(line)
            future = self._waiting.get(number)
            if future is None or future.done():
                continue
            if failure is None:
                future.set_result(answer)
            else:
                future.set_exception(ChildFailed(**failure))
        await self._process.wait()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(self._gone())

    def _gone(self) -> ChildFailed:
        code = self._process.returncode
        how = "has ended" if code is None else f"has ended with {code}"
        message = f"process {self.pid} {how}; see {self.log}"
        return ChildFailed("ChildGone", message, rejected=False, outcome_unknown=True)


class Children:
    """Every child that was started; leaving the context kills those that still run."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    async def spawn(
        self, module: str, *arguments: str, log: Path, under: Sequence[str] = ()
    ) -> Child:
        child = await Child.spawn(module, *arguments, log=log, under=under)
        self._children.append(child)
        return child

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            await child.kill()


async def serve_commands(handlers: Mapping[str, Handler]) -> None:
    """Answer the parent's commands, several at a time, until it sends `quit`."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    threading.Thread(target=_read_stdin, args=(loop, lines), daemon=True).start()
    async with asyncio.TaskGroup() as group:
        while True:
            number, command, arguments = json.loads(await lines.get())
            if command == "quit":
                break
            group.create_task(_answer(number, handlers[command], arguments))
    _write_answer(number, None, None)


def _read_stdin(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes]) -> None:
    # Not sys.stdin: its lock, held by a thread that waits, would abort a regular exit.
    rest = b""
    while block := os.read(0, 1 << 16):
        *complete, rest = (rest + block).split(b"\n")
        for line in complete:
            loop.call_soon_threadsafe(lines.put_nowait, line)
    # The parent is gone, and nothing that this process may still be doing matters to anyone.
    os._exit(EXIT_ORPHANED)


async def _answer(number: int, handler: Handler, arguments: list[Any]) -> None:
    try:
        answer = await handler(*arguments)
    except RaftifyError as error:
        failure = {
            "kind": type(error).__name__,
            "message": str(error),
            "rejected": isinstance(error, Rejected),
            "outcome_unknown": isinstance(error, OutcomeUnknown),
        }
        _write_answer(number, None, failure)
    else:
        _write_answer(number, answer, None)


def _write_answer(number: int, answer: object, failure: Mapping[str, object] | None) -> None:
    sys.stdout.buffer.write(json.dumps([number, answer, failure]).encode() + b"\n")
    sys.stdout.buffer.flush()
