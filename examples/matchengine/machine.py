"""The state machine that Raft replicates: bytes in, bytes out, around the engine."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO, Self

from examples.matchengine.answers import Reason, Refused
from examples.matchengine.engine import Engine
from examples.matchengine.limits import Limits
from examples.matchengine.orders import decode_command
from examples.matchengine.questions import answer_question
from examples.matchengine.snapshots import read_engine, write_engine
from raftify import StreamingStateMachine
from raftify.state_machine import Writable


class MatchMachine(StreamingStateMachine):
    """Holds the engine. `limits` must be the same on all nodes.

    `apply` is a coroutine that never waits: that spares each order a trip to another thread.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.engine = Engine(limits)

    def __repr__(self) -> str:
        engine = self.engine
        return (
            f"MatchMachine({engine.sequence} orders, {engine.open_orders} of them open, "
            f"{engine.tape.last} trades, {len(engine.books)} symbols)"
        )

    async def apply(self, data: bytes) -> bytes:
        return self.execute(data)

    def execute(self, data: bytes) -> bytes:
        """Carry out one encoded command, return the encoded answer; whatever comes, never raise."""
        try:
            command = decode_command(data)
        except ValueError as error:
            return Refused(Reason.BAD_COMMAND, str(error)).encode()
        return self.engine.execute(command).encode()

    async def query(self, data: bytes) -> bytes:
        return answer_question(self.engine, data)

    # On a thread; commands wait for it.

    def write_snapshot(self, file: Writable) -> None:
        write_engine(self.engine, file)

    def read_snapshot(self, file: BinaryIO) -> None:
        self.engine = read_engine(file, self.engine.limits)

    def encode(self) -> bytes:
        return self.snapshot()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        machine = cls()
        machine.read_snapshot(BytesIO(data))
        return machine
