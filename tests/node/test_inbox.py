"""The door to the core: what is dropped from it stays out."""

from __future__ import annotations

import asyncio

from raftify.core.types import Message, MessageType
from raftify.node.inbox import Inbox


async def test_forgotten_messages_are_those_that_wait_for_space_as_well() -> None:
    inbox = Inbox(limit=1)
    first, second, third = (
        Message(MessageType.HEARTBEAT, to=1, from_=i, term=1) for i in (2, 3, 4)
    )
    await inbox.put_messages([first])
    waiting = asyncio.create_task(inbox.put_messages([second]))
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.forget_messages()
    await waiting
    assert list(inbox.messages) == []
    await inbox.put_messages([third])
    assert list(inbox.messages) == [third]
