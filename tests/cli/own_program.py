"""A program's own entries and state machines, as one writes them, and as one should not."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import BinaryIO, Self

from raftify import AbstractLogEntry, AbstractStateMachine, StreamingStateMachine
from raftify.state_machine import Writable

NOT_CALLABLE = 7


@dataclass(frozen=True)
class Wish(AbstractLogEntry):
    """Raises for what is no wish."""

    text: str

    def encode(self) -> bytes:
        return b"wish:" + self.text.encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        if not data.startswith(b"wish:"):
            raise ValueError("it begins\nwith no \x1b[31mwish")
        return cls(data[5:].decode())

    def __str__(self) -> str:
        return f"wishes for {self.text}"


class Wishes(AbstractStateMachine):
    def __init__(self) -> None:
        self.state = b""

    def __repr__(self) -> str:
        return f"Wishes({self.state.decode()})"

    def apply(self, data: bytes) -> bytes:
        return data

    def snapshot(self) -> bytes:
        return self.state

    def restore(self, data: bytes) -> Awaitable[None] | None:
        self.state = data
        return None

    def encode(self) -> bytes:
        return self.state

    @classmethod
    def decode(cls, data: bytes) -> Self:
        made = cls()
        made.state = data
        return made


class AsyncWishes(Wishes):
    def restore(self, data: bytes) -> Awaitable[None]:
        async def later() -> None:
            self.state = b"later " + data

        return later()


class StreamedWishes(StreamingStateMachine):
    def __init__(self) -> None:
        self.state = b""

    def __repr__(self) -> str:
        return f"StreamedWishes({self.state.decode()})"

    def apply(self, data: bytes) -> bytes:
        return data

    def write_snapshot(self, file: Writable) -> None:
        file.write(self.state)

    def read_snapshot(self, file: BinaryIO) -> None:
        self.state = file.read(3) + b"|" + file.read()

    def encode(self) -> bytes:
        return self.state

    @classmethod
    def decode(cls, data: bytes) -> Self:
        return cls()


class NeedyWishes(Wishes):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.state = path.encode()


def shout(data: bytes) -> str:
    """A decoder that is a function."""
    return data.decode().upper()


def make_wishes() -> Wishes:
    """A factory, for a state machine that needs arguments."""
    return NeedyWishes("nothing")
