"""The real node, with a look at what goes into its core and its state machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

from raftify.core.config import RaftConfig
from raftify.core.raft_core import RaftCore
from raftify.core.raw_node import RawNode
from raftify.core.ready import Ready
from raftify.core.types import Entry, Message, MessageType, RaftState, Snapshot
from raftify.node.core_storage import CoreStorage
from raftify.node.feedback import Feedback
from raftify.node.raft_node import RaftNode
from raftify.state_machine import Machine_co
from raftify.testing.simulation.loop import SimulatedLoop
from raftify.testing.simulation.observer import InvariantViolation


class Owner(Protocol):
    """Who is told."""

    def before_read(self) -> None: ...
    def watch_receive(self, message: Message) -> None: ...
    def watch_step(self) -> None: ...
    def watch_apply(self, entries: Sequence[Entry], results: Sequence[bytes]) -> None: ...
    def watch_restore(self, snapshot: Snapshot) -> None: ...


class WatchedFeedback(Feedback):
    """Tells the node's owner what the state machine got."""

    def __init__(self, owner: Owner, **parts: Any) -> None:
        self._owner = owner
        super().__init__(**parts)

    def on_applied(self, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        self._owner.watch_apply(entries, results)
        super().on_applied(entries, results)

    def on_restored(self, snapshot: Snapshot) -> None:
        self._owner.watch_restore(snapshot)
        super().on_restored(snapshot)


class InterruptedStorage:
    """The core's storage, read while a thread writes: what it writes may come between any two reads
    of one step. Reads of those who watch see what there is, and move nothing."""

    def __init__(self, storage: CoreStorage, before_read: Callable[[], None]) -> None:
        self._storage = storage
        self._before_read = before_read
        #: Whether the core is at work.
        self.in_step = False

    def initial_state(self) -> RaftState:
        return self._storage.initial_state()

    def entries(self, low: int, high: int, max_size_bytes: int | None = None) -> list[Entry]:
        return self._now().entries(low, high, max_size_bytes)

    def term(self, index: int) -> int:
        return self._now().term(index)

    def first_index(self) -> int:
        return self._now().first_index()

    def last_index(self) -> int:
        return self._now().last_index()

    def snapshot(self, request_index: int, to: int) -> Snapshot:
        return self._now().snapshot(request_index, to)

    def _now(self) -> CoreStorage:
        if self.in_step:
            self._before_read()
        return self._storage


class WatchedRaw(RawNode):
    """Tells the node's owner of each message: a turn takes many of them. A read that is asked here
    is one, too, and its answer is shown before it is handed out."""

    def __init__(
        self, owner: Owner, config: RaftConfig, storage: CoreStorage, random: Random
    ) -> None:
        self._owner = owner
        self._storage = InterruptedStorage(storage, owner.before_read)
        super().__init__(config, self._storage, random=random)

    def step(self, message: Message) -> None:
        self._owner.watch_receive(message)
        self._storage.in_step = True
        try:
            super().step(message)
        finally:
            self._storage.in_step = False
        self._owner.watch_step()

    def read_index(self, request_ctx: bytes) -> None:
        asked = Message(MessageType.READ_INDEX, to=self.raft.id, entries=[Entry(data=request_ctx)])
        self._owner.watch_receive(asked)
        super().read_index(request_ctx)
        self._owner.watch_step()

    def ready(self) -> Ready:
        if self.raft.read_states:
            self._owner.watch_step()
        ready = super().ready()
        # The stores that there are sync whatever they write; one of a user's own need not.
        if (ready.entries or not ready.snapshot.is_empty()) and not ready.must_sync:
            what = f"node {self.raft.id} hands out entries or a snapshot that need no sync"
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SimulatedLoop)
            loop.fail(InvariantViolation("SyncsItsLog", "Ready, point 2", what))
        return ready


class WatchedNode(RaftNode[Machine_co]):
    """The real node, which tells its cluster what its core and its state machine got."""

    def __init__(self, owner: Owner, **parts: Any) -> None:
        self._owner = owner
        super().__init__(**parts)

    @property
    def core(self) -> RaftCore:
        return self._raw.raft

    def write_hangs_for(self) -> float:
        return self._persister.stalled_for(asyncio.get_running_loop().time())

    def silence_of(self, node_id: int) -> float | None:
        return self._core.contacts.silent_for(node_id, asyncio.get_running_loop().time())

    def _make_feedback(self, **parts: Any) -> Feedback:
        return WatchedFeedback(self._owner, **parts)

    def _make_raw(self, core_storage: CoreStorage, random: Random) -> RawNode:
        return WatchedRaw(self._owner, self._settings_of_core(), core_storage, random)
