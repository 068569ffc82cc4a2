from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.transport.fakes import Machines


@pytest.fixture
async def machines() -> AsyncIterator[Machines]:
    running = Machines()
    yield running
    await running.stop()


@pytest.fixture
def silent_address() -> Iterator[str]:
    """An address where the kernel accepts connections and nobody ever says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
