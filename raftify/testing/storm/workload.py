"""What a storm asks of the state machine under test, and how it judges the answers.

To run a storm over a state machine of your own, subclass Workload and give it to `run_storm`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from random import Random
from typing import Any

from raftify.state_machine import AbstractStateMachine
from raftify.testing.history.history import History
from raftify.testing.history.model import Model


class Workload(ABC):
    """Makes state machines, writes and reads, and says by which model their answers are judged.

    A write is `asked`, in the form that the model takes, and travels as the bytes that `encode`
    makes of it. A read looks at a state machine directly, after `read_index`.
    """

    #: Nodes may refuse proposals of more bytes than this, so that storms see what comes of it. Most
    #: that `encode` returns must not be larger.
    proposal_bytes: int = 4 << 20

    @abstractmethod
    def machine(self, random: Random) -> AbstractStateMachine:
        """Return a new, empty state machine; `random` may choose among kinds of equal effect."""

    @abstractmethod
    def draw_write(self, random: Random, number: int) -> Any:
        """Return something to write. `number` is drawn once: values made of it are unique."""

    @abstractmethod
    def draw_read(self, random: Random) -> Any:
        """Return something to read that `read` understands; None if there are no reads."""

    @abstractmethod
    def encode(self, asked: Any, number: int) -> bytes:
        """Return the bytes to propose for the write `asked`, or for a read through the log."""

    @abstractmethod
    def decode(self, asked: Any, result: bytes) -> Any:
        """Return the answer in the form of the model, of what `apply` returned for `asked`."""

    @abstractmethod
    def read(self, machine: AbstractStateMachine, asked: Any) -> Any:
        """Return the answer to the read `asked` from the state of `machine`."""

    def question(self, asked: Any) -> bytes | None:
        """Return the bytes to `query` a machine with for the read `asked`, whose answer `decode`
        reads; None if machines have no `query`."""
        return None

    @abstractmethod
    def parts(self, history: History) -> Sequence[tuple[Model[Any], History]]:
        """Return which operations are judged by which model."""

    def state(self, machine: AbstractStateMachine) -> object:
        """Return what must be equal on all nodes once they agree."""
        return machine.encode()

    def applied(self, machine: AbstractStateMachine) -> Iterable[Hashable] | None:
        """Return what `machine` has applied, by the numbers of the writes; None if it cannot tell.

        If it can, the storm checks that nothing was lost, doubled, or applied though refused.
        """
        return None
