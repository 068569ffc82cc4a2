"""What happened in a simulation, event by event, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b, sha256
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
    """A state machine got the entries from `first` to `last`; `content` is of them and of what it
    answered."""

    time: float
    node: str
    first: int
    last: int
    content: str


class Restored(NamedTuple):
    """A state machine was replaced by a snapshot that ends at `last`."""

    time: float
    node: str
    last: int
    content: str


class Kept(NamedTuple):
    """A disk took something: `what`, and the fingerprint of the bytes."""

    time: float
    node: str
    what: str
    content: str


class Sent(NamedTuple):
    """A packet left its node: `what` is in it, `number` is its own in this run."""

    time: float
    source: str
    target: str
    number: int
    what: str
    content: str


class Delivered(NamedTuple):
    """A packet arrived; `how` is not empty if it did "again", as a duplicate, or "damaged"."""

    time: float
    source: str
    target: str
    number: int
    how: str


class Called(NamedTuple):
    """The scenario called the `Raft` of a node; `number` is the call's own in this run."""

    time: float
    node: str
    number: int
    what: str


class Answered(NamedTuple):
    """A call of the scenario was answered, or raised; `content` is of the answer."""

    time: float
    node: str
    number: int
    what: str
    content: str


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


class Failed(NamedTuple):
    """What ended the run: an invariant that did not hold, or what the scenario raised."""

    time: float
    what: str


#: What happens at one node.
NodeEvent: TypeAlias = (
    Started | Ended | RoleChanged | Committed | Applied | Restored | Kept | Called | Answered
)
#: Whatever can happen; all times are virtual, in seconds.
Event: TypeAlias = NodeEvent | Sent | Delivered | Dropped | Fault | Failed


def fingerprint(*parts: bytes) -> str:
    """Return a short hash of `parts`: of other ones it is another."""
    digest = blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


class Trace:
    """The events of one run.

    The digest covers all of them, from the first, and with them what was in each packet, went into
    each state machine and each disk, and was answered. Of the events themselves the last `keep` are
    kept; None for all of them. `title` is set by who runs the simulation: it names the seed.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._events: list[Event] = []
        self._keep = keep
        self._hash = sha256()
        self.title = ""
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
    content = getattr(event, "content", "")
    text = f"{event.time:12.6f}  {_who_and_what(event)}"
    return f"{text} [{content}]" if content else text


def _who_and_what(event: Event) -> str:
    match event:
        case Sent(_, source, target, number, what, _):
            return f"{source} -> {target}  #{number} {what}"
        case Delivered(_, source, target, number, how):
            return f"{source} -> {target}  #{number} arrives {how}".rstrip()
        case Dropped(_, source, target, number, why):
            return f"{source} -> {target}  #{number} lost: {why}"
        case Fault(_, what):
            return f"FAULT    {what}"
        case Failed(_, what):
            return f"FAILED   {what}"
        case _:
            return f"{event.node:<8} {what_of(event)}"


def what_of(event: NodeEvent) -> str:
    """Return in a few words what a node did, or what was done with it."""
    match event:
        case Started(_, _, node_id, incarnation):
            return f"starts as node {node_id}, process {incarnation}"
        case Ended(_, _, how):
            return f"ends: {how}"
        case RoleChanged(_, _, role, term):
            return f"is {role} in term {term}"
        case Committed(_, _, last):
            return f"commit is {last}"
        case Applied(_, _, first, last, _):
            return f"applies {first} to {last}"
        case Restored(_, _, last, _):
            return f"restores the snapshot of {last}"
        case Kept(_, _, what, _):
            return f"disk: {what}"
        case Called(_, _, number, what):
            return f"call {number}: {what}"
        case Answered(_, _, number, what, _):
            return f"answer {number}: {what}"
