"""The child of test_children: answers with what it was told, refuses, waits or fails."""

from __future__ import annotations

import asyncio

from examples.children import serve_commands
from raftify.errors import DeadlineExceeded, NoLeader


async def echo(text: str) -> str:
    return text


async def refuse() -> None:
    raise NoLeader("there is none")


async def lose() -> None:
    raise DeadlineExceeded("who knows")


async def wait() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise ZeroDivisionError("a bug")


if __name__ == "__main__":
    asyncio.run(
        serve_commands({"echo": echo, "refuse": refuse, "lose": lose, "wait": wait, "fail": fail})
    )
