"""Changes of the membership that are asked for again and again while another is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random

from raftify.errors import PendingConfChange
from raftify.testing.storm.scene import Scene

#: How long, and how often, somebody asks again whose change has to wait for another, in seconds.
_IMPATIENT, _ASK_AGAIN = 1.0, 0.02


async def again_while_pending(scene: Scene, change: Callable[[], Awaitable[None]]) -> None:
    """Make `change`, and ask again for a while as long as another one is under way.

    Raises:
        PendingConfChange: it is still.
    """
    until = scene.now + _IMPATIENT
    while True:
        try:
            return await change()
        except PendingConfChange:
            if scene.now > until:
                raise
            scene.reach("a change had to wait for another")
            await asyncio.sleep(_ASK_AGAIN)


@contextmanager
def perhaps_a_slow_leader(scene: Scene, random: Random) -> Iterator[None]:
    """Let the disk of the leader be slow, in half of all cases: the others then have what it
    commits long before it has that itself, and may put it into force."""
    slow = scene.a_leader() if random.random() < 0.5 else None
    if slow is None:
        yield
        return
    slow.disk_pace = random.choice([0.05, 0.2])
    try:
        yield
    finally:
        slow.disk_pace = 0.001
