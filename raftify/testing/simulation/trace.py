"""What happened in a simulation, event by event, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at `time`, in seconds of virtual time."""

    kind: ClassVar[str] = "event"

    time: float

    def text(self) -> str:
        """Return the event as one line."""
        values = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name != "time"]
        return f"{self.time:12.6f}  {self.kind:<9} {' '.join(values)}"


@dataclass(frozen=True, slots=True)
class Started(Event):
    """A process was started on a node's disk."""

    kind: ClassVar[str] = "start"
    node: str
    node_id: int
    incarnation: int


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """A process ended: "crash", "stop", or the name of the error it ended with."""

    kind: ClassVar[str] = "end"
    node: str
    how: str


@dataclass(frozen=True, slots=True)
class RoleChanged(Event):
    """A node became follower, candidate or leader, or went to another term."""

    kind: ClassVar[str] = "role"
    node: str
    role: str
    term: int


@dataclass(frozen=True, slots=True)
class Committed(Event):
    """A node learned that everything up to `index` is committed."""

    kind: ClassVar[str] = "commit"
    node: str
    index: int


@dataclass(frozen=True, slots=True)
class Applied(Event):
    """A state machine got the entries from `first` to `last`."""

    kind: ClassVar[str] = "apply"
    node: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Restored(Event):
    """A state machine was replaced by a snapshot that ends at `index`."""

    kind: ClassVar[str] = "restore"
    node: str
    index: int


@dataclass(frozen=True, slots=True)
class Sent(Event):
    """A message left its node. `packet` numbers what travels together."""

    kind: ClassVar[str] = "send"
    source: str
    target: str
    packet: int
    what: str


@dataclass(frozen=True, slots=True)
class Delivered(Event):
    """A packet arrived, `late` seconds after it was sent."""

    kind: ClassVar[str] = "deliver"
    source: str
    target: str
    packet: int


@dataclass(frozen=True, slots=True)
class Dropped(Event):
    """A packet did not arrive, or was refused; `why` says so."""

    kind: ClassVar[str] = "drop"
    source: str
    target: str
    packet: int
    why: str


@dataclass(frozen=True, slots=True)
class Fault(Event):
    """Somebody did something to a node or to the network."""

    kind: ClassVar[str] = "fault"
    what: str


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
        self._hash.update(repr(event).encode())
        self._events.append(event)
        if self._keep is not None and len(self._events) > 2 * self._keep:
            del self._events[: -self._keep]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def digest(self) -> str:
        """Return a hash of everything that happened: two runs with the same are the same run."""
        return self._hash.hexdigest()

    def text(self) -> str:
        """Return the events that were kept, a line each."""
        return "".join(f"{event.text()}\n" for event in self._events)
