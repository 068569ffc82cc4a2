"""What a user implements: the replicated state machine, and optionally a type for its entries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

if TYPE_CHECKING:
    # Every type checker brings typing_extensions along; nothing of it is needed at run time.
    from typing_extensions import TypeVar

    #: A user's own class. What holds one is `Raft[MyMachine]`, or just `Raft` where any will do.
    Machine_co = TypeVar(
        "Machine_co", bound="AbstractStateMachine", default="AbstractStateMachine", covariant=True
    )
else:
    from typing import TypeVar

    Machine_co = TypeVar("Machine_co", bound="AbstractStateMachine", covariant=True)

#: A user's own class where a function is given one.
Machine = TypeVar("Machine", bound="AbstractStateMachine")


class Writable(Protocol):
    """Something to write bytes to, one piece after the other."""

    def write(self, data: bytes, /) -> int: ...


class AbstractLogEntry(ABC):
    """A proposal with a type of its own. Only its bytes are replicated."""

    @abstractmethod
    def encode(self) -> bytes:
        """Return the bytes to propose."""

    @classmethod
    @abstractmethod
    def decode(cls, data: bytes) -> Self:
        """Return the entry that `encode` made `data` of."""


class AbstractStateMachine(ABC):
    """The state that every node keeps, changed only by applying the same entries in the same order.

    Calls never overlap: `apply`, `query`, `snapshot` and `restore` come one after the other. Each
    may be a plain `def` or an `async def`. A plain `def` runs on a thread that belongs to the state
    machine, so that a slow one delays no heartbeat; an `async def` runs on the event loop, costs
    less per entry, and must not block.

    `apply` has to be deterministic: no clock, no randomness, no iteration over unordered sets. If
    it raises, the node stops with StateMachineError; it never skips an entry.
    """

    @abstractmethod
    def apply(self, data: bytes) -> bytes | Awaitable[bytes]:
        """Apply one committed entry; what is returned goes to whoever proposed it."""

    @abstractmethod
    def snapshot(self) -> bytes | Awaitable[bytes]:
        """Return the whole state as bytes."""

    @abstractmethod
    def restore(self, data: bytes) -> Awaitable[None] | None:
        """Replace the whole state by that of a snapshot."""

    def query(self, data: bytes) -> bytes | Awaitable[bytes]:
        """Answer a question about the state without changing it; see `Raft.query`.

        Optional. What it raises goes to whoever asked and stops nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} has no query")

    @abstractmethod
    def encode(self) -> bytes:
        """Return the whole state as bytes, for tools that show or copy it."""

    @classmethod
    @abstractmethod
    def decode(cls, data: bytes) -> Self:
        """Return the state machine that `encode` made `data` of."""


class StreamingStateMachine(AbstractStateMachine):
    """A state machine too large to hold as bytes: its snapshots are written to and read from files.

    The two methods run on a thread that belongs to the state machine, and may block.
    """

    @abstractmethod
    def write_snapshot(self, file: Writable) -> None:
        """Write the whole state to `file`, in as many pieces as suit."""

    @abstractmethod
    def read_snapshot(self, file: BinaryIO) -> None:
        """Replace the whole state by what `write_snapshot` wrote to `file`."""

    def snapshot(self) -> bytes:
        buffer = BytesIO()
        self.write_snapshot(buffer)
        return buffer.getvalue()

    def restore(self, data: bytes) -> None:
        self.read_snapshot(BytesIO(data))
