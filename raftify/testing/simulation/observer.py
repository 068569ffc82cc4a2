"""What watches a simulation: what it sees of a node, and the moments at which it is called.

Invariants, traces and statistics are observers. They look and never touch: an observer that changed
something, or drew from the seed, would change the run that it watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raftify.core.raft_core import RaftCore
from raftify.core.types import Entry, HardState, Message
from raftify.peers import Membership


class InvariantViolation(AssertionError):
    """Something that must always hold did not: a simulation that sees one ends with it.

    Args:
        name: which invariant, as its class is called.
        cites: where the paper or thesis promises it.
        what: what was seen instead, with the nodes, terms and indexes that show it.
    """

    def __init__(self, name: str, cites: str, what: str) -> None:
        super().__init__(f"{name} ({cites}): {what}")
        self.name = name
        self.cites = cites
        self.what = what


class DurableView(Protocol):
    """What a disk would still hold if the machine lost power now. Cheap; never raises."""

    @property
    def hard_state(self) -> HardState:
        """Return term, vote and commit index: the same object until something is written."""
        ...

    @property
    def first_index(self) -> int: ...

    @property
    def last_index(self) -> int: ...

    @property
    def snapshot_index(self) -> int: ...

    @property
    def membership(self) -> Membership:
        """Return the membership that a node that starts on this disk would know."""
        ...

    def term(self, index: int) -> int | None:
        """Return the term of the entry at `index`; None if it is not there."""
        ...


class NodeView(Protocol):
    """One node as an observer sees it; to be read only."""

    @property
    def id(self) -> int:
        """Return the node's Raft id."""
        ...

    @property
    def incarnation(self) -> int:
        """Return how many processes have been started on this node's disk, this one included."""
        ...

    @property
    def running(self) -> bool: ...

    @property
    def raft(self) -> RaftCore | None:
        """Return the live core; None while the node does not run."""
        ...

    @property
    def applied(self) -> int:
        """Return the index of the last entry that the user's state machine got."""
        ...

    @property
    def disk(self) -> DurableView: ...


class Observer:
    """Called at every step of a simulation; each method does nothing unless it is overridden.

    Raise InvariantViolation to end the simulation.
    """

    def on_start(self, node: NodeView) -> None:
        """A process of `node` was started, and its core is there."""

    def on_end(self, node: NodeView, how: str) -> None:
        """The process ended; `how` is "crash", "stop", or the name of the error it ended with."""

    def on_step(self, node: NodeView) -> None:
        """Something may have changed in what the core, the log or the applier of `node` hold.

        Called after each message that the core takes in, and at the end of each of its turns.
        """

    def on_receive(self, node: NodeView, message: Message) -> None:
        """The core of `node` takes `message` in; it has not yet. `on_step` follows.

        A read that is asked of the core is a READ_INDEX from node 0.
        """

    def on_send(self, node: NodeView, message: Message) -> None:
        """`message` leaves `node` now; the network has not touched it yet."""

    def on_apply(self, node: NodeView, entries: Sequence[Entry], results: Sequence[bytes]) -> None:
        """The state machine of `node` got `entries` and returned `results`."""

    def on_restore(self, node: NodeView, index: int) -> None:
        """The state of `node` was replaced by a snapshot that ends at `index`."""
