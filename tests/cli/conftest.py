from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.cli.running_program import Program


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port nobody listens at: bound for the length of the test, and never listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    """`raftify-cli` in a process of its own."""
    async with Program() as running:
        yield running
