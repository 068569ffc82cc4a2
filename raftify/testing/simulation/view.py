"""A simulated node as others see it: observers, and the scenario that calls its `Raft`."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from raftify.core.raft_core import RaftCore
from raftify.errors import NodeStopped
from raftify.testing.simulation.observer import DurableView
from raftify.testing.simulation.words import call_in_words, content_of, in_words

if TYPE_CHECKING:
    from raftify.testing.simulation.node import SimulatedNode


class View:
    """A NodeView: what observers see of a node."""

    def __init__(self, node: SimulatedNode) -> None:
        self._node = node
        self.applied = 0

    @property
    def id(self) -> int:
        return self._node.id

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def incarnation(self) -> int:
        return self._node.incarnation

    @property
    def running(self) -> bool:
        return self._node.running

    @property
    def raft(self) -> RaftCore | None:
        node = self._node
        return node.watched.core if node.process is not None and node.watched is not None else None

    @property
    def disk(self) -> DurableView:
        return self._node.storage.durable


class Door:
    """Looks like the node's `Raft`; its coroutines run in the node's process."""

    def __init__(self, node: SimulatedNode) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:
        node = self._node
        facade = node.facade
        if facade is None:
            raise NodeStopped(f"{node.name} was never started")
        value = getattr(facade, name)
        if not inspect.iscoroutinefunction(value):
            return value

        async def call(*args: Any, **kwargs: Any) -> Any:
            noted = node.cluster.note_call(node, call_in_words(name, args, kwargs))
            try:
                result = await node.call(lambda raft: getattr(raft, name)(*args, **kwargs))
            except (Exception, asyncio.CancelledError) as error:
                noted(type(error).__name__, str(error).encode())
                raise
            noted(in_words(result), content_of(result))
            return result

        return call
