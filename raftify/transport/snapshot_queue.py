"""Which snapshot goes to whom next: to every peer one at a time, to several peers at once."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from random import Random
from typing import Final

from raftify.core.types import Message
from raftify.transport.status import settle

#: Seconds between a failure and the next snapshot to the same peer.
_PAUSE_AFTER_FAILURE: Final = (0.3, 0.6)


class SnapshotQueue(ABC):
    """Decides what is sent when; how, a transport adds.

    Every message that is offered is reported, however it ends, until `close`.
    """

    def __init__(self, source: Random) -> None:
        self._source = source
        self.addresses: Mapping[int, str] = {}
        self._queued: dict[int, Message] = {}
        self._sending: dict[int, Message] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._closed = False

    @abstractmethod
    async def _send(self, peer_id: int, message: Message) -> bool:
        """Send one snapshot; return whether it arrived."""

    @abstractmethod
    def _report(self, peer_id: int, *, success: bool) -> None:
        """Tell the node how it ended."""

    def update_addresses(self, addresses: Mapping[int, str]) -> None:
        """Set who is where. What is under way to a peer that is gone, ends."""
        for node_id, address in self.addresses.items():
            if addresses.get(node_id) != address and node_id in self._tasks:
                self._tasks[node_id].cancel()
        self.addresses = dict(addresses)

    def offer(self, message: Message) -> None:
        """Send a MsgSnapshot; one that waits for the same peer already gives way to it.

        If the same one is under way already, nothing happens.
        """
        peer_id = message.to
        if peer_id not in self.addresses:
            self._report(peer_id, success=False)
            return
        if _same(self._sending.get(peer_id), message):
            return
        self._queued[peer_id] = message
        if peer_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(
                self._empty(peer_id), name=f"raftify-snapshot-to-{peer_id}"
            )
            self._tasks[peer_id] = task
            task.add_done_callback(lambda _: self._on_done(peer_id))

    async def close(self) -> None:
        """End what is under way; nothing is reported any more."""
        self._closed = True
        self._queued.clear()
        await settle(*self._tasks.values())

    async def _empty(self, peer_id: int) -> None:
        while (message := self._queued.pop(peer_id, None)) is not None:
            self._sending[peer_id] = message
            success = await self._send(peer_id, message)
            del self._sending[peer_id]
            self._report(peer_id, success=success)
            if not success:
                await asyncio.sleep(self._source.uniform(*_PAUSE_AFTER_FAILURE))

    def _on_done(self, peer_id: int) -> None:
        self._tasks.pop(peer_id, None)
        left = self._queued.pop(peer_id, None)
        cut_off = self._sending.pop(peer_id, None)
        if self._closed:
            return
        if left is not None and peer_id in self.addresses:
            self.offer(left)
        elif cut_off is not None or left is not None:
            self._report(peer_id, success=False)


def _same(known: Message | None, message: Message) -> bool:
    return known is not None and (known.term, known.snapshot) == (message.term, message.snapshot)
