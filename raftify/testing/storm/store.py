"""The state machine that storms use by themselves: a key-value store and queues, in three kinds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable, Iterable, Sequence
from random import Random
from typing import Any, BinaryIO, Self

from raftify.state_machine import AbstractStateMachine, StreamingStateMachine, Writable
from raftify.testing.history.history import History
from raftify.testing.history.model import Model
from raftify.testing.history.models import FifoQueue, KeyValue
from raftify.testing.storm.workload import Workload

#: How long each entry takes a slow machine, in seconds.
_SLOW_SECONDS = 0.004
_KEYS = ("x", "y", "z")
_QUEUES = ("q", "r")
_QUEUE_OPERATIONS = frozenset({"enqueue", "dequeue", "empty"})


class Store(AbstractStateMachine):
    """Keys, queues, and the numbers of all that was applied. Plain functions, run on a thread."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.queues: dict[str, list[Any]] = {}
        self.applied: list[int] = []

    def change(self, number: int, asked: Sequence[Any]) -> Any:
        """Apply one operation and return its answer."""
        self.applied.append(number)
        match asked:
            case ["put", key, value]:
                self.keys[key] = value
            case ["cas", key, expected, value]:
                if self.keys.get(key) != expected:
                    return False
                self.keys[key] = value
                return True
            case ["delete", key]:
                return self.keys.pop(key, None) is not None
            case ["enqueue", queue, item]:
                self.queues.setdefault(queue, []).append(item)
            case ["dequeue", queue]:
                items = self.queues.get(queue)
                return items.pop(0) if items else None
            case _:
                return self.look(asked)
        return None

    def look(self, asked: Sequence[Any]) -> Any:
        """Return the answer to a question."""
        kind, name = asked
        return self.keys.get(name) if kind == "get" else not self.queues.get(name)

    def apply(self, data: bytes) -> bytes:
        number, asked = json.loads(data)
        return json.dumps(self.change(number, asked)).encode()

    def query(self, data: bytes) -> bytes:
        return json.dumps(self.look(json.loads(data))).encode()

    def encode(self) -> bytes:
        return json.dumps([self.keys, self.queues, self.applied], sort_keys=True).encode()

    def load(self, data: bytes) -> None:
        """Become what `encode` made `data` of."""
        self.keys, self.queues, self.applied = json.loads(data)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = cls()
        machine.load(data)
        return machine

    def snapshot(self) -> bytes:
        return self.encode()

    def restore(self, data: bytes) -> None:
        self.load(data)


class CoroutineStore(Store):
    """The same with coroutines, which run on the event loop."""

    async def apply(self, data: bytes) -> bytes:  # type: ignore[override]  # plain or async, both are fine
        return super().apply(data)

    async def snapshot(self) -> bytes:  # type: ignore[override]  # likewise
        return self.encode()

    async def restore(self, data: bytes) -> None:  # type: ignore[override]  # likewise
        self.load(data)


class SlowStore(CoroutineStore):
    """The same, where each entry takes its time: batches are cut, and others come in between."""

    async def apply(self, data: bytes) -> bytes:  # type: ignore[override]  # likewise
        await asyncio.sleep(_SLOW_SECONDS)
        return await super().apply(data)


class StreamedStore(StreamingStateMachine, Store):
    """The same with snapshots that are written to and read from files, piece by piece."""

    def write_snapshot(self, file: Writable) -> None:
        data = self.encode()
        for start in range(0, len(data), 100):
            file.write(data[start : start + 100])

    def read_snapshot(self, file: BinaryIO) -> None:
        self.load(file.read())

    def snapshot(self) -> bytes:
        return self.encode()

    def restore(self, data: bytes) -> None:
        self.load(data)


class StoreWorkload(Workload):
    """Puts, gets, compare-and-sets and deletes of few keys, and queues that several clients use."""

    #: Of some of its writes, see `encode`, less than they have.
    proposal_bytes = 2500

    def machine(self, random: Random) -> AbstractStateMachine:
        return random.choice([Store, CoroutineStore, SlowStore, StreamedStore])()

    def draw_write(self, random: Random, number: int) -> Any:
        key, queue = random.choice(_KEYS), random.choice(_QUEUES)
        kinds = [
            KeyValue.put(key, number),
            KeyValue.put(key, number),
            KeyValue.cas(key, random.randrange(max(number - 20, 0), number + 1), number),
            KeyValue.cas(key, None, number),
            FifoQueue.enqueue(queue, number),
            FifoQueue.enqueue(queue, number),
            FifoQueue.dequeue(queue),
        ]
        if random.random() < 0.03:
            return KeyValue.delete(key)
        return random.choice(kinds)

    def draw_read(self, random: Random) -> Any:
        if random.random() < 0.8:
            return KeyValue.get(random.choice(_KEYS))
        return FifoQueue.empty(random.choice(_QUEUES))

    def encode(self, asked: Any, number: int) -> bytes:
        # Some are larger than a message, a Ready or a chunk of a snapshot may be.
        return json.dumps([number, asked]).encode() + b" " * (3000 if number % 23 == 0 else 0)

    def decode(self, asked: Any, result: bytes) -> Any:
        return json.loads(result)

    def read(self, machine: AbstractStateMachine, asked: Any) -> Any:
        assert isinstance(machine, Store)
        return machine.look(asked)

    def question(self, asked: Any) -> bytes:
        return json.dumps(asked).encode()

    def parts(self, history: History) -> Sequence[tuple[Model[Any], History]]:
        queues = History(each for each in history if each.input[0] in _QUEUE_OPERATIONS)
        keys = History(each for each in history if each.input[0] not in _QUEUE_OPERATIONS)
        return [(KeyValue(), keys), (FifoQueue(), queues)]

    def applied(self, machine: AbstractStateMachine) -> Iterable[Hashable]:
        assert isinstance(machine, Store)
        return machine.applied
