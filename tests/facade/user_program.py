"""What type checkers must make of a user's program; `make lint` and test_types.py check it.

Each `type: ignore` here stands for an error that must be found: mypy complains of one in vain.
"""

from __future__ import annotations

from typing import Self, assert_type

from raftify import AbstractStateMachine, MemStorage, Raft


class Counter(AbstractStateMachine):
    """A user's own."""

    def __init__(self) -> None:
        self.count = 0

    async def apply(self, data: bytes) -> bytes:
        self.count += int(data)
        return b"%d" % self.count

    async def snapshot(self) -> bytes:
        return self.encode()

    async def restore(self, data: bytes) -> None:
        self.count = int(data)

    def encode(self) -> bytes:
        return b"%d" % self.count

    @classmethod
    def decode(cls, data: bytes) -> Self:
        counter = cls()
        counter.count = int(data)
        return counter


class Web:
    """What a program builds around its node."""

    def __init__(self, raft: Raft[Counter]) -> None:
        self._raft = raft

    async def get(self) -> int:
        await self._raft.read_index()
        return self._raft.state_machine().count


def status(raft: Raft) -> str:
    """Take a node with any state machine."""
    assert_type(raft.state_machine(), AbstractStateMachine)
    # Nobody said that it is a Counter.
    return f"counted to {raft.state_machine().count}"  # type: ignore[attr-defined]


def start(node_id: int) -> Raft[Counter]:
    address = f"127.0.0.1:{60060 + node_id}"
    return Raft.bootstrap(node_id, address, MemStorage.create(), Counter())


async def use() -> None:
    raft = Raft.bootstrap(1, "127.0.0.1:60061", MemStorage.create(), Counter())
    assert_type(raft, Raft[Counter])
    assert_type(raft.state_machine(), Counter)
    assert_type(raft.state_machine().count, int)
    raft.state_machine().cuont += 1  # type: ignore[attr-defined]  # a misspelt name
    async with start(1) as running:
        assert_type(running, Raft[Counter])
    Web(raft)
    status(raft)


async def misuse(any_node: Raft) -> None:
    Web(any_node)  # type: ignore[arg-type]  # its machine may be another one
    Raft.bootstrap(1, "127.0.0.1:60061", MemStorage.create(), object())  # type: ignore[type-var]
