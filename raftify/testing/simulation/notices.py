"""What a simulated cluster hears of its nodes, and hands on to its trace and its observers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from raftify.core.types import Entry, Message, Role, Snapshot
from raftify.testing.simulation.loop import SimulatedLoop
from raftify.testing.simulation.observer import Observer
from raftify.testing.simulation.process import Process
from raftify.testing.simulation.trace import (
    Answered,
    Applied,
    Called,
    Committed,
    Ended,
    Fault,
    Restored,
    RoleChanged,
    Started,
    Trace,
    fingerprint,
)

if TYPE_CHECKING:
    from raftify.testing.simulation.node import SimulatedNode


class Notices:
    """Tells `trace` and `observers` what happens to nodes. What an observer raises ends the run."""

    def __init__(
        self, loop: SimulatedLoop, trace: Trace | None, observers: Iterable[Observer]
    ) -> None:
        self.loop = loop
        self.trace = Trace(keep=0) if trace is None else trace
        self.observers = list(observers)
        #: What was found wrong with ends of nodes: tasks that were left over.
        self.left_over: list[str] = []
        self._calls = 0
        self._seen: dict[str, tuple[Role, int, int]] = {}

    @property
    def now(self) -> float:
        """Return the virtual time in seconds; the simulation began at 0."""
        return self.loop.now

    def note(self, fault: str) -> None:
        """Put a fault into the trace."""
        self.trace.add(Fault(self.loop.now, fault))

    def note_call(self, node: SimulatedNode, what: str) -> Callable[[str, bytes], None]:
        """Note a call of the scenario; return what is to be called with its answer."""
        self._calls += 1
        number = self._calls
        self.trace.add(Called(self.now, node.name, number, what))

        def noted(what: str, content: bytes) -> None:
            self.trace.add(Answered(self.now, node.name, number, what, fingerprint(content)))

        return noted

    def watch_start(self, node: SimulatedNode) -> None:
        self.trace.add(Started(self.now, node.name, node.id, node.incarnation))
        self._seen.pop(node.name, None)
        self._tell(lambda observer: observer.on_start(node.view))

    def watch_end(self, node: SimulatedNode, how: str) -> None:
        self.trace.add(Ended(self.now, node.name, how))
        self._tell(lambda observer: observer.on_end(node.view, how))

    def watch_send(self, node: SimulatedNode, message: Message) -> None:
        for observer in self.observers:
            try:
                observer.on_send(node.view, message)
            except AssertionError as error:
                self.loop.fail(error)

    def watch_receive(self, node: SimulatedNode, message: Message) -> None:
        for observer in self.observers:
            try:
                observer.on_receive(node.view, message)
            except AssertionError as error:
                self.loop.fail(error)

    def watch_step(self, node: SimulatedNode) -> None:
        core = node.view.raft
        if core is None:
            return
        role, term, committed = self._seen.get(node.name, (None, 0, 0))
        if core.role is not role or core.term != term or core.raft_log.committed != committed:
            self._seen[node.name] = (core.role, core.term, core.raft_log.committed)
            if core.role is not role or core.term != term:
                name = core.role.name.lower()
                self.trace.add(RoleChanged(self.now, node.name, name, core.term))
            if core.raft_log.committed != committed:
                self.trace.add(Committed(self.now, node.name, core.raft_log.committed))
        for observer in self.observers:
            try:
                observer.on_step(node.view)
            except AssertionError as error:
                self.loop.fail(error)

    def watch_apply(
        self, node: SimulatedNode, entries: Sequence[Entry], results: Sequence[bytes]
    ) -> None:
        content = fingerprint(*(entry.data for entry in entries), *results)
        first, last = entries[0].index, entries[-1].index
        self.trace.add(Applied(self.now, node.name, first, last, content))
        self._tell(lambda observer: observer.on_apply(node.view, entries, results))

    def watch_restore(self, node: SimulatedNode, snapshot: Snapshot) -> None:
        index = snapshot.metadata.index
        # What describes the file, with its size and checksum.
        self.trace.add(Restored(self.now, node.name, index, fingerprint(snapshot.data)))
        self._tell(lambda observer: observer.on_restore(node.view, index))

    def check_left_over(self, node: SimulatedNode, process: Process) -> None:
        """Note what tasks a process left that ended by itself, but for the one that ends it, and
        for calls that somebody waits for still, with what these began: a client's, for one."""
        current = asyncio.current_task(self.loop)
        left = [task for task in self.loop.tasks_of(process) if task is not current]
        if any(task.get_name() == "call" for task in left):
            left = [task for task in left if not task.of_call]
        names = [task.get_name() for task in left]
        if names:
            self.left_over.append(f"{node.name} left tasks over: {', '.join(sorted(names))}")

    def _tell(self, call: Callable[[Observer], None]) -> None:
        # What an observer raises must not be taken for an error of the node that it watches.
        for observer in self.observers:
            try:
                call(observer)
            except AssertionError as error:
                self.loop.fail(error)
