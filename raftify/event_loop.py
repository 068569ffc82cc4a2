"""The event loop to run a node on: uvloop where it is installed, asyncio's own elsewhere."""

from __future__ import annotations

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop, for `asyncio.Runner(loop_factory=raftify.new_event_loop)`.

    uvloop comes with the extra `fast`; it carries more writes per second (see `make bench`).
    """
    try:
        import uvloop  # noqa: PLC0415 - an extra: absent unless it was asked for
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
