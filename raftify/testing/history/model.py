"""What a correct system would do: the sequential object that clients believe to talk to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from enum import Enum
from typing import Any, Generic, TypeVar

from raftify.testing.history.knowledge import Knowledge, plainly
from raftify.testing.history.operation import Operation

State = TypeVar("State", bound=Hashable)


class Effect(Enum):
    """What the state after an operation depends on."""

    #: Nothing changes, as by a read.
    NONE = "none"
    #: It is the same whatever it was before, as after a put.
    BLIND = "blind"
    #: On the state before, or it is not known.
    SEEING = "seeing"


class Model(ABC, Generic[State]):
    """A sequential object: one operation after the other, each with its answer.

    States are immutable and hashable, and so is what is asked: tuples, frozensets, strings, frozen
    dataclasses.
    """

    @abstractmethod
    def initial(self) -> State:
        """Return the state before the first operation; of one part, if the model partitions."""

    @abstractmethod
    def apply(self, state: State, asked: Any) -> tuple[State, Any]:
        """Return the state after `asked`, and the answer to it. Changes nothing itself."""

    def agrees(self, expected: Any, answered: Any) -> bool:
        """Whether the answer that `apply` expects and the one that a client got are the same."""
        return bool(expected == answered)

    def part_of(self, asked: Any) -> Hashable:
        """Return which part of the object `asked` concerns, if its parts do not affect each other.

        Parts are checked apart from each other, which is much faster: a history is linearizable
        if each part's is. A key-value store's parts are its keys.
        """
        return None

    def effect(self, asked: Any) -> Effect:
        """Return what the state after `asked` depends on.

        Only a help: histories with many operations of unknown outcome are checked faster.
        """
        return Effect.SEEING

    def learn(self, operations: Sequence[Operation]) -> Knowledge:
        """Return what the answers to the operations of one part tell about them.

        Only a help: what is concluded here need not be searched for. It must be certain.
        """
        return plainly(operations)

    def describe(self, asked: Any) -> str:
        """Return `asked` as people read it in explanations and pictures."""
        if isinstance(asked, tuple) and asked and isinstance(asked[0], str):
            return f"{asked[0]}({', '.join(str(each) for each in asked[1:])})"
        return str(asked)

    def describe_answer(self, asked: Any, answered: Any) -> str:
        """Return an answer to `asked` as people read it."""
        return str(answered)

    def describe_state(self, state: State) -> str:
        """Return `state` as people read it."""
        return str(state)
