"""What happened in a simulation, event by event, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple, TypeAlias


class Started(NamedTuple):
    """A process was started on a node's disk."""

    time: float
    node: str
    node_id: int
    incarnation: int


class Ended(NamedTuple):
    """A process ended: "crash", "stop", or the name of the error it ended with."""

    time: float
    node: str
    how: str


class RoleChanged(NamedTuple):
    """A node became follower, candidate or leader, or went to another term."""

    time: float
    node: str
    role: str
    term: int


class Committed(NamedTuple):
    """A node learned that everything up to `last` is committed."""

    time: float
    node: str
    last: int


class Applied(NamedTuple):
    """A state machine got the entries from `first` to `last`."""

    time: float
    node: str
    first: int
    last: int


class Restored(NamedTuple):
    """A state machine was replaced by a snapshot that ends at `last`."""

    time: float
    node: str
    last: int


class Sent(NamedTuple):
    """A packet left its node: `what` is in it, `number` is its own in this run."""

    time: float
    source: str
    target: str
    number: int
    what: str


class Delivered(NamedTuple):
    """A packet arrived; one that was duplicated does so twice."""

    time: float
    source: str
    target: str
    number: int


class Dropped(NamedTuple):
    """A packet did not arrive, or was refused; `why` says so."""

    time: float
    source: str
    target: str
    number: int
    why: str


class Fault(NamedTuple):
    """Somebody did something to a node or to the network."""

    time: float
    what: str


#: Whatever can happen; all times are virtual, in seconds.
Event: TypeAlias = (
    Started
    | Ended
    | RoleChanged
    | Committed
    | Applied
    | Restored
    | Sent
    | Delivered
    | Dropped
    | Fault
)


class Trace:
    """The events of one run.

    The digest covers all of them, from the first. Of the events themselves the last `keep` are
    kept; None for all of them.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._events: list[Event] = []
        self._keep = keep
        self._hash = sha256()
        self.count = 0

    def add(self, event: Event) -> None:
        """Append `event`."""
        self.count += 1
        # The tuple's own form: the one with names takes four times as long.
        self._hash.update(tuple.__repr__(event).encode())
        if self._keep == 0:
            return
        self._events.append(event)
        if self._keep is not None and len(self._events) >= 2 * self._keep + 1000:
            del self._events[: len(self._events) - self._keep]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events())

    def events(self) -> list[Event]:
        """Return what is kept."""
        if self._keep is None:
            return list(self._events)
        return self._events[max(len(self._events) - self._keep, 0) :]

    def digest(self) -> str:
        """Return a hash of everything that happened: two runs with the same are the same run."""
        return self._hash.hexdigest()

    def text(self) -> str:
        """Return the events that were kept, a line each."""
        return "".join(f"{text_of(event)}\n" for event in self)


def text_of(event: Event) -> str:
    """Return an event as one line."""
    time = f"{event.time:12.6f}"
    match event:
        case Started(_, node, node_id, incarnation):
            return f"{time}  {node:<8} starts as node {node_id}, process {incarnation}"
        case Ended(_, node, how):
            return f"{time}  {node:<8} ends: {how}"
        case RoleChanged(_, node, role, term):
            return f"{time}  {node:<8} is {role} in term {term}"
        case Committed(_, node, last):
            return f"{time}  {node:<8} commit is {last}"
        case Applied(_, node, first, last):
            return f"{time}  {node:<8} applies {first} to {last}"
        case Restored(_, node, last):
            return f"{time}  {node:<8} restores the snapshot of {last}"
        case Sent(_, source, target, number, what):
            return f"{time}  {source} -> {target}  #{number} {what}"
        case Delivered(_, source, target, number):
            return f"{time}  {source} -> {target}  #{number} arrives"
        case Dropped(_, source, target, number, why):
            return f"{time}  {source} -> {target}  #{number} lost: {why}"
        case Fault(_, what):
            return f"{time}  FAULT    {what}"
