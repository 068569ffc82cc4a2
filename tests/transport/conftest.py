from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.transport.fakes import Machines


@pytest.fixture
async def machines() -> AsyncIterator[Machines]:
    running = Machines()
    yield running
    await running.stop()
