"""The cluster of a golden script: nodes with their drivers, and messages under way, in the open.

Nothing moves by itself. A script says which node handles a Ready, which write becomes durable,
which entries are applied and which message is delivered or lost; each step is written to `out`.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from raftify.core.confchange_codec import decode_conf_change, decode_conf_change_v2
from raftify.core.config import RaftConfig
from raftify.core.describe import describe_conf_state
from raftify.core.describe_messages import describe_entry, describe_message, describe_ready
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import RawNode
from raftify.core.ready import LightReady, Ready
from raftify.core.types import Entry, EntryType, Message, MessageType
from raftify.errors import ConfChangeRejected, RaftifyError

_ROUNDS = 100


class FixedTimeouts(random.Random):
    """Draws the shortest election timeout plus the node's id: no script depends on luck."""

    def __init__(self, node_id: int) -> None:
        super().__init__(node_id)
        self._node_id = node_id

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """Return `start` plus the node's id, within the range."""
        assert stop is not None
        return min(start + self._node_id, stop - 1)


@dataclass(slots=True)
class Write:
    """A Ready being made durable: what waits for it, and the store as it will then be."""

    number: int
    messages: list[Message]
    store: MemoryStorage


@dataclass(slots=True)
class Work:
    """What is handed to the state machine: entries, or a snapshot's index."""

    entries: list[Entry]
    snapshot_index: int = 0


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """How a node's driver works.

    `asynchronous`: a Ready is durable only after process-append-thread. `apply_later`: what is
    committed is applied only by process-apply-thread.
    """

    asynchronous: bool = False
    apply_later: bool = False


class GoldenNode:
    """A RawNode and its driver. `durable` is what a crash leaves."""

    def __init__(
        self,
        settings: RaftConfig,
        storage: MemoryStorage,
        driver: DriverSettings,
        write: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.storage = storage
        self.durable = deepcopy(storage)
        self.driver = driver
        self.writes: deque[Write] = deque()
        self.works: deque[Work] = deque()
        self._write = write
        self.raw = RawNode(settings, storage, random=FixedTimeouts(settings.id))

    @property
    def id(self) -> int:
        """The node's id."""
        return self.settings.id

    def crash(self, applied: int) -> None:
        """Begin again from what is durable, with a state machine that has applied `applied`."""
        self.storage = deepcopy(self.durable)
        self.writes.clear()
        self.works.clear()
        settings = replace(self.settings, applied=applied)
        self.raw = RawNode(settings, self.storage, random=FixedTimeouts(self.id))

    # -- Ready ------------------------------------------------------------------------------

    def process_ready(self) -> list[Message]:
        """Do what one Ready asks for, and return the messages that may leave."""
        ready = self.raw.ready()
        self._show(f"node {self.id} {describe_ready(ready)}")
        self._store(ready)
        if self.driver.asynchronous:
            self.raw.advance_append_async(ready)
            write = Write(ready.number, ready.persisted_messages, deepcopy(self.storage))
            self.writes.append(write)
            self._apply_in_turn(ready)
            return ready.messages
        self.durable = deepcopy(self.storage)
        self._apply_in_turn(ready)
        light = self.raw.advance_append(ready)
        self._show_light(light)
        self._apply_in_turn(light)
        return [*ready.messages, *ready.persisted_messages, *light.messages]

    def _store(self, ready: Ready) -> None:
        if not ready.snapshot.is_empty():
            self.storage.apply_snapshot(ready.snapshot)
        self.storage.append(ready.entries)
        if ready.hs is not None:
            self.storage.set_hardstate(ready.hs)

    def process_append_thread(self) -> list[Message]:
        """Make the oldest write durable, and return the messages that waited for it."""
        write = self.writes.popleft()
        self.durable = write.store
        self._show(f"node {self.id} synced Ready {write.number}")
        for message in write.messages:
            self._show(f"  send {describe_message(message)}")
        self.raw.on_persist_ready(write.number)
        return write.messages

    def process_apply_thread(self) -> None:
        """Apply the oldest piece of work."""
        self._apply(self.works.popleft())

    def _apply_in_turn(self, ready: Ready | LightReady) -> None:
        if isinstance(ready, Ready) and not ready.snapshot.is_empty():
            self.works.append(Work([], ready.snapshot.metadata.index))
        if ready.committed_entries:
            self.works.append(Work(ready.committed_entries))
        if not self.driver.apply_later:
            while self.works:
                self.process_apply_thread()

    def _apply(self, work: Work) -> None:
        if work.snapshot_index:
            self.raw.advance_apply_to(work.snapshot_index)
            return
        for entry in work.entries:
            if entry.entry_type is not EntryType.NORMAL:
                self._apply_conf_change(entry)
        last = work.entries[-1].index
        hard_state = self.storage.initial_state().hard_state
        hard_state.commit = max(hard_state.commit, last)
        self.storage.set_hardstate(hard_state)
        if self.driver.apply_later:
            applied = ", ".join(map(describe_entry, work.entries))
            self._show(f"node {self.id} applied {applied}")
        self.raw.advance_apply_to(last)

    def _apply_conf_change(self, entry: Entry) -> None:
        try:
            if entry.entry_type is EntryType.CONF_CHANGE:
                conf_state = self.raw.apply_conf_change(decode_conf_change(entry.data))
            else:
                conf_state = self.raw.apply_conf_change(decode_conf_change_v2(entry.data))
        except ConfChangeRejected as error:
            self._show(f"node {self.id} refused to change: {error}")
            return
        self.storage.set_conf_state(conf_state)
        self._show(f"node {self.id} changed to {describe_conf_state(conf_state)}")

    # -- printing ---------------------------------------------------------------------------

    def _show(self, text: str) -> None:
        first, *rest = text.split("\n")
        self._write(first)
        for line in rest:
            self._write(f"  {line}")

    def _show_light(self, light: LightReady) -> None:
        if light == LightReady():
            return
        lines = [f"node {self.id} once synced"]
        if light.commit_index is not None:
            lines.append(f"commit {light.commit_index}")
        lines += [f"apply {describe_entry(entry)}" for entry in light.committed_entries]
        lines += [f"send {describe_message(message)}" for message in light.messages]
        self._show("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages under way are meant. An empty set means all.

    Chosen messages from or to one of `drop` are lost; with `keep` a copy stays under way.
    """

    to: frozenset[int] = frozenset()
    from_: frozenset[int] = frozenset()
    types: frozenset[MessageType] = frozenset()
    drop: frozenset[int] = frozenset()
    keep: bool = False

    def chosen(self, message: Message) -> bool:
        """Say whether `message` is meant."""
        return all(
            not wanted or value in wanted
            for wanted, value in (
                (self.to, message.to),
                (self.from_, message.from_),
                (self.types, message.msg_type),
            )
        )

    def lost(self, message: Message) -> bool:
        """Say whether `message` is lost if it is meant."""
        return message.from_ in self.drop or message.to in self.drop


class GoldenCluster:
    """Nodes and the messages between them. `out` is what the present command has printed."""

    def __init__(self) -> None:
        self.nodes: dict[int, GoldenNode] = {}
        self.wire: list[Message] = []
        self.out: list[str] = []

    def show(self, line: str) -> None:
        """Print a line."""
        self.out.append(line)

    def add(self, settings: RaftConfig, storage: MemoryStorage, driver: DriverSettings) -> None:
        """Start a node."""
        self.nodes[settings.id] = GoldenNode(settings, storage, driver, self.show)

    def attempt(self, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Do what a script asks for; a refusal is printed."""
        try:
            call(*args, **kwargs)
        except RaftifyError as error:
            self.show(f"{type(error).__name__}: {error}")

    def process_ready(self, node_id: int) -> None:
        """Handle one Ready of a node."""
        self.wire += self.nodes[node_id].process_ready()

    def process_append_thread(self, node_id: int) -> None:
        """Make one write of a node durable."""
        self.wire += self.nodes[node_id].process_append_thread()

    def deliver(self, selection: Selection) -> bool:
        """Deliver the chosen messages that are under way now; False if there are none."""
        chosen = [message for message in self.wire if selection.chosen(message)]
        if not selection.keep:
            self.wire = [message for message in self.wire if not selection.chosen(message)]
        for message in chosen:
            if selection.lost(message) or message.to not in self.nodes:
                self.show(f"lost {describe_message(message)}")
                continue
            self.show(f"deliver {describe_message(message)}")
            self.attempt(self.nodes[message.to].raw.step, deepcopy(message))
        return bool(chosen)

    def stabilize(self, among: Collection[int], drop: frozenset[int]) -> None:
        """Let the nodes `among` work until nothing is left to do."""
        selection = Selection(to=frozenset(among), drop=drop)
        for _ in range(_ROUNDS):
            busy = [self._work(node_id) for node_id in among]
            if not self.deliver(selection) and not any(busy):
                return
        raise AssertionError("the nodes do not come to rest")

    def _work(self, node_id: int) -> bool:
        node = self.nodes[node_id]
        busy = False
        while node.raw.has_ready() or node.writes or node.works:
            busy = True
            if node.raw.has_ready():
                self.process_ready(node_id)
            elif node.writes:
                self.process_append_thread(node_id)
            else:
                node.process_apply_thread()
        return busy
